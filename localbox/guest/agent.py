"""PID 1 of a sandbox: takes requests from the host's socket, and reaps.

It has no listening socket and no name: the host makes a socket pair for each exchange and passes
one end through the one descriptor the agent was born with. Guest code cannot reach either.
"""

from __future__ import annotations

import _signal
import _socket
import array
import contextlib
import os
from collections.abc import Callable, Iterator

from localbox.guest import dialing, files, watching
from localbox.guest.connection import Connection, error_message
from localbox.guest.loop import READ, Loop
from localbox.guest.paths import resolve_path
from localbox.guest.processes import Process, spawn
from localbox.guest.python import spawn_python
from localbox.guest.terminals import NoTerminalLeftError, Terminal, spawn_terminal
from localbox.protocol.frames import (
    DATA,
    END_OF_DATA,
    MAX_DATAGRAM_BYTES,
    MESSAGE,
    Frame,
    FrameError,
    Message,
    decode_message,
    encode_message,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from localbox.guest.terminals import SetWindowSize
    from localbox.guest.watch_tree import InotifyCalls

# Files without a size of their own (/proc) are read by the agent, up to this much.
_INLINE_BYTES = 16 * 1024 * 1024


class RequestError(Exception):
    """The request cannot be done; `kind` picks the exception the host raises."""

    def __init__(self, kind: str, text: str, number: int | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.number = number


class Agent:
    def __init__(
        self,
        rendezvous: _socket.socket,
        settings: dict[str, Any],
        become_guest: Callable[[], None],
        set_window_size: SetWindowSize,
        watch_calls: tuple[InotifyCalls, Callable[[int], None]],
    ) -> None:
        """
        Args:
            rendezvous: where the host sends the ends of new exchanges.
            settings: `env`, `extra_env` (the part of it that `os.environ` lacks), `home`, `user`,
                `cpu_time_s`.
            become_guest: makes a forked process the guest's: closes all descriptors above the
                standard ones and the status pipe, and lets /proc show it. Its system calls are
                not ours to import.
            set_window_size: of a terminal; likewise.
            watch_calls: inotify's three, and close_from(fd); likewise.
        """
        self._rendezvous = rendezvous
        self._settings = settings
        self._become_guest = become_guest
        self._set_window_size = set_window_size
        self._watch_calls = watch_calls
        self._home: str = settings["home"]
        self._env: dict[str, str] = settings["env"]
        self._loop = Loop()
        self._processes: dict[int, Process] = {}
        self._watch_children()
        self._rendezvous.setblocking(False)
        self._loop.watch(self._rendezvous.fileno(), READ, lambda _events: self._accept())

    def run(self) -> NoReturn:
        self._loop.run()
        raise AssertionError("the loop has no end")

    # Children

    def _watch_children(self) -> None:
        # Handlers are for SIGCHLD alone. A signal PID 1 has no handler for is dropped when it
        # comes from inside, so guest code cannot interrupt the agent; Python's own handler for
        # SIGINT would be an exception here.
        # The zygote ignores SIGHUP, and programs would inherit that.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        _signal.signal(_signal.SIGHUP, _signal.SIG_DFL)
        _signal.signal(_signal.SIGCHLD, lambda _number, _frame: None)
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

        def woken(_events: int) -> None:
            with contextlib.suppress(BlockingIOError):
                os.read(reader, 4096)
            self._reap()

        self._loop.watch(reader, READ, woken)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process = self._processes.pop(pid, None)
            if process is not None:
                process.exited(status)

    # Exchanges

    def _accept(self) -> None:
        ancillary_bytes = _socket.CMSG_SPACE(4)
        try:
            data, ancillary, _flags, _address = self._rendezvous.recvmsg(
                MAX_DATAGRAM_BYTES, ancillary_bytes, _socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        if not data and not ancillary:
            # The host's end is closed, so nobody can ever ask again.
            os._exit(0)
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) // fds.itemsize * fds.itemsize])
        if len(fds) != 1:
            return
        connection = Connection(
            _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fds[0]), self._loop
        )
        connection.on_frame = lambda frame: self._first_frame(connection, frame)
        connection.open()
        if len(data) > 1:
            self._handle(connection, data)

    def _first_frame(self, connection: Connection, frame: Frame) -> None:
        kind, payload = frame
        if kind != MESSAGE:
            connection.close()
            return
        self._handle(connection, payload)

    def _handle(self, connection: Connection, payload: bytes) -> None:
        connection.on_frame = None
        try:
            request = decode_message(payload)
            # A table of these would have every method's page copied in every sandbox.
            operation = getattr(self, f"_do_{request['op']}")
        except (FrameError, KeyError, AttributeError):
            connection.fail("internal", "the agent does not know this request")
            return
        try:
            operation(connection, request)
        except RequestError as error:
            connection.fail(error.kind, str(error), error.number)
        except ValueError as error:
            connection.fail("invalid_argument", str(error))
        except (KeyError, TypeError) as error:
            connection.fail("internal", f"the agent does not understand the request: {error!r}")
        except OSError as error:
            connection.fail(files.error_kind(error.errno), _describe(error), error.errno)

    def _do_set_env(self, connection: Connection, request: Message) -> None:
        """Variables of every program, over those of the profile."""
        extra = self._settings["extra_env"] = dict(request["env"])
        self._env = {**self._env, **extra}
        connection.finish({"ok": True})

    def _do_ping(self, connection: Connection, request: Message) -> None:
        connection.finish({"ok": True})

    # Processes

    def _do_start(self, connection: Connection, request: Message) -> None:
        user = request.get("user") or self._settings["user"]
        if user != self._settings["user"]:
            raise RequestError("unauthenticated", f"there is no user {user!r} in this sandbox")
        cwd = self._path(request["cwd"]) if request.get("cwd") else self._home
        if not os.path.isdir(cwd):
            raise RequestError("invalid_argument", f"cwd {cwd!r} does not exist")
        call_env = request.get("env", {})
        cpu_time_s = self._settings["cpu_time_s"]
        status_fd = -1
        try:
            if "code" in request:
                pid, *fds, status_fd = spawn_python(
                    request,
                    extra_env={**self._settings["extra_env"], **call_env},
                    cwd=cwd,
                    cpu_time_s=cpu_time_s,
                    become_guest=self._become_guest,
                )
            elif "pty" in request:
                pid, *fds = spawn_terminal(
                    request["argv"],
                    env={**self._env, **call_env},
                    cwd=cwd,
                    rows=request["pty"]["rows"],
                    cols=request["pty"]["cols"],
                    set_window_size=self._set_window_size,
                    cpu_time_s=cpu_time_s,
                )
            else:
                pid, *fds = spawn(
                    request["argv"],
                    env={**self._env, **call_env},
                    cwd=cwd,
                    with_stdin=request["stdin"],
                    cpu_time_s=cpu_time_s,
                )
        except BlockingIOError:
            raise RequestError(
                "no_resources", "cannot start another process: the limit resources.pids is reached"
            ) from None
        except NoTerminalLeftError:
            raise RequestError(
                "no_resources", "cannot open another terminal: the sandbox has as many as it can"
            ) from None
        config = {"argv": request["argv"], "cwd": cwd, "env": call_env, "tag": request.get("tag")}
        process = (Terminal if "pty" in request else Process)(self._loop, pid, config)
        self._processes[pid] = process
        process.subscribe(connection, tell_pid_now=request["background"])
        process.attach(fds)
        process.set_deadline(request.get("timeout_s"))
        if status_fd >= 0:
            process.watch_status(status_fd, lambda: self._processes.pop(pid, None))

    def _process(self, request: Message) -> Process:
        process = self._processes.get(request["pid"])
        if process is None:
            raise RequestError("not_found", f"there is no process with pid {request['pid']}")
        return process

    def _do_connect(self, connection: Connection, request: Message) -> None:
        self._process(request).subscribe(connection)

    def _do_list_processes(self, connection: Connection, request: Message) -> None:
        # Only here with the sandbox's own: to look at each variable is to copy its page.
        listed = [
            {"pid": pid, **process.config, "env": {**self._env, **process.config["env"]}}
            for pid, process in self._processes.items()
        ]
        connection.finish({"processes": listed})

    def _do_kill(self, connection: Connection, request: Message) -> None:
        self._process(request).kill()
        connection.finish({"ok": True})

    def _do_write_stdin(self, connection: Connection, request: Message) -> None:
        process = self._process_with(request, terminal=request.get("pty", False))
        if not process.stdin_open:
            raise RequestError(
                "stdin_closed", "the process has no open standard input; start it with stdin=True"
            )

        def written(why: str | None) -> None:
            if why is None:
                connection.finish({"ok": True})
            else:
                connection.fail("stdin_closed", why)

        def resume(why: str | None) -> None:
            if why is None:
                connection.resume_reading()
            else:
                connection.fail("stdin_closed", why)

        def on_frame(frame: Frame) -> None:
            kind, chunk = frame
            if kind == END_OF_DATA:
                process.when_stdin_written(written)
            elif kind == DATA:
                process.write_stdin(chunk)
                if process.stdin_lost:
                    # Now, for the end of what is sent may never come.
                    connection.on_frame = None
                    process.when_stdin_written(written)
                elif process.stdin_congested:
                    connection.pause_reading()
                    process.when_stdin_written(resume)

        connection.on_frame = on_frame
        if process.stdin_congested:
            # Many short exchanges with a process that does not read must not fill our memory.
            connection.pause_reading()
            process.when_stdin_written(resume)

    def _do_close_stdin(self, connection: Connection, request: Message) -> None:
        self._process_with(request, terminal=False).close_stdin()
        connection.finish({"ok": True})

    def _do_resize(self, connection: Connection, request: Message) -> None:
        terminal = self._process_with(request, terminal=True)
        assert isinstance(terminal, Terminal)
        terminal.resize(request["rows"], request["cols"], self._set_window_size)
        connection.finish({"ok": True})

    def _process_with(self, request: Message, *, terminal: bool) -> Process:
        """The process, which has a terminal, or standard streams, as the caller takes it to."""
        process = self._process(request)
        if process.is_terminal != terminal:
            is_on, use = ("a terminal", "pty") if process.is_terminal else ("pipes", "commands")
            raise RequestError(
                "wrong_streams", f"process {process.pid} is on {is_on}: use sandbox.{use}"
            )
        return process

    def _do_dial(self, connection: Connection, request: Message) -> None:
        dialing.dial(connection, self._loop, request["port"])

    # Files

    def _path(self, path: str) -> str:
        return resolve_path(path, self._home)

    def _do_stat(self, connection: Connection, request: Message) -> None:
        connection.finish({"entry": files.describe(self._path(request["path"]))})

    def _do_make_dir(self, connection: Connection, request: Message) -> None:
        connection.finish({"created": files.make_directory(self._path(request["path"]))})

    def _do_rename(self, connection: Connection, request: Message) -> None:
        old_path, new_path = self._path(request["old_path"]), self._path(request["new_path"])
        connection.finish({"entry": files.rename(old_path, new_path)})

    def _do_open_read(self, connection: Connection, request: Message) -> None:
        path = self._path(request["path"])
        fd = files.open_to_read(path)
        try:
            if path.startswith(("/proc/", "/sys/")):
                self._send_inline(connection, fd)
            else:
                connection.finish({"ok": True}, fd)
        finally:
            os.close(fd)

    def _send_inline(self, connection: Connection, fd: int) -> None:
        connection.send_message({"inline": True})
        sent = 0
        while sent < _INLINE_BYTES and (chunk := os.read(fd, 64 * 1024)):
            connection.send_chunk(DATA, chunk)
            sent += len(chunk)
        connection.finish({"ok": True})

    def _do_open_write(self, connection: Connection, request: Message) -> None:
        path = self._path(request["path"])
        fd = files.open_to_write(path, request.get("metadata"))
        try:
            connection.finish({"path": path, "name": os.path.basename(path)}, fd)
        finally:
            os.close(fd)

    def _do_list_dir(self, connection: Connection, request: Message) -> None:
        path, depth = self._path(request["path"]), int(request["depth"])

        def listing() -> Iterator[Message]:
            for batch in files.batched(files.walk(path, depth), files.weight):
                yield {"entries": batch}
            yield {"ok": True}

        _in_worker(connection, listing)

    def _do_remove(self, connection: Connection, request: Message) -> None:
        path = self._path(request["path"])

        def removal() -> Iterator[Message]:
            files.remove(path)
            yield {"ok": True}

        _in_worker(connection, removal)

    def _do_watch(self, connection: Connection, request: Message) -> None:
        watching.watch(connection, self._path(request["path"]), request, *self._watch_calls)


def _in_worker(connection: Connection, answers: Callable[[], Iterator[Message]]) -> None:
    """Answer from a forked child: a million files must not hold up everything else.

    Where no process can be had (a fork bomb is at work), the agent does it itself.
    """
    sock = connection.detach()
    try:
        pid = os.fork()
    except BlockingIOError:
        pid = -1
    if pid > 0:
        sock.close()
        return
    try:
        for answer in answers():
            sock.sendall(encode_message(answer))
    except OSError as error:
        with contextlib.suppress(OSError):
            sock.sendall(
                encode_message(
                    error_message(files.error_kind(error.errno), _describe(error), error.errno)
                )
            )
    finally:
        sock.close()
        if pid == 0:
            os._exit(0)


def _describe(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"path {os.fsdecode(error.filename)!r}: {reason}" if error.filename else reason
