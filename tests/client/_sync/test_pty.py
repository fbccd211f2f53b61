# generated from tests/client/_async/test_pty.py by scripts/unasync.py; edit that, not this
"""Shells on terminals: sizes, signals, job control, programs that draw, and their ends."""

from __future__ import annotations

import shutil

import pytest

from localbox import (
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    PtySize,
    Sandbox,
    SandboxException,
    TimeoutException,
)
from tests.client._sync.doing import until
from tests.client._sync.terminals import SIZE, Shell

_TELLS_ITS_SIZE = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
print("at first", *os.get_terminal_size())
signal.sigwait([signal.SIGWINCH])
print("now", *os.get_terminal_size())
"""


def test_an_interactive_login_shell_runs_on_a_terminal(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.says(b"tty", rb"/dev/pts/\d+\r\n")
    shell.says(b"echo $TERM,$LANG,$LC_ALL", rb"xterm-256color,C\.UTF-8,C\.UTF-8\r\n")
    shell.says(b"echo $-; shopt login_shell; pwd", rb"\w*i\w*\r\n.*on\r\n/home/user\r\n")
    shell.says(b"(exec 3<>/dev/tty && echo it $((6*7)) >&3)", rb"it 42\r\n")


def test_it_starts_where_and_with_what_it_is_told(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox, cwd="/tmp", envs={"A": "b c", "TERM": "dumb"})
    shell.says(b'pwd; echo "<$A>$TERM"', rb"/tmp\r\n<b c>dumb\r\n")


def test_programs_see_the_size_and_its_change(sandbox: Sandbox) -> None:
    sandbox.files.write("size.py", _TELLS_ITS_SIZE)
    shell = Shell.open(sandbox, PtySize(rows=33, cols=111))
    shell.says(b"stty size", rb"33 111\r\n")
    shell.says(b"python3 size.py", rb"at first 111 33\r\n")
    sandbox.pty.resize(shell.handle.pid, PtySize(rows=40, cols=65535))
    shell.shows(rb"now 65535 40\r\n")
    shell.says(b"stty size", rb"40 65535\r\n")


def test_ctrl_c_interrupts_the_program_and_not_the_shell(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.says(b"sh -c 'echo go; exec sleep 1000'", rb"go\r\n")
    shell.type(b"\x03")
    shell.prompts()
    shell.says(b"echo exit $?", rb"exit 130\r\n")


def test_jobs_can_be_suspended_and_resumed(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.says(b"sh -c 'echo go; exec sed -u s/front/fore/'", rb"go\r\n")
    shell.type(b"\x1a")
    shell.shows(rb"Stopped.*\r\n")
    shell.says(b"jobs -l", rb"\[1\]\+ +\d+ Stopped.*\r\n")
    shell.type(b"fg\nto the front\n")
    shell.shows(rb"to the fore\r\n")
    shell.type(b"\x03")
    shell.prompts()
    shell.says(b"echo exit $?", rb"exit 130\r\n")


def test_ctrl_d_ends_the_input_of_what_reads_it(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.says(b"echo; cat; echo cat has ended", rb"\r\n")
    shell.type(b"a line\n\x04")
    shell.shows(rb"a line\r\na line\r\ncat has ended\r\n")


def test_python_is_interactive(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.type(b"python3 -q\n")
    shell.shows(rb">>> ")
    shell.says(b"import sys; sys.stdin.isatty(), 6 * 7", rb".*\(True, 42\)\r\n")
    shell.type(b"exit()\n")
    shell.prompts()
    shell.says(b"echo back $((1 + 1))", rb"back 2\r\n")


@pytest.mark.skipif(not shutil.which("vi"), reason="this machine has no vi")
def test_an_editor_edits(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.type(b"vi -u NONE new.txt\n")
    shell.shows(rb"new\.txt")
    shell.type("ihällo\x1b:wq\r".encode())
    shell.shows(rb"written")
    assert sandbox.files.read("new.txt") == "hällo\n"


@pytest.mark.skipif(not shutil.which("less"), reason="this machine has no less")
def test_a_pager_pages(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.type(b"seq 1000 | less\n")
    shell.shows(rb"1\r\n2\r\n")
    shell.type(b"G")
    shell.shows(rb"999\r\n1000\r\n")
    shell.type(b"q")
    shell.prompts()
    shell.says(b"echo back $((1 + 1))", rb"back 2\r\n")


def test_the_handle_tells_how_the_shell_ended(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    shell.type(b"exit 3\n")
    with pytest.raises(CommandExitException) as caught:
        shell.handle.wait()
    assert (caught.value.exit_code, caught.value.stdout) == (3, "")


def test_wait_hands_over_what_the_terminal_shows(sandbox: Sandbox) -> None:
    shown: list[bytes] = []
    handle = sandbox.pty.create(SIZE)
    sandbox.pty.send_stdin(handle.pid, b"echo $((6*7)); exit\n")
    result = handle.wait(on_pty=shown.append)
    assert b"\r42\r\n" in b"".join(shown)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_reading_can_stop_and_go_on(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run(
        "for word in a b c; do echo $word; read -r go; done", background=True, stdin=True
    )
    read = []
    for _ in range(2):
        for stdout, _stderr, _pty in handle:
            read.append(stdout)
            break
        handle.send_stdin("go\n")
    assert read == ["a\n", "b\n"]
    handle.send_stdin("go\n")
    assert handle.wait().stdout == "a\nb\nc\n"
    assert list(handle) == []


def test_kill_ends_every_job_of_the_terminal(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    # Each in a process group of its own, and deaf to the hang-up of the terminal.
    job = b"(trap '' HUP; exec sleep 1234) &"
    shell.says(job + job + b" echo started $((1 + 1))", rb"[^$]*started 2\r\n")

    def sleeping() -> str:
        return sandbox.commands.run("pgrep -x sleep || true").stdout

    def two_sleep() -> bool:
        return len(sleeping().split()) == 2

    def none_sleeps() -> bool:
        return sleeping() == ""

    until(two_sleep)
    assert sandbox.pty.kill(shell.handle.pid) is True
    with pytest.raises(CommandExitException, match="code -1"):
        shell.handle.wait()
    until(none_sleeps)
    assert sandbox.pty.kill(shell.handle.pid) is False


def test_at_its_timeout_a_terminal_is_killed(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox, timeout=0.3)
    with pytest.raises(TimeoutException, match="timeout expired"):
        shell.handle.wait()
    with pytest.raises(NotFoundException):
        shell.type(b"x")


def test_another_handle_joins_and_leaves(sandbox: Sandbox) -> None:
    first = Shell.open(sandbox)
    first.says(b"echo before $((1 + 1))", rb"before 2\r\n")
    second = Shell.join(sandbox, first.handle.pid)
    assert second.handle.pid == first.handle.pid
    second.says(b"echo after $((1 + 1))", rb"after 2\r\n")
    second.handle.disconnect()
    first.says(b"echo last $((1 + 1))", rb"last 2\r\n")
    assert b"before" not in second.shown


def test_a_terminal_is_among_the_commands(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    [listed] = sandbox.commands.list()
    assert (listed.pid, listed.cmd, listed.args) == (
        shell.handle.pid,
        "/bin/bash",
        ["-i", "-l"],
    )
    assert listed.envs["TERM"] == "xterm-256color"
    assert sandbox.commands.kill(shell.handle.pid) is True


def test_a_terminals_handle_takes_no_standard_input(sandbox: Sandbox) -> None:
    handle = Shell.open(sandbox).handle
    joined = Shell.join(sandbox, handle.pid).handle
    for each in (handle, joined):
        with pytest.raises(SandboxException, match="takes no input"):
            each.send_stdin("x")
        with pytest.raises(SandboxException, match="takes no input"):
            each.close_stdin()


def test_terminals_and_pipes_are_not_taken_for_each_other(sandbox: Sandbox) -> None:
    terminal = Shell.open(sandbox).handle
    command = sandbox.commands.run("cat", background=True, stdin=True)
    with pytest.raises(SandboxException, match=r"on a terminal: use sandbox\.pty"):
        sandbox.commands.send_stdin(terminal.pid, "x")
    with pytest.raises(SandboxException, match=r"on a terminal: use sandbox\.pty"):
        sandbox.commands.close_stdin(terminal.pid)
    with pytest.raises(SandboxException, match=r"on pipes: use sandbox\.commands"):
        sandbox.pty.send_stdin(command.pid, b"x")
    with pytest.raises(SandboxException, match=r"on pipes: use sandbox\.commands"):
        sandbox.pty.resize(command.pid, SIZE)


def test_what_is_not_there_cannot_be_used(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundException, match="4242"):
        sandbox.pty.send_stdin(4242, b"x")
    with pytest.raises(NotFoundException, match="4242"):
        sandbox.pty.resize(4242, SIZE)
    with pytest.raises(NotFoundException, match="4242"):
        Shell.join(sandbox, 4242)
    assert sandbox.pty.kill(4242) is False


@pytest.mark.parametrize("size", [(-1, 80), (24, 65536), (24.0, 80), (True, 80)])
def test_sizes_that_cannot_be_are_refused(sandbox: Sandbox, size: tuple[int, int]):
    with pytest.raises(InvalidArgumentException, match=r"size\.(rows|cols)"):
        Shell.open(sandbox, PtySize(*size))


def test_bad_places_and_users_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="nowhere"):
        Shell.open(sandbox, cwd="/nowhere")
    with pytest.raises(AuthenticationException):
        Shell.open(sandbox, user="nobody-here")


def test_input_can_be_streamed_to_a_terminal(sandbox: Sandbox) -> None:
    shell = Shell.open(sandbox)
    sandbox.pty.stream_input(shell.handle.pid, iter(["echo ", b"$((6", b"*7))", "\n"]))
    shell.shows(rb"[\r\n]42\r\n")
