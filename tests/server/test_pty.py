"""Terminals through E2B's own SDK, unmodified, against a local server."""

from __future__ import annotations

import asyncio

import e2b
import pytest
from e2b import AsyncSandbox, PtySize, Sandbox


def test_terminal_takes_input_and_ends_with_its_shell(sandbox: Sandbox) -> None:
    terminal = sandbox.pty.create(PtySize(rows=24, cols=80), envs={"A": "b"}, cwd="/tmp")
    sandbox.pty.send_stdin(terminal.pid, b"stty size; echo =$TERM-$A-$PWD=\n")
    shown = bytearray()
    for _stdout, _stderr, piece in terminal:
        before = len(shown)
        shown += piece or b""
        end = shown.find(b"-/tmp=")
        if before <= end:
            sandbox.pty.resize(terminal.pid, PtySize(rows=30, cols=100))
            sandbox.pty.send_stdin(terminal.pid, b"stty size; exit 3\n")
    for text in (b"24 80", b"=xterm-256color-b-/tmp=", b"30 100"):
        assert text in shown
    with pytest.raises(e2b.CommandExitException) as raised:
        terminal.wait()
    assert raised.value.exit_code == 3


def test_terminal_is_killed_and_then_unknown(sandbox: Sandbox) -> None:
    terminal = sandbox.pty.create(PtySize(rows=24, cols=80))
    assert terminal.pid in [process.pid for process in sandbox.commands.list()]
    assert sandbox.pty.kill(terminal.pid)
    with pytest.raises(e2b.CommandExitException):
        terminal.wait()
    assert not sandbox.pty.kill(terminal.pid)
    with pytest.raises(e2b.NotFoundException):
        sandbox.pty.resize(terminal.pid, PtySize(rows=1, cols=1))


@pytest.mark.anyio
async def test_async_terminal(async_sandbox: AsyncSandbox) -> None:
    shown = bytearray()
    seen = asyncio.Event()

    def show(data: bytes) -> None:
        shown.extend(data)
        if b"=42=" in shown:
            seen.set()

    terminal = await async_sandbox.pty.create(PtySize(rows=24, cols=80), on_data=show)
    async with async_sandbox.pty.stream_input(terminal.pid) as stream:
        await stream.send(b"echo =$((6*7))=\n")
    await asyncio.wait_for(seen.wait(), 5)
    await terminal.disconnect()
    again = await async_sandbox.pty.connect(terminal.pid, on_data=show)
    await async_sandbox.pty.send_stdin(terminal.pid, b"exit 5\n")
    with pytest.raises(e2b.CommandExitException) as raised:
        await again.wait()
    assert raised.value.exit_code == 5
