"""A server of git repositories inside a sandbox, that wants a name and a password."""

from __future__ import annotations

from localbox import AsyncSandbox
from tests.client._async.doing import until

USERNAME = "me"
PASSWORD = "s3cret/ @'\"$x"

# Serves what is in /home/user/srv by git's own CGI program. Under /elsewhere the same is said to
# be at another name. `seen` is what it was told, and the command lines of all processes then.
_SERVER = """
import base64, glob, os, subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

wanted = "Basic " + base64.b64encode(sys.stdin.read().encode()).decode()
seen = open("/home/user/seen", "w", buffering=1)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        host, given = self.headers["Host"], self.headers["Authorization"]
        lines = []
        for name in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                lines.append(open(name).read().replace("\\0", " "))
            except OSError:
                pass
        print(f"{host} {given} {lines}", file=seen)
        if self.path.startswith("/elsewhere/"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{port}/{self.path[11:]}")
            return self.end_headers()
        if given != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            return self.end_headers()
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "0")
        answer = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(int(length)),
            capture_output=True,
            env={
                **os.environ,
                "GIT_PROJECT_ROOT": "/home/user/srv",
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": length,
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": "me",
            },
        ).stdout
        head, _, body = answer.partition(b"\\r\\n\\r\\n")
        self.send_response(200)
        for line in head.decode().split("\\r\\n"):
            self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
port = server.server_port
with open("/home/user/port.new", "w") as file:
    file.write(str(port))
os.rename("/home/user/port.new", "/home/user/port")
server.serve_forever()
"""


async def serve(sandbox: AsyncSandbox) -> str:
    """Serve an empty repository `r.git`; the URL of the server, with a slash."""
    await sandbox.git.init("/home/user/srv/r.git", bare=True, initial_branch="main")
    await sandbox.files.write("server.py", _SERVER)
    handle = await sandbox.commands.run("python3 server.py", background=True, stdin=True)
    await handle.send_stdin(f"{USERNAME}:{PASSWORD}")
    await handle.close_stdin()

    async def listening() -> bool:
        return await sandbox.files.exists("port")

    await until(listening)
    return f"http://127.0.0.1:{await sandbox.files.read('port')}/"
