"""Moves bytes between a command in a sandbox and this program's own stdin, stdout and stderr.

The client decodes output for its callers. Here the bytes go through as they are, so this reads the
command's frames itself.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from typing import Any

from localbox._sync.command_handle import CommandHandle
from localbox.errors import ProtocolError, SandboxException
from localbox.protocol.frames import MESSAGE, STDERR, STDOUT, FrameError, decode_message

_CHUNK_BYTES = 64 * 1024
_STDIN = 0
_DESCRIPTORS = {STDOUT: 1, STDERR: 2}


class OutputClosedError(Exception):
    """Whoever read our output has gone: `localbox run -- yes | head`."""


def copy_output(handle: CommandHandle[Any], *, to_stdio: bool) -> int:
    """Pass output on until the command ends; returns its exit code, 128 + n for signal n.

    Args:
        to_stdio: write it as it comes; otherwise it is only kept in the handle.

    Raises:
        OutputClosedError: nobody reads it any more.
        TimeoutException: the command's timeout expired.
        SandboxException: the sandbox ended before the command.
    """
    for kind, payload in handle._frames:
        if to_stdio and kind in _DESCRIPTORS:
            write_all(_DESCRIPTORS[kind], payload)
            continue
        handle._output.take((kind, payload))
        if handle._output.exit_code is not None:
            signal_number = _signal_number(kind, payload)
            # Only a signal's end is below 0; whatever else a guest says, a status is a byte.
            return (128 + signal_number) if signal_number else handle._output.exit_code & 0xFF
    raise ProtocolError("the command ended without saying how")


def forward_stdin(handle: CommandHandle[Any]) -> None:
    """Feed the command from our standard input in the background, to its end.

    Nobody waits for this: a command that never reads, or ends early, leaves it blocked in a daemon
    thread, which ends with the program.
    """
    threading.Thread(target=_feed, args=(handle,), daemon=True, name="localbox-stdin").start()


def stdin_can_be_forwarded() -> bool:
    """Not from a terminal: a command without one should not compete for what is typed."""
    if os.isatty(_STDIN):
        return False
    # /dev/null is what a command gets anyway.
    status, null = os.fstat(_STDIN), os.stat(os.devnull)
    return not (stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev)


def _feed(handle: CommandHandle[Any]) -> None:
    try:
        while chunk := _read_some(_STDIN):
            # No timeout: a command may take its time before it reads on.
            handle.send_stdin(chunk, request_timeout=0)
        handle.close_stdin(request_timeout=0)
    except SandboxException:
        # It has ended or closed its standard input, which is its right.
        return


def _read_some(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            # The other end of a shared pipe or socket was made non-blocking by somebody.
            select.select([fd], [], [])
        except OSError:
            return b""


def write_all(fd: int, data: bytes) -> None:
    """
    Raises:
        OutputClosedError: nobody reads it any more.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
        except OSError as error:
            raise OutputClosedError(str(error)) from None


def _signal_number(kind: int, payload: bytes) -> int:
    """The signal that ended the command, from the end message; 0 if none did."""
    if kind != MESSAGE:
        return 0
    try:
        number = decode_message(payload)["end"].get("signal")
    except (FrameError, KeyError, AttributeError):
        return 0
    return number if isinstance(number, int) and 0 < number < 128 else 0
