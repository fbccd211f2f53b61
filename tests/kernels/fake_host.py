"""A host and a kernel zygote without a sandbox: cells go to a kernel as they do in earnest.

Run as a program it is the zygote: it imports a kernel's module, warms it up, and forks a process
for each context. Imported it is the host's side: `Zygote(...).context()`, then `context.run(code)`.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localbox.protocol.frames import END_OF_DATA, decode_message, encode
from localbox.transport.blocking import Exchange, open_exchange
from localbox.transport.wire import PeerGoneError

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
AGAIN_S = 3.0
_SETTLED = encode(END_OF_DATA, b"")


@dataclass
class Ran:
    """What came of a cell; `events` has all of it in the order in which the host learned it."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    count: int | None = None
    restart: str | None = None
    died: bool = False

    @property
    def stdout(self) -> str:
        return "".join(text for kind, text in self.events if kind == "stdout")

    @property
    def stderr(self) -> str:
        return "".join(text for kind, text in self.events if kind == "stderr")

    @property
    def results(self) -> list[dict[str, Any]]:
        return [result for kind, result in self.events if kind == "result"]

    @property
    def main(self) -> dict[str, Any] | None:
        """The last expression's result."""
        return next((result for result in self.results if result["is_main_result"]), None)

    @property
    def text(self) -> str | None:
        return None if self.main is None else self.main.get("text")

    @property
    def error(self) -> dict[str, str] | None:
        """Name, value and traceback."""
        return next((error for kind, error in self.events if kind == "error"), None)

    def take_output(self, kind: str, text: str) -> None:
        if self.events and self.events[-1][0] == kind:
            text = self.events.pop()[1] + text
        self.events.append((kind, text))


class Context:
    """One kernel process, as its host sees it."""

    def __init__(self, rendezvous: socket.socket, pipes: dict[int, str], pid: int) -> None:
        self.pid = pid
        self._rendezvous = rendezvous
        self._pipes = pipes

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the kernel, whatever it is doing."""
        if self._rendezvous.fileno() >= 0:
            self._rendezvous.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            for fd in self._pipes:
                os.close(fd)

    def interrupt(self) -> None:
        os.kill(self.pid, signal.SIGINT)

    def run(
        self,
        code: str,
        env: dict[str, str] | None = None,
        on_output: Callable[[Ran], None] | None = None,
        *,
        interrupt_at: str | None = None,
    ) -> Ran:
        """Run a cell and wait for its end.

        Args:
            on_output: called with what is known so far, whenever output has come.
            interrupt_at: interrupt the cell when its output contains this.
        """
        ran = Ran()
        request = {"op": "execute", "code": code, "env": env or {}}
        interrupt_again = 0.0
        with open_exchange(self._rendezvous, request) as exchange:
            for _ in self._moments(exchange, ran):
                # Again when nothing has come of it: where Python cannot raise, such as in a weak
                # reference's callback, it drops the exception. The client does so too.
                due = interrupt_at is not None and time.monotonic() >= interrupt_again
                if due and interrupt_at in ran.stdout:  # type: ignore[operator]
                    interrupt_again = time.monotonic() + AGAIN_S
                    self.interrupt()
                if on_output is not None:
                    on_output(ran)
        return ran

    def _moments(self, exchange: Exchange, ran: Ran) -> Iterator[None]:
        """Yields whenever something has come, until the cell has ended."""
        poll = select.poll()
        sock = exchange._state.sock
        for fd in (sock.fileno(), *self._pipes):
            poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            left_s = deadline - time.monotonic()
            ready = [fd for fd, _events in poll.poll(min(left_s, AGAIN_S) * 1000)]
            if not ready and left_s > AGAIN_S:
                yield
                continue
            if not ready:
                raise TimeoutError(f"the cell goes on and on; so far: {ran}")
            ended = False
            if sock.fileno() in ready:
                try:
                    ended = self._take_frames(exchange, ran)
                except PeerGoneError:
                    ran.died = ended = True
            self._drain(ran, poll)
            yield
            if ended:
                return

    def _take_frames(self, exchange: Exchange, ran: Ran) -> bool:
        exchange._state.receive_available()
        # What was written before the frame was sent is in the pipes by now.
        self._drain(ran)
        while (frame := exchange._state.take_frame()) is not None:
            message = decode_message(frame[1])
            match message:
                case {"count": int(count)}:
                    ran.count = count
                case {"result": dict(result)}:
                    ran.events.append(("result", result))
                case {"settle": True}:
                    exchange.send(_SETTLED, None)
                case {"failure": dict(failure)}:
                    ran.events.append(("error", failure))
                case {"end": {"restart": restart}}:
                    ran.restart = restart
                    return True
                case _:
                    raise AssertionError(f"not a message of a kernel: {message}")
        return False

    def _drain(self, ran: Ran, poll: select.poll | None = None) -> None:
        for fd, kind in self._pipes.items():
            while True:
                try:
                    data = os.read(fd, 1 << 16)
                except BlockingIOError:
                    break
                if not data:
                    if poll is not None:
                        with contextlib.suppress(KeyError):
                            poll.unregister(fd)
                    break
                ran.take_output(kind, data.decode(errors="replace"))


class Zygote:
    """A process that has warmed a kernel's module up, and forks contexts."""

    def __init__(self, module: str, preload: Sequence[str] = ()) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), module, *preload],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
            )
        self._contexts: list[Context] = []

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._control.close()
        self._process.wait(PATIENCE_S)

    def context(self, language: str = "python", cwd: str | Path = "/tmp") -> Context:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        os.set_blocking(out, False)
        os.set_blocking(err, False)
        request = json.dumps({"language": language, "cwd": str(cwd)}).encode()
        fds = array.array("i", [theirs.fileno(), out_end, err_end])
        self._control.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        theirs.close()
        os.close(out_end)
        os.close(err_end)
        answer = self._control.recv(100)
        if not answer:
            raise RuntimeError(f"the kernel did not warm up: {self._process.wait(PATIENCE_S)}")
        context = Context(ours, {out: "stdout", err: "stderr"}, int(answer))
        self._contexts.append(context)
        return context


def main() -> None:
    """Be the zygote."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # What the host cannot wait for is not to become a zombie.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in sys.argv[3:]:
        importlib.import_module(name)
    kernel = importlib.import_module(sys.argv[2])
    kernel.warm_up()
    while True:
        request, fds, _flags, _address = socket.recv_fds(control, 4096, 3)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            with contextlib.suppress(KeyboardInterrupt):
                _be_context(kernel, json.loads(request), fds)
            os._exit(0)
        for fd in fds:
            os.close(fd)
        control.send(str(pid).encode())


def _be_context(kernel: Any, request: dict[str, str], fds: list[int]) -> None:
    from localbox.kernels.port import Port, serve

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.chdir(request["cwd"])
    os.dup2(fds[1], 1)
    os.dup2(fds[2], 2)
    os.close(fds[1])
    os.close(fds[2])
    port = Port(socket.socket(fileno=fds[0]))
    serve(port, kernel.start_kernel(port, request["language"]))


if __name__ == "__main__":
    main()
