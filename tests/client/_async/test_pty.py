"""Shells on terminals: sizes, signals, job control, programs that draw, and their ends."""

from __future__ import annotations

import shutil

import pytest

from localbox import (
    AsyncSandbox,
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    PtySize,
    SandboxException,
    TimeoutException,
)
from tests.client._async.doing import until
from tests.client._async.terminals import SIZE, Shell

pytestmark = pytest.mark.anyio

_TELLS_ITS_SIZE = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
print("at first", *os.get_terminal_size())
signal.sigwait([signal.SIGWINCH])
print("now", *os.get_terminal_size())
"""


async def test_an_interactive_login_shell_runs_on_a_terminal(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.says(b"tty", rb"/dev/pts/\d+\r\n")
    await shell.says(b"echo $TERM,$LANG,$LC_ALL", rb"xterm-256color,C\.UTF-8,C\.UTF-8\r\n")
    await shell.says(b"echo $-; shopt login_shell; pwd", rb"\w*i\w*\r\n.*on\r\n/home/user\r\n")
    await shell.says(b"(exec 3<>/dev/tty && echo it $((6*7)) >&3)", rb"it 42\r\n")


async def test_it_starts_where_and_with_what_it_is_told(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox, cwd="/tmp", envs={"A": "b c", "TERM": "dumb"})
    await shell.says(b'pwd; echo "<$A>$TERM"', rb"/tmp\r\n<b c>dumb\r\n")


async def test_programs_see_the_size_and_its_change(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("size.py", _TELLS_ITS_SIZE)
    shell = await Shell.open(sandbox, PtySize(rows=33, cols=111))
    await shell.says(b"stty size", rb"33 111\r\n")
    await shell.says(b"python3 size.py", rb"at first 111 33\r\n")
    await sandbox.pty.resize(shell.handle.pid, PtySize(rows=40, cols=65535))
    await shell.shows(rb"now 65535 40\r\n")
    await shell.says(b"stty size", rb"40 65535\r\n")


async def test_ctrl_c_interrupts_the_program_and_not_the_shell(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.says(b"sh -c 'echo go; exec sleep 1000'", rb"go\r\n")
    await shell.type(b"\x03")
    await shell.prompts()
    await shell.says(b"echo exit $?", rb"exit 130\r\n")


async def test_jobs_can_be_suspended_and_resumed(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.says(b"sh -c 'echo go; exec sed -u s/front/fore/'", rb"go\r\n")
    await shell.type(b"\x1a")
    await shell.shows(rb"Stopped.*\r\n")
    await shell.says(b"jobs -l", rb"\[1\]\+ +\d+ Stopped.*\r\n")
    await shell.type(b"fg\nto the front\n")
    await shell.shows(rb"to the fore\r\n")
    await shell.type(b"\x03")
    await shell.prompts()
    await shell.says(b"echo exit $?", rb"exit 130\r\n")


async def test_ctrl_d_ends_the_input_of_what_reads_it(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.says(b"echo; cat; echo cat has ended", rb"\r\n")
    await shell.type(b"a line\n\x04")
    await shell.shows(rb"a line\r\na line\r\ncat has ended\r\n")


async def test_python_is_interactive(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.type(b"python3 -q\n")
    await shell.shows(rb">>> ")
    await shell.says(b"import sys; sys.stdin.isatty(), 6 * 7", rb".*\(True, 42\)\r\n")
    await shell.type(b"exit()\n")
    await shell.prompts()
    await shell.says(b"echo back $((1 + 1))", rb"back 2\r\n")


@pytest.mark.skipif(not shutil.which("vi"), reason="this machine has no vi")
async def test_an_editor_edits(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.type(b"vi -u NONE new.txt\n")
    await shell.shows(rb"new\.txt")
    await shell.type("ihällo\x1b:wq\r".encode())
    await shell.shows(rb"written")
    assert await sandbox.files.read("new.txt") == "hällo\n"


@pytest.mark.skipif(not shutil.which("less"), reason="this machine has no less")
async def test_a_pager_pages(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.type(b"seq 1000 | less\n")
    await shell.shows(rb"1\r\n2\r\n")
    await shell.type(b"G")
    await shell.shows(rb"999\r\n1000\r\n")
    await shell.type(b"q")
    await shell.prompts()
    await shell.says(b"echo back $((1 + 1))", rb"back 2\r\n")


async def test_the_handle_tells_how_the_shell_ended(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    await shell.type(b"exit 3\n")
    with pytest.raises(CommandExitException) as caught:
        await shell.handle.wait()
    assert (caught.value.exit_code, caught.value.stdout) == (3, "")


async def test_wait_hands_over_what_the_terminal_shows(sandbox: AsyncSandbox) -> None:
    shown: list[bytes] = []
    # unasync: async
    handle = await sandbox.pty.create(SIZE, shown.append)
    await sandbox.pty.send_stdin(handle.pid, b"echo $((6*7)); exit\n")
    result = await handle.wait()
    assert handle.stdout == handle.stderr == ""
    # unasync: sync
    # handle = sandbox.pty.create(SIZE)
    # sandbox.pty.send_stdin(handle.pid, b"echo $((6*7)); exit\n")
    # result = handle.wait(on_pty=shown.append)
    # unasync: end
    assert b"\r42\r\n" in b"".join(shown)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


# unasync: async
async def test_on_data_may_be_a_coroutine(sandbox: AsyncSandbox) -> None:
    shown: list[bytes] = []

    async def on_data(data: bytes) -> None:
        shown.append(data)

    handle = await sandbox.pty.create(SIZE, on_data)
    await sandbox.pty.send_stdin(handle.pid, b"echo $((6*7)); exit\n")
    await handle.wait()
    assert b"\r42\r\n" in b"".join(shown)


# unasync: sync
# def test_reading_can_stop_and_go_on(sandbox: AsyncSandbox) -> None:
#     handle = sandbox.commands.run(
#         "for word in a b c; do echo $word; read -r go; done", background=True, stdin=True
#     )
#     read = []
#     for _ in range(2):
#         for stdout, _stderr, _pty in handle:
#             read.append(stdout)
#             break
#         handle.send_stdin("go\n")
#     assert read == ["a\n", "b\n"]
#     handle.send_stdin("go\n")
#     assert handle.wait().stdout == "a\nb\nc\n"
#     assert list(handle) == []
#
#
# unasync: end
async def test_kill_ends_every_job_of_the_terminal(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    # Each in a process group of its own, and deaf to the hang-up of the terminal.
    job = b"(trap '' HUP; exec sleep 1234) &"
    await shell.says(job + job + b" echo started $((1 + 1))", rb"[^$]*started 2\r\n")

    async def sleeping() -> str:
        return (await sandbox.commands.run("pgrep -x sleep || true")).stdout

    async def two_sleep() -> bool:
        return len((await sleeping()).split()) == 2

    async def none_sleeps() -> bool:
        return await sleeping() == ""

    await until(two_sleep)
    assert await sandbox.pty.kill(shell.handle.pid) is True
    with pytest.raises(CommandExitException, match="code -1"):
        await shell.handle.wait()
    await until(none_sleeps)
    assert await sandbox.pty.kill(shell.handle.pid) is False


async def test_at_its_timeout_a_terminal_is_killed(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox, timeout=0.3)
    with pytest.raises(TimeoutException, match="timeout expired"):
        await shell.handle.wait()
    with pytest.raises(NotFoundException):
        await shell.type(b"x")


async def test_another_handle_joins_and_leaves(sandbox: AsyncSandbox) -> None:
    first = await Shell.open(sandbox)
    await first.says(b"echo before $((1 + 1))", rb"before 2\r\n")
    second = await Shell.join(sandbox, first.handle.pid)
    assert second.handle.pid == first.handle.pid
    await second.says(b"echo after $((1 + 1))", rb"after 2\r\n")
    await second.handle.disconnect()
    await first.says(b"echo last $((1 + 1))", rb"last 2\r\n")
    assert b"before" not in second.shown


async def test_a_terminal_is_among_the_commands(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    [listed] = await sandbox.commands.list()
    assert (listed.pid, listed.cmd, listed.args) == (
        shell.handle.pid,
        "/bin/bash",
        ["-i", "-l"],
    )
    assert listed.envs["TERM"] == "xterm-256color"
    assert await sandbox.commands.kill(shell.handle.pid) is True


async def test_a_terminals_handle_takes_no_standard_input(sandbox: AsyncSandbox) -> None:
    handle = (await Shell.open(sandbox)).handle
    joined = (await Shell.join(sandbox, handle.pid)).handle
    for each in (handle, joined):
        with pytest.raises(SandboxException, match="takes no input"):
            await each.send_stdin("x")
        with pytest.raises(SandboxException, match="takes no input"):
            await each.close_stdin()


async def test_terminals_and_pipes_are_not_taken_for_each_other(sandbox: AsyncSandbox) -> None:
    terminal = (await Shell.open(sandbox)).handle
    command = await sandbox.commands.run("cat", background=True, stdin=True)
    with pytest.raises(SandboxException, match=r"on a terminal: use sandbox\.pty"):
        await sandbox.commands.send_stdin(terminal.pid, "x")
    with pytest.raises(SandboxException, match=r"on a terminal: use sandbox\.pty"):
        await sandbox.commands.close_stdin(terminal.pid)
    with pytest.raises(SandboxException, match=r"on pipes: use sandbox\.commands"):
        await sandbox.pty.send_stdin(command.pid, b"x")
    with pytest.raises(SandboxException, match=r"on pipes: use sandbox\.commands"):
        await sandbox.pty.resize(command.pid, SIZE)


async def test_what_is_not_there_cannot_be_used(sandbox: AsyncSandbox) -> None:
    with pytest.raises(NotFoundException, match="4242"):
        await sandbox.pty.send_stdin(4242, b"x")
    with pytest.raises(NotFoundException, match="4242"):
        await sandbox.pty.resize(4242, SIZE)
    with pytest.raises(NotFoundException, match="4242"):
        await Shell.join(sandbox, 4242)
    assert await sandbox.pty.kill(4242) is False


@pytest.mark.parametrize("size", [(-1, 80), (24, 65536), (24.0, 80), (True, 80)])
async def test_sizes_that_cannot_be_are_refused(sandbox: AsyncSandbox, size: tuple[int, int]):
    with pytest.raises(InvalidArgumentException, match=r"size\.(rows|cols)"):
        await Shell.open(sandbox, PtySize(*size))


async def test_bad_places_and_users_are_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="nowhere"):
        await Shell.open(sandbox, cwd="/nowhere")
    with pytest.raises(AuthenticationException):
        await Shell.open(sandbox, user="nobody-here")


async def test_input_can_be_streamed_to_a_terminal(sandbox: AsyncSandbox) -> None:
    shell = await Shell.open(sandbox)
    # unasync: async
    async with sandbox.pty.stream_input(shell.handle.pid) as typing:
        for key in ("echo ", b"$((6", b"*7))", "\n"):
            await typing.send(key)
    # unasync: sync
    # sandbox.pty.stream_input(shell.handle.pid, iter(["echo ", b"$((6", b"*7))", "\n"]))
    # unasync: end
    await shell.shows(rb"[\r\n]42\r\n")
