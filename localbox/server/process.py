"""process.Process: commands and terminals, as envd offers them.

Their output goes on as bytes, where the public interface gives decoded text; so this reads the
frames of `commands`, as the command line does.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from localbox._async.commands import Commands
from localbox.engine.answers import read_answer
from localbox.errors import CommandExitException, ProtocolError
from localbox.models import ProcessInfo, PtySize
from localbox.protocol.frames import PTY, STDERR, STDOUT
from localbox.server.connect_rpc import (
    Call,
    Message,
    envelope,
    field,
    raw_envelope,
    stream_in,
    stream_out,
    unary,
)
from localbox.server.errors import Refusal
from localbox.transport.asyncio import FrameStream

_STREAM_NAMES = {STDOUT: b"stdout", STDERR: b"stderr", PTY: b"pty"}
_CHUNK_BYTES = 32 * 1024
_LARGEST_SIZE = 0xFFFF
_KEEPALIVE = envelope({"event": {"keepalive": {}}})
_KILL = ("SIGNAL_SIGKILL", 9)
_TERMINATE = ("SIGNAL_SIGTERM", 15)


class _RawCommands(Commands):
    """`commands` that give the frames of a process instead of a handle that reads them."""

    async def _handle(self, frames: FrameStream, *_args: Any, **_options: Any) -> Any:
        return frames


def _commands(call: Call) -> _RawCommands:
    return _RawCommands(call.served.sandbox._connection)


async def _start(call: Call) -> AsyncGenerator[bytes, None]:
    config = field(call.message, "process", dict, {})
    command = field(config, "cmd", str, "")
    arguments = [str(argument) for argument in field(config, "args", list, [])]
    if not command or any("\0" in part for part in (command, *arguments)):
        raise Refusal(400, "process.cmd is needed, and no part of it may have a NUL byte")
    if "/" not in command:
        # The agent takes paths only; a name is looked up in the sandbox's PATH, by its shell.
        arguments = ["-c", 'exec "$0" "$@"', command, *arguments]
        command = "/bin/sh"
    program: Message = {
        "argv": [command, *arguments],
        # Tells the pid at once, and not with the first output.
        "background": True,
        "tag": field(call.message, "tag", str, "") or None,
    }
    if call.message.get("pty") is not None:
        size = _size(call.message)
        program["pty"] = {"rows": size.rows, "cols": size.cols}
    frames = await _commands(call)._start(
        program,
        field(config, "envs", dict, {}),
        call.user,
        field(config, "cwd", str, "") or None,
        field(call.message, "stdin", bool, True),
        call.timeout_s,
        False,
        None,
        None,
    )
    async with aclosing(_events(cast(FrameStream, frames))) as events:
        async for event in events:
            yield event


async def _connect(call: Call) -> AsyncGenerator[bytes, None]:
    pid = await _pid_of(call, call.message)
    frames = await _commands(call)._connect(pid, call.timeout_s, False, None, None)
    async with aclosing(_events(cast(FrameStream, frames))) as events:
        async for event in events:
            yield event


async def _events(frames: FrameStream) -> AsyncGenerator[bytes, None]:
    # Closing the frames is what "the client has gone" means to the agent; the process goes on.
    async with aclosing(frames):
        async for kind, payload in frames:
            name = _STREAM_NAMES.get(kind)
            if name is not None:
                yield _data(name, payload)
                continue
            message = read_answer((kind, payload))
            start, end = message.get("start"), message.get("end")
            if isinstance(start, dict) and isinstance(start.get("pid"), int):
                yield envelope({"event": {"start": {"pid": start["pid"]}}})
            elif isinstance(end, dict) and isinstance(end.get("exit_code"), int):
                yield envelope({"event": {"end": _end(end)}})
                return
            else:
                raise ProtocolError("a process sent a message that is neither start nor end")


def _data(name: bytes, payload: bytes) -> bytes:
    pieces = []
    for start in range(0, len(payload), _CHUNK_BYTES):
        content = binascii.b2a_base64(payload[start : start + _CHUNK_BYTES], newline=False)
        pieces.append(raw_envelope(b'{"event":{"data":{"%s":"%s"}}}' % (name, content)))
    return b"".join(pieces)


def _end(end: Message) -> Message:
    by_signal = end.get("signal") is not None
    # The agent may lie, and a client takes no more than a status.
    code = -1 if by_signal else end["exit_code"] & 0xFF
    error = end.get("error")
    described: Message = {
        "exitCode": code,
        "exited": not by_signal,
        "status": str(error or f"exit status {code}"),
    }
    if error is not None:
        described["error"] = str(error)
    return described


async def _list(call: Call) -> Message:
    listed = await call.served.sandbox.commands.list(call.timeout_s)
    return {"processes": [_described(process) for process in listed]}


def _described(process: ProcessInfo) -> Message:
    config: Message = {"cmd": process.cmd, "args": process.args, "envs": process.envs}
    if process.cwd is not None:
        config["cwd"] = process.cwd
    described: Message = {"config": config, "pid": process.pid}
    if process.tag is not None:
        described["tag"] = process.tag
    return described


async def _send_input(call: Call) -> Message:
    pid = await _pid_of(call, call.message)
    data, to_terminal = _input(call.message)
    sandbox = call.served.sandbox
    # 0: the call's own deadline is the limit.
    if to_terminal:
        await sandbox.pty.send_stdin(pid, data, request_timeout=0)
    else:
        await sandbox.commands.send_stdin(pid, data, request_timeout=0)
    return {}


async def _stream_input(call: Call, messages: AsyncIterator[Message]) -> Message:
    handle = None
    try:
        pid = -1
        async for message in messages:
            if message.get("start") is not None:
                pid = await _pid_of(call, field(message, "start", dict, {}))
            elif message.get("data") is not None:
                if pid < 0:
                    raise Refusal(400, "the first message of the stream has to be its start")
                data, to_terminal = _input(field(message, "data", dict, {}))
                if handle is None:
                    sandbox = call.served.sandbox
                    streams = sandbox.pty if to_terminal else sandbox.commands
                    handle = streams.stream_input(pid, timeout=call.timeout_s)
                await handle.send(data)
        if handle is not None:
            await handle.close()
        elif pid >= 0:
            await _check_there(call, pid)
    finally:
        # Given up in the middle: what the process has not taken by now it need not take.
        if handle is not None and not handle._task.done():
            handle._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await handle._task
    return {}


async def _close_stdin(call: Call) -> Message:
    pid = await _pid_of(call, call.message)
    await call.served.sandbox.commands.close_stdin(pid, call.timeout_s)
    return {}


async def _update(call: Call) -> Message:
    pid = await _pid_of(call, call.message)
    if call.message.get("pty") is not None:
        await call.served.sandbox.pty.resize(pid, _size(call.message), call.timeout_s)
    return {}


async def _send_signal(call: Call) -> Message:
    pid = await _pid_of(call, call.message)
    commands = call.served.sandbox.commands
    signal = call.message.get("signal")
    if signal in _KILL:
        if not await commands.kill(pid, call.timeout_s):
            raise _no_process(pid)
    elif signal in _TERMINATE:
        await _check_there(call, pid)
        try:
            # The agent itself knows SIGKILL only.
            await commands.run(f"kill -TERM {pid}", user=call.user)
        except CommandExitException as error:
            raise Refusal(403, f"process {pid} cannot be signalled: {error.stderr}") from None
    else:
        raise Refusal(400, f"signal must be SIGNAL_SIGKILL or SIGNAL_SIGTERM, not {signal!r:.50}")
    return {}


async def _pid_of(call: Call, message: Message) -> int:
    """The process a selector means, by its pid or its tag."""
    selector = field(message, "process", dict, {})
    tag = selector.get("tag")
    if tag is None:
        return field(selector, "pid", int, 0)
    for process in await call.served.sandbox.commands.list(call.timeout_s):
        if process.tag == tag:
            return process.pid
    raise Refusal(404, f"there is no process with tag {tag!r:.100}")


async def _check_there(call: Call, pid: int) -> None:
    listed = await call.served.sandbox.commands.list(call.timeout_s)
    if all(process.pid != pid for process in listed):
        raise _no_process(pid)


def _no_process(pid: int) -> Refusal:
    return Refusal(404, f"there is no process with pid {pid}")


def _input(message: Message) -> tuple[bytes, bool]:
    """The bytes to write, and whether to a terminal."""
    given = field(message, "input", dict, {})
    to_terminal = given.get("pty") is not None
    try:
        content = field(given, "pty" if to_terminal else "stdin", str, "")
        return binascii.a2b_base64(content, strict_mode=True), to_terminal
    except binascii.Error:
        raise Refusal(400, "the input is not base64") from None


def _size(message: Message) -> PtySize:
    size = field(field(message, "pty", dict, {}), "size", dict, {})
    rows, cols = field(size, "rows", int, 0), field(size, "cols", int, 0)
    if not (0 <= rows <= _LARGEST_SIZE and 0 <= cols <= _LARGEST_SIZE):
        raise Refusal(400, f"a terminal has up to {_LARGEST_SIZE} rows and columns")
    return PtySize(rows=rows, cols=cols)


routes = [
    stream_out("/process.Process/Start", _start, keepalive=_KEEPALIVE),
    stream_out("/process.Process/Connect", _connect, keepalive=_KEEPALIVE),
    unary("/process.Process/List", _list),
    unary("/process.Process/SendInput", _send_input),
    stream_in("/process.Process/StreamInput", _stream_input),
    unary("/process.Process/CloseStdin", _close_stdin),
    unary("/process.Process/Update", _update),
    unary("/process.Process/SendSignal", _send_signal),
]
