"""The interpreter's peer: ipykernel in an environment of its own, driven through jupyter_client."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.peers import ENVIRONMENT

# Made once for each interpreter and set of versions: installing takes half a minute.
_HOME = Path(__file__).resolve().parents[1] / ".peer-venv"
_INSTALL_TIMEOUT_S = 900
# In milliseconds. A kernel that does not answer at all is a broken peer, not a slow one.
_PATIENCE_MS = 120_000
DATA_STACK = ("numpy", "pandas", "matplotlib")


class NoPeerError(Exception):
    """Why there is nothing to compare with."""


def notebook_python(*, quick: bool) -> str:
    """The interpreter of a clean environment with ipykernel and the data stack.

    Args:
        quick: take the one that runs this, if ipykernel is there: installing takes long.

    The versions are those installed here, so that both sides run the same code; the files are
    not, so that the peer shares no memory with a zygote.

    Raises:
        NoPeerError: they are not installed here, or could not be installed there.
    """
    packages = ("ipykernel", "ipython", "jupyter_client", *DATA_STACK)
    try:
        wanted = [f"{name}=={metadata.version(name)}" for name in packages]
    except metadata.PackageNotFoundError as error:
        raise NoPeerError(
            f"{error.name} is not installed: localbox[data,interpreter,test]"
        ) from None
    if quick:
        return sys.executable
    venv = _HOME / f"{sys.implementation.cache_tag}"
    stamp, contents = venv / "installed", "\n".join([sys.base_prefix, *wanted])
    try:
        if not _is(stamp, contents):
            _HOME.mkdir(exist_ok=True)
            with (_HOME / f"{venv.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _is(stamp, contents):
                    shutil.rmtree(venv, ignore_errors=True)
                    _install(venv, wanted)
                    stamp.write_text(contents, encoding="utf-8")
    except OSError as error:
        raise NoPeerError(f"no place for its environment: {error}") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NoPeerError(f"its environment could not be made: {error}") from None
    return str(venv / "bin" / "python")


def _is(stamp: Path, contents: str) -> bool:
    return stamp.exists() and stamp.read_text(encoding="utf-8") == contents


def _install(venv: Path, packages: list[str]) -> None:
    print(f"making {venv} for ipykernel ...", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "install", "-q", *packages],
        check=True,
        stdout=sys.stderr,
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
        timeout=_INSTALL_TIMEOUT_S,
    )


@dataclass
class Output:
    """What came back from a cell."""

    text: str | None = None
    png: str | None = None
    stream_characters: int = 0
    errors: list[str] = field(default_factory=list)


class NotebookKernel:
    """One ipykernel and a client that loses as little time as jupyter_client allows.

    Unix sockets instead of TCP, no signatures, reconnection after 1 ms instead of 100, no limit
    to what waits to be read, no history, and the sockets are read directly: jupyter_client's own
    blocking client goes through an event loop for each message.
    """

    def __init__(self, python: str, home: str) -> None:
        import zmq
        from jupyter_client import KernelManager
        from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
        from jupyter_client.session import Session

        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]

        class Specs(KernelSpecManager):  # type: ignore[misc]
            def get_kernel_spec(self, kernel_name: str) -> Any:
                return KernelSpec(argv=argv, display_name="peer", language="python")

        self._poll_in = zmq.POLLIN
        self._zmq = zmq.Context()
        self._zmq.setsockopt(zmq.RECONNECT_IVL, 1)
        self._zmq.setsockopt(zmq.RCVHWM, 0)
        self._zmq.setsockopt(zmq.LINGER, 0)
        directory = tempfile.mkdtemp(dir=home)
        self._environment = {**ENVIRONMENT, "HOME": home, "JUPYTER_RUNTIME_DIR": directory}
        self._manager = KernelManager(
            context=self._zmq,
            transport="ipc",
            # A path for a Unix socket may have no more than 107 characters.
            ip=os.path.join(directory, "k"),
            connection_file=os.path.join(directory, "kernel.json"),
            kernel_spec_manager=Specs(),
            session=Session(key=b""),
        )
        self._start()

    def _start(self) -> None:
        self._manager.start_kernel(env=self._environment, independent=False)
        self._connect()

    def _connect(self) -> None:
        self._iopub = self._manager.connect_iopub()
        self._shell = self._manager.connect_shell()
        # What a kernel prints before we listen is lost; it greets whoever begins to.
        while self._receive()["header"]["msg_type"] != "iopub_welcome":
            pass

    @property
    def pid(self) -> int:
        return int(self._manager.provisioner.process.pid)

    def execute(self, code: str) -> Output:
        """Run a cell, from the request sent to the word that the kernel is idle again.

        Raises:
            AssertionError: the cell failed; it is not a measurement then.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        session = self._manager.session
        sent = session.send(self._shell, "execute_request", content)["header"]["msg_id"]
        output = Output()
        while True:
            message = self._receive()
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                output.stream_characters += len(content["text"])
            elif kind in ("execute_result", "display_data"):
                output.text = content["data"].get("text/plain", output.text)
                output.png = content["data"].get("image/png", output.png)
            elif kind == "error":
                output.errors.append(f"{content['ename']}: {content['evalue']}")
            elif kind == "status" and content["execution_state"] == "idle":
                break
        assert not output.errors, output.errors
        return output

    def forget_replies(self) -> None:
        """Drop what waits on the shell socket: `execute` does not read it."""
        while self._shell.poll(0, self._poll_in):
            self._shell.recv_multipart()

    def restart(self) -> None:
        """As soon as it is known to listen again; `now` spares it the time to say goodbye."""
        self._iopub.close()
        self._shell.close()
        self._manager.restart_kernel(now=True)
        self._connect()

    def stop(self) -> None:
        self._manager.shutdown_kernel(now=True)
        self._iopub.close()
        self._shell.close()
        self._zmq.term()

    def _receive(self) -> dict[str, Any]:
        if not self._iopub.poll(_PATIENCE_MS, self._poll_in):
            raise TimeoutError("ipykernel does not answer")
        session = self._manager.session
        _identities, frames = session.feed_identities(self._iopub.recv_multipart(copy=True))
        return dict(session.deserialize(frames))


@contextmanager
def notebook_home() -> Iterator[str]:
    """A home for kernels, which keeps what they cache there; short, for its sockets' sake."""
    with tempfile.TemporaryDirectory(prefix="nb-", ignore_cleanup_errors=True) as home:
        yield home
