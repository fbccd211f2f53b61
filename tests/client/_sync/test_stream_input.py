# generated from tests/client/_async/test_stream_input.py by scripts/unasync.py; edit that, not this
"""Input as it comes to hand: order, back-pressure, and every way a stream can fail."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator

import pytest

from localbox import (
    InvalidArgumentException,
    NotFoundException,
    Sandbox,
    SandboxException,
    SandboxNotRunningException,
    TimeoutException,
)

MIB = 1 << 20


def stream(sandbox: Sandbox, pid: int, *data: str | bytes, **options: float) -> None:
    sandbox.commands.stream_input(pid, iter(data), **options)


def stream_forever(sandbox: Sandbox, pid: int, **options: float) -> None:
    sandbox.commands.stream_input(pid, itertools.repeat(b"x" * 10_000), **options)


def test_chunks_arrive_in_order(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    stream(sandbox, handle.pid, "a", b"b", "", "ü", *"cdefg")
    handle.close_stdin()
    assert handle.wait().stdout == "abücdefg"


def test_megabytes_arrive_whole(sandbox: Sandbox) -> None:
    chunk = bytes(range(256)) * 1000
    handle = sandbox.commands.run("sha256sum", background=True, stdin=True)
    stream(sandbox, handle.pid, *itertools.repeat(chunk, 30))
    handle.close_stdin()
    expected = hashlib.sha256(chunk * 30).hexdigest()
    assert handle.wait().stdout.split()[0] == expected


def test_the_end_of_a_stream_does_not_end_the_input(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    stream(sandbox, handle.pid, "first ")
    stream(sandbox, handle.pid)
    stream(sandbox, handle.pid, "second")
    handle.close_stdin()
    assert handle.wait().stdout == "first second"


def test_a_stream_to_nobody_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundException, match="4242"):
        stream(sandbox, 4242, "x")
    with pytest.raises(NotFoundException, match="4242"):
        stream_forever(sandbox, 4242)


def test_a_command_without_standard_input_takes_none(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True)
    with pytest.raises(SandboxException, match="stdin=True"):
        stream(sandbox, handle.pid, "x")


def test_a_command_that_does_not_read_is_not_waited_for(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True, stdin=True)
    with pytest.raises(TimeoutException, match=r"input within 0\.3 s"):
        stream_forever(sandbox, handle.pid, timeout=0.3)
    # What was sent before is in its pipe, and there is no room for more.
    with pytest.raises(TimeoutException):
        stream(sandbox, handle.pid, "x", timeout=0.1)


def test_a_command_that_ends_ends_the_stream(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("head -c 5", background=True, stdin=True)
    with pytest.raises(SandboxException, match=r"has ended|closed its standard input|no process"):
        stream_forever(sandbox, handle.pid)
    assert handle.wait().stdout == "xxxxx"


def test_a_sandbox_that_ends_ends_the_stream(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        stream(sandbox, handle.pid, "x")


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1"])
def test_timeouts_that_cannot_be_are_refused(sandbox: Sandbox, timeout: float) -> None:
    with pytest.raises(InvalidArgumentException, match="timeout"):
        stream(sandbox, 4242, "x", timeout=timeout)


@pytest.mark.parametrize("data", ["abc", b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_a_single_text_is_no_stream(sandbox: Sandbox, data: Iterable[str | bytes]) -> None:
    with pytest.raises(InvalidArgumentException, match=r"\[data\]"):
        sandbox.commands.stream_input(4242, data)


def test_other_things_than_text_and_bytes_are_refused(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    with pytest.raises(InvalidArgumentException, match="str or bytes"):
        sandbox.commands.stream_input(handle.pid, [5])  # type: ignore[list-item]


def test_what_the_iterable_raises_is_raised(sandbox: Sandbox) -> None:
    def broken() -> Iterator[str]:
        yield "x"
        raise TimeoutError("the caller's own")

    handle = sandbox.commands.run("cat", background=True, stdin=True)
    with pytest.raises(TimeoutError, match="the caller's own"):
        sandbox.commands.stream_input(handle.pid, broken())
    stream(sandbox, handle.pid, "y")
    handle.close_stdin()
    assert handle.wait().stdout == "xy"
