"""What both transports share: how an exchange is opened, and what its descriptors come as."""

from __future__ import annotations

import _socket
import array
import os
import socket
import time
from typing import Protocol

from localbox.protocol.frames import (
    MAX_DATAGRAM_BYTES,
    Frame,
    FrameDecoder,
    FrameError,
    Message,
    encode_datagram,
    encode_message,
)

# Below malloc's threshold for a mapping of its own, which would be made and faulted in each time.
RECEIVE_BYTES = 96 * 1024
_FD_SPACE = _socket.CMSG_SPACE(4)


class PeerGoneError(Exception):
    """The process at the other end has ended, or closed this exchange without an answer."""


class Rendezvous(socket.socket):
    """Closes itself with the last reference to it, which may be a send in another thread.

    So dropping it is the safe way to close it: closed outright, its number could be the next
    sandbox's before that thread's system call looks at it.
    """

    def __del__(self) -> None:
        self.close()


def rendezvous_pair() -> tuple[Rendezvous, _socket.socket]:
    """Where exchanges with a peer are announced: our end, and the one to hand to it."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0)
    return Rendezvous(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, ours.detach()), theirs


class OwnedFd:
    """A descriptor that is closed with the last reference to it.

    Closed outright, its number could be another file's before a thread that waits for it looks.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def __del__(self) -> None:
        os.close(self._fd)


class OutputSource(Protocol):
    """A process whose output, which comes in pipes, belongs between the frames of an exchange."""

    def filenos(self) -> list[int]: ...

    def take(self) -> list[Frame]: ...

    def has_ended(self) -> bool: ...


class Baton(Protocol):
    """See engine.contexts."""

    def fileno(self) -> int: ...

    def try_take(self) -> bool: ...


class ExchangeState:
    """One exchange with the zygote or an agent: our end of a socket pair made just for it.

    The other end goes to the peer as a descriptor, in one atomic sendmsg, so any number of threads,
    tasks and forked copies of this program can ask at once and answers never cross.
    """

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self._decoder = FrameDecoder()
        self._frames: list[Frame] = []
        self._fd = -1
        self._gone = False

    def take_frame(self) -> Frame | None:
        return self._frames.pop(0) if self._frames else None

    def take_all(self, outputs: OutputSource) -> list[Frame]:
        """What there is now of both, in the order it was made; [] if that is nothing.

        A frame is sent after the output that came before it was written, so the pipes are looked
        at when it is here: what they hold then belongs in front of it, unless it was written after
        the frame by a process that did not wait; which is nobody's order to know.
        """
        if self._gone and not self._frames:
            raise PeerGoneError
        # Forks of it may keep its end of the exchange open. Looked at first: what it has sent, it
        # has sent before.
        ended = outputs.has_ended()
        try:
            self.receive_available()
        except BlockingIOError:
            self._gone = ended
        except PeerGoneError:
            self._gone = True
        pieces = outputs.take()
        frames, self._frames = self._frames, []
        if self._gone and not pieces and not frames:
            raise PeerGoneError
        return pieces + frames

    def has_answer(self) -> bool:
        """Whether a frame is there already, or the peer gone, so that receiving would not wait."""
        if not self._frames:
            try:
                self.receive_available()
            except BlockingIOError:
                return False
            except PeerGoneError:
                return True
        return bool(self._frames)

    def give_back(self, frames: list[Frame]) -> None:
        """Frames that were taken and not used are the next to be taken."""
        self._frames[:0] = frames

    def take_fd(self) -> int:
        """The descriptor that came with the frames so far, now the caller's; -1 if none did."""
        fd, self._fd = self._fd, -1
        return fd

    def receive_available(self) -> None:
        """Take what the socket has; raises BlockingIOError if that is nothing."""
        try:
            data, ancillary, _flags, _address = self.sock.recvmsg(
                RECEIVE_BYTES, _FD_SPACE, _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT
            )
        except ConnectionResetError:
            raise PeerGoneError from None
        self._keep_descriptors(ancillary)
        if not data:
            raise PeerGoneError
        try:
            self._frames += self._decoder.feed(data)
        except FrameError as error:
            raise ProtocolViolationError(str(error)) from None

    def _keep_descriptors(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, payload in ancillary:
            if level != _socket.SOL_SOCKET or kind != _socket.SCM_RIGHTS:
                continue
            fds = array.array("i")
            fds.frombytes(payload[: len(payload) // fds.itemsize * fds.itemsize])
            for fd in fds:
                if self._fd < 0:
                    self._fd = fd
                else:
                    os.close(fd)

    def close(self) -> None:
        self.sock.close()
        if self._fd >= 0:
            os.close(self.take_fd())


class ProtocolViolationError(Exception):
    """What came is not a frame; from a sandbox that means its agent is no longer itself."""


def prepare(
    request: Message, fds: tuple[int, ...]
) -> tuple[ExchangeState, bytes, bytes, list[int]]:
    """The exchange, the datagram and the rest of an opening request, and the descriptors to pass.

    The first of those descriptors is the peer's end of the exchange; close it once it is sent.
    """
    # Not socket.socketpair, which makes each of the two a second time.
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM, 0)
    datagram, rest = encode_datagram(request), b""
    if len(datagram) > MAX_DATAGRAM_BYTES:
        try:
            datagram, rest = b"+", encode_message(request)
        except FrameError:
            ours.close()
            theirs.close()
            raise
    return ExchangeState(ours), datagram, rest, [theirs.detach(), *fds]


def pass_descriptors(rendezvous: socket.socket, datagram: bytes, fds: list[int]) -> None:
    """One atomic send; raises BlockingIOError while the peer's queue is full."""
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", fds))]
    try:
        rendezvous.sendmsg([datagram], ancillary, _socket.MSG_DONTWAIT)
    except (BrokenPipeError, ConnectionResetError, ConnectionRefusedError):
        raise PeerGoneError from None


def remaining(deadline: float | None) -> float | None:
    """Seconds left, for a call that takes a timeout.

    Raises:
        TimeoutError: none are left.
    """
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def post(rendezvous: socket.socket, request: Message) -> None:
    """Send a request whose answer nobody waits for. Never blocks.

    Raises:
        PeerGoneError: nobody is there any more.
        BlockingIOError: the peer takes no requests now.
    """
    state, datagram, _rest, passed = prepare(request, ())
    try:
        pass_descriptors(rendezvous, datagram, passed)
    finally:
        os.close(passed[0])
        state.close()
