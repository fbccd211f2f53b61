"""Ports of the host's loopback interface that lead into sandboxes.

One thread for the whole program, started when the first port is asked for and gone when nothing
is forwarded. It listens on 127.0.0.1 only; but every user of this machine can connect there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from localbox.engine.joining import Joint
from localbox.engine.registry import NOBODY, SandboxRecord
from localbox.errors import InvalidArgumentException, SandboxNotRunningException

# Of one sandbox at a time. A connection is two descriptors, and the program has others to open.
_MOST_CONNECTIONS = 200
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_S = 0.1
_NEVER = float("inf")

_SERVICE_PORT = 0

Accepted = Callable[[socket.socket], None]


def forward(record: SandboxRecord, port: int) -> str:
    """The address of a port of this machine that leads to `port` of the sandbox.

    Raises:
        InvalidArgumentException: no such port can be, or the profile has no loopback interface.
        SandboxNotRunningException: it has ended.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise InvalidArgumentException(f"port must be an int from 1 to 65535, not {port!r}")
    mode = record.policy.network.mode
    if mode == "host":
        return f"127.0.0.1:{port}"
    if mode == "none":
        raise InvalidArgumentException(
            f"port {port} cannot be reached: the profile {record.policy.name!r} has "
            "network.mode none, in which nothing can listen; choose one with mode loopback"
        )
    return _forwarder.forward(record, port)


class Service(Protocol):
    """A server of this program, at a port of its own for each sandbox. Its methods never wait."""

    def accept(self, client: socket.socket) -> None:
        """Take over a new connection."""

    def end(self) -> None:
        """The sandbox has ended."""

    def abandon(self) -> None:
        """Close the connections: this is a fork of the program, and they are its parent's."""


def serve(record: SandboxRecord, make: Callable[[], Service]) -> tuple[str, Service]:
    """The address of the sandbox's service, and the service itself; made if there is none.

    Raises:
        SandboxNotRunningException: the sandbox has ended.
    """
    return _forwarder.serve(record, make)


class _Sandbox:
    """What is forwarded to one sandbox."""

    def __init__(self, record: SandboxRecord) -> None:
        self.record = record
        # A copy: the record lets go of its own when it likes, and epoll has to know ours.
        self.rendezvous = record.rendezvous
        self.fd = os.dup(record.rendezvous.fileno())
        self.listeners: dict[int, socket.socket] = {}  # by port inside
        self.joints: set[Joint] = set()
        self.service: Service | None = None


class Forwarder:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._sandboxes: dict[str, _Sandbox] = {}
        # And those that have ended, as long as nobody has noticed: one that was paused and came
        # back has its old id and a new agent.
        self._open: set[_Sandbox] = set()
        self._paused: dict[int, float] = {}  # listeners, and when to listen again

    def forward(self, record: SandboxRecord, port: int) -> str:
        with self._lock:
            sandbox = self._sandbox(record)
            return self._listen(sandbox, port, lambda client: self._join(sandbox, port, client))

    def serve(self, record: SandboxRecord, make: Callable[[], Service]) -> tuple[str, Service]:
        with self._lock:
            sandbox = self._sandbox(record)
            service = sandbox.service = sandbox.service or make()
            return self._listen(sandbox, _SERVICE_PORT, service.accept), service

    def _sandbox(self, record: SandboxRecord) -> _Sandbox:
        sandbox = self._sandboxes.get(record.sandbox_id)
        if sandbox is not None and sandbox.rendezvous is record.rendezvous:
            return sandbox
        if record.rendezvous is NOBODY:
            raise SandboxNotRunningException(
                f"sandbox {record.sandbox_id} is not running: it has ended"
            )
        sandbox = _Sandbox(record)
        self._sandboxes[record.sandbox_id] = sandbox
        self._open.add(sandbox)
        if self._epoll is None:
            self._epoll = select.epoll()
            threading.Thread(
                target=self._run, args=(self._epoll,), name="localbox-forwarding", daemon=True
            ).start()
        # No events asked for: of the hang-up the kernel tells in any case.
        self.watch(sandbox.fd, 0, lambda _events: self._end(sandbox))
        return sandbox

    def _listen(self, sandbox: _Sandbox, port: int, accepted: Accepted) -> str:
        listener = sandbox.listeners.get(port)
        if listener is None:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            listener.setblocking(False)
            sandbox.listeners[port] = listener
            self.watch(
                listener.fileno(), select.EPOLLIN, lambda _events: self._accept(listener, accepted)
            )
        host, number = listener.getsockname()
        return f"{host}:{number}"

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        assert self._epoll is not None
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
            self._callbacks[fd] = callback
        else:
            self._callbacks[fd] = callback
            self._epoll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            assert self._epoll is not None
            self._epoll.unregister(fd)

    def _run(self, epoll: select.epoll) -> None:
        while True:
            for fd, events in epoll.poll(self._patience()):
                callback = self._callbacks.get(fd)
                # An earlier callback of this round may have closed it.
                if callback is not None:
                    self._call(callback, fd, events)
            self._look_at_clock()
            with self._lock:
                if not self._open:
                    epoll.close()
                    self._epoll = None
                    self._callbacks.clear()
                    return

    def _call(self, callback: Callable[[int], None], fd: int, events: int) -> None:
        try:
            callback(events)
        except Exception as error:  # noqa: BLE001 (one connection's trouble is not everybody's)
            with contextlib.suppress(OSError):
                self.unwatch(fd)
            threading.excepthook(
                threading.ExceptHookArgs((type(error), error, error.__traceback__, None))
            )

    def _patience(self) -> float:
        due = min(self._paused.values(), default=_NEVER)
        for sandbox in list(self._open):
            for joint in sandbox.joints:
                if joint.is_dialling:
                    due = min(due, joint.deadline)
        return -1 if due == _NEVER else max(0.0, due - time.monotonic())

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        for fd, due in list(self._paused.items()):
            if due <= now:
                del self._paused[fd]
                if fd in self._callbacks:
                    self.watch(fd, select.EPOLLIN, self._callbacks[fd])
        for sandbox in list(self._open):
            for joint in list(sandbox.joints):
                if joint.is_dialling and joint.deadline <= now:
                    joint.close(reset=True)

    def _accept(self, listener: socket.socket, accepted: Accepted) -> None:
        try:
            client, _address = listener.accept()
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                # It stays readable, and would keep this thread busy.
                self.watch(listener.fileno(), 0, self._callbacks[listener.fileno()])
                self._paused[listener.fileno()] = time.monotonic() + _PAUSE_S
            return  # or the client has left already
        client.setblocking(True)
        accepted(client)

    def _join(self, sandbox: _Sandbox, port: int, client: socket.socket) -> None:
        if len(sandbox.joints) >= _MOST_CONNECTIONS:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            joint = Joint(self, client, sandbox.record.rendezvous, port, sandbox.joints.discard)
        except OSError:
            client.close()
            return
        if joint.is_dialling:
            sandbox.joints.add(joint)

    def _end(self, sandbox: _Sandbox) -> None:
        with self._lock:
            self._open.discard(sandbox)
            if self._sandboxes.get(sandbox.record.sandbox_id) is sandbox:
                del self._sandboxes[sandbox.record.sandbox_id]
            for listener in sandbox.listeners.values():
                self._paused.pop(listener.fileno(), None)
                self.unwatch(listener.fileno())
                listener.close()
            for joint in list(sandbox.joints):
                joint.close(reset=True)
            if sandbox.service is not None:
                sandbox.service.end()
            self.unwatch(sandbox.fd)
            os.close(sandbox.fd)

    def abandon(self) -> None:
        """In a fork of the program: its parent's ports and connections are not ours."""
        for sandbox in self._open:
            os.close(sandbox.fd)
            for listener in sandbox.listeners.values():
                listener.close()
            for joint in sandbox.joints:
                joint.abandon()
            if sandbox.service is not None:
                sandbox.service.abandon()
        if self._epoll is not None:
            with contextlib.suppress(OSError):
                self._epoll.close()


_forwarder = Forwarder()


def _start_over() -> None:
    global _forwarder
    _forwarder.abandon()
    _forwarder = Forwarder()


os.register_at_fork(after_in_child=_start_over)
