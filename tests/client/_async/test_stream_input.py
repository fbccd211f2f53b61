"""Input as it comes to hand: order, back-pressure, and every way a stream can fail."""

from __future__ import annotations

# unasync: async
import asyncio
import hashlib
import itertools

# unasync: sync
# import hashlib
# import itertools
# from collections.abc import Iterable, Iterator
# unasync: end
import pytest

from localbox import (
    # unasync: async
    AsyncCommandInputHandle,
    # unasync: sync
    # unasync: end
    AsyncSandbox,
    InvalidArgumentException,
    NotFoundException,
    SandboxException,
    SandboxNotRunningException,
    TimeoutException,
)

pytestmark = pytest.mark.anyio

MIB = 1 << 20


# unasync: async
async def stream(sandbox: AsyncSandbox, pid: int, *data: str | bytes, **options: float) -> None:
    async with sandbox.commands.stream_input(pid, **options) as handle:
        for chunk in data:
            await handle.send(chunk)


async def stream_forever(sandbox: AsyncSandbox, pid: int, **options: float) -> None:
    async with sandbox.commands.stream_input(pid, **options) as handle:
        while True:
            await handle.send(b"x" * 10_000)


# unasync: sync
# def stream(sandbox: AsyncSandbox, pid: int, *data: str | bytes, **options: float) -> None:
#     sandbox.commands.stream_input(pid, iter(data), **options)
#
#
# def stream_forever(sandbox: AsyncSandbox, pid: int, **options: float) -> None:
#     sandbox.commands.stream_input(pid, itertools.repeat(b"x" * 10_000), **options)
#
#
# unasync: end
async def test_chunks_arrive_in_order(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    await stream(sandbox, handle.pid, "a", b"b", "", "ü", *"cdefg")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "abücdefg"


async def test_megabytes_arrive_whole(sandbox: AsyncSandbox) -> None:
    chunk = bytes(range(256)) * 1000
    handle = await sandbox.commands.run("sha256sum", background=True, stdin=True)
    await stream(sandbox, handle.pid, *itertools.repeat(chunk, 30))
    await handle.close_stdin()
    expected = hashlib.sha256(chunk * 30).hexdigest()
    assert (await handle.wait()).stdout.split()[0] == expected


async def test_the_end_of_a_stream_does_not_end_the_input(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    await stream(sandbox, handle.pid, "first ")
    await stream(sandbox, handle.pid)
    await stream(sandbox, handle.pid, "second")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "first second"


async def test_a_stream_to_nobody_is_not_found(sandbox: AsyncSandbox) -> None:
    with pytest.raises(NotFoundException, match="4242"):
        await stream(sandbox, 4242, "x")
    with pytest.raises(NotFoundException, match="4242"):
        await stream_forever(sandbox, 4242)


async def test_a_command_without_standard_input_takes_none(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True)
    with pytest.raises(SandboxException, match="stdin=True"):
        await stream(sandbox, handle.pid, "x")


async def test_a_command_that_does_not_read_is_not_waited_for(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True, stdin=True)
    with pytest.raises(TimeoutException, match=r"input within 0\.3 s"):
        await stream_forever(sandbox, handle.pid, timeout=0.3)
    # What was sent before is in its pipe, and there is no room for more.
    with pytest.raises(TimeoutException):
        await stream(sandbox, handle.pid, "x", timeout=0.1)


async def test_a_command_that_ends_ends_the_stream(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("head -c 5", background=True, stdin=True)
    with pytest.raises(SandboxException, match=r"has ended|closed its standard input|no process"):
        await stream_forever(sandbox, handle.pid)
    assert (await handle.wait()).stdout == "xxxxx"


async def test_a_sandbox_that_ends_ends_the_stream(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    await sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        await stream(sandbox, handle.pid, "x")


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1"])
async def test_timeouts_that_cannot_be_are_refused(sandbox: AsyncSandbox, timeout: float) -> None:
    with pytest.raises(InvalidArgumentException, match="timeout"):
        await stream(sandbox, 4242, "x", timeout=timeout)


# unasync: async
async def test_other_things_than_text_and_bytes_are_refused(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    async with sandbox.commands.stream_input(handle.pid) as typing:
        assert isinstance(typing, AsyncCommandInputHandle)
        with pytest.raises(InvalidArgumentException, match="str or bytes"):
            await typing.send(5)  # type: ignore[arg-type]
        await typing.send("it goes on")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "it goes on"


async def test_a_closed_handle_sends_nothing(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    typing = sandbox.commands.stream_input(handle.pid)
    await typing.send("x")
    await typing.close()
    await typing.close()
    with pytest.raises(SandboxException, match="closed"):
        await typing.send("y")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "x"


async def test_send_waits_while_much_is_not_read(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True, stdin=True)
    typing = sandbox.commands.stream_input(handle.pid, timeout=0.5)
    sent = 0

    async def send_forever() -> None:
        nonlocal sent
        while True:
            await typing.send(b"x" * 100_000)
            sent += 100_000

    with pytest.raises(TimeoutException):
        await send_forever()
    assert sent < 4 * MIB


async def test_several_senders_take_turns(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    async with sandbox.commands.stream_input(handle.pid) as typing:
        await asyncio.gather(*(typing.send(f"{number}\n" * 50_000) for number in range(10)))
    await handle.close_stdin()
    lines = (await handle.wait()).stdout.split()
    assert [number for number, _ in itertools.groupby(lines)] == [str(n) for n in range(10)]


async def test_a_send_that_is_cancelled_leaves_the_stream_whole(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run("mkfifo go")
    handle = await sandbox.commands.run("cat go; wc -c", background=True, stdin=True)
    async with sandbox.commands.stream_input(handle.pid) as typing:
        await typing.send(b"x" * 3 * MIB)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(typing.send(b"y" * 3 * MIB), 0.1)
        await sandbox.commands.run("true > go")
        await typing.send(b"z")
    await handle.close_stdin()
    assert (await handle.wait()).stdout.strip() == str(3 * MIB + 1)


async def test_a_failure_is_told_at_the_next_send_and_at_the_end(sandbox: AsyncSandbox) -> None:
    typing = sandbox.commands.stream_input(4242)

    async def send_until_it_is_known() -> None:
        while True:
            await typing.send("x")
            await asyncio.sleep(0)

    with pytest.raises(NotFoundException):
        await send_until_it_is_known()
    with pytest.raises(NotFoundException):
        await typing.close()


# unasync: sync
# @pytest.mark.parametrize("data", ["abc", b"abc", bytearray(b"abc"), memoryview(b"abc")])
# def test_a_single_text_is_no_stream(
#     sandbox: AsyncSandbox, data: Iterable[str | bytes]
# ) -> None:
#     with pytest.raises(InvalidArgumentException, match=r"\[data\]"):
#         sandbox.commands.stream_input(4242, data)
#
#
# def test_other_things_than_text_and_bytes_are_refused(sandbox: AsyncSandbox) -> None:
#     handle = sandbox.commands.run("cat", background=True, stdin=True)
#     with pytest.raises(InvalidArgumentException, match="str or bytes"):
#         sandbox.commands.stream_input(handle.pid, [5])  # type: ignore[list-item]
#
#
# def test_what_the_iterable_raises_is_raised(sandbox: AsyncSandbox) -> None:
#     def broken() -> Iterator[str]:
#         yield "x"
#         raise TimeoutError("the caller's own")
#
#     handle = sandbox.commands.run("cat", background=True, stdin=True)
#     with pytest.raises(TimeoutError, match="the caller's own"):
#         sandbox.commands.stream_input(handle.pid, broken())
#     stream(sandbox, handle.pid, "y")
#     handle.close_stdin()
#     assert handle.wait().stdout == "xy"
#
#
# unasync: end
