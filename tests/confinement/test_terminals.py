"""Terminals are the sandbox's own, and what floods, hangs up or hoards them ends at its wall."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from localbox import CommandHandle, PtySize, Sandbox, SandboxException, TimeoutException
from tests.client._sync.doing import until
from tests.confinement.attack import ask, host_pids, status

SIZE = PtySize(rows=24, cols=80)
MIB = 1 << 20

_HOARD = """
import time
held = []
try:
    while True:
        held.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
except OSError as error:
    print(len(held), errno.errorcode[error.errno], flush=True)
time.sleep(1000)
"""


def shows(sandbox: Sandbox, handle: CommandHandle, command: bytes, ending: bytes) -> bytes:
    """What a terminal shows from a command on, until it has shown `ending`."""
    sandbox.pty.send_stdin(handle.pid, command + b"\n")
    shown = b""
    for _stdout, _stderr, data in handle:
        shown += data or b""
        if ending in shown:
            return shown
    raise AssertionError(shown)


def agent_kib(sandbox: Sandbox) -> int:
    return int(status(host_pids(sandbox)[0])["VmRSS"].split()[0])


def overfeed(sandbox: Sandbox, send: Callable[[bytes, float], None]) -> None:
    """Much at once, and much in many sends: the agent keeps little of either."""
    before = agent_kib(sandbox)
    with pytest.raises(TimeoutException):
        send(b"x" * 16 * MIB, 0.1)
    for _ in range(30):
        with pytest.raises(TimeoutException):
            send(b"x" * MIB, 0.02)
    assert agent_kib(sandbox) < before + 3 * 1024
    assert sandbox.is_running()


def test_a_terminal_is_none_of_the_hosts(any_sandbox: Sandbox) -> None:
    before = set(os.listdir("/dev/pts"))
    handle = any_sandbox.pty.create(SIZE)
    shown = shows(any_sandbox, handle, b"echo $(tty) $(ls /dev/pts) en''d", b" end\r\n")
    assert b"/dev/pts/0 0 ptmx end" in shown
    assert set(os.listdir("/dev/pts")) == before


def test_the_agent_is_not_on_the_terminal(sandbox: Sandbox) -> None:
    """Else a Ctrl-C, or the terminal's hang-up, would be the agent's too."""
    sandbox.pty.create(SIZE)
    session, terminal = ask(
        sandbox, "answer = open('/proc/1/stat').read().rpartition(')')[2].split()[3:5]"
    )
    assert (session, terminal) in {("0", "0"), ("1", "0")}


def test_a_terminals_programs_hold_no_descriptor_of_the_agents(sandbox: Sandbox) -> None:
    handle = sandbox.pty.create(SIZE)
    command = b'python3 -c \'import os; print("fds", sorted(os.listdir("/proc/self/fd")))\''
    # The last is the listing's own.
    assert b"fds ['0', '1', '2', '3']\r\n" in shows(sandbox, handle, command, b"]\r\n")


@pytest.mark.parametrize("number", ["0x5412", "0x541C", "0x541D", "0x5423"])
def test_guest_cannot_type_into_its_own_terminal(sandbox: Sandbox, number: str) -> None:
    """TIOCSTI, TIOCLINUX, TIOCCONS and TIOCSETD, on the terminal that controls the session."""
    sandbox.files.write(
        "/tmp/attack.py",
        f"""
import errno, fcntl
try:
    fcntl.ioctl(0, {number}, b"x")
    print("al" + "lowed.")
except OSError as error:
    print(errno.errorcode[error.errno] + ".")
""",
    )
    handle = sandbox.pty.create(SIZE)
    assert b"\rEPERM.\r\n" in shows(sandbox, handle, b"python3 /tmp/attack.py", b".\r\n")


def test_a_flood_that_nobody_reads_stays_small(sandbox: Sandbox) -> None:
    handle = sandbox.pty.create(SIZE, timeout=0)
    sandbox.pty.send_stdin(handle.pid, b"exec cat /dev/zero\n")
    before = agent_kib(sandbox)
    [cat] = host_pids(sandbox)[1:]

    def stuck() -> bool:
        """It writes no more: whenever one looks, it waits in the kernel."""
        looks = [status(cat) for _ in range(20) if sandbox.is_running()]
        return all(look["Name"] == "cat" and look["State"][0] == "S" for look in looks)

    until(stuck)
    assert agent_kib(sandbox) < before + 8 * 1024
    assert handle.kill() is True


def test_a_flood_that_nobody_listens_to_goes_nowhere(sandbox: Sandbox) -> None:
    handle = sandbox.pty.create(SIZE, timeout=0)
    sandbox.pty.send_stdin(handle.pid, b"exec cat /dev/zero\n")
    handle.disconnect()
    before = agent_kib(sandbox)
    for _ in range(50):
        assert sandbox.is_running()
    assert agent_kib(sandbox) < before + 8 * 1024
    assert sandbox.pty.kill(handle.pid) is True


def test_several_floods_leave_the_agent_time_for_others(sandbox: Sandbox) -> None:
    handles = [sandbox.pty.create(SIZE, timeout=0) for _ in range(4)]
    for handle in handles:
        sandbox.pty.send_stdin(handle.pid, b"exec yes\n")
        handle.disconnect()
    assert sandbox.commands.run("echo out").stdout == "out\n"
    assert all(handle.kill() for handle in handles)


def test_input_that_nobody_reads_stays_small(sandbox: Sandbox) -> None:
    handle = sandbox.pty.create(SIZE, timeout=0)
    shows(sandbox, handle, b"stty raw -echo; echo go''ne; exec sleep 1000", b"gone")
    overfeed(sandbox, lambda data, s: sandbox.pty.send_stdin(handle.pid, data, request_timeout=s))


def test_standard_input_that_nobody_reads_stays_small(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True, stdin=True)
    overfeed(sandbox, lambda data, s: handle.send_stdin(data, request_timeout=s))


def test_a_terminal_that_hangs_up_full_takes_no_time(sandbox: Sandbox) -> None:
    """All of its descriptors closed, its master is ready for ever and takes nothing."""
    handle = sandbox.pty.create(SIZE, timeout=0)
    sandbox.files.write("/tmp/go", "")
    # It does not read, and lets go of the terminal when it is told.
    program = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "while os.path.exists('/tmp/go'): time.sleep(0.001)\n"
        "os.closerange(0, 3)\n"
        "time.sleep(1000)\n"
    )
    sandbox.files.write("/tmp/program.py", program)
    command = b"stty raw -echo; echo go''ne; exec python3 /tmp/program.py 3>&- 255>&-"
    shows(sandbox, handle, command, b"gone")
    with pytest.raises(TimeoutException):
        sandbox.pty.send_stdin(handle.pid, b"x" * MIB, request_timeout=0.1)
    sandbox.files.remove("/tmp/go")
    with pytest.raises(SandboxException, match=r"hung up|closed its standard input|no open"):
        sandbox.pty.send_stdin(handle.pid, b"x" * MIB, request_timeout=10)
    assert handle.kill() is True


def test_a_sandbox_cannot_take_the_hosts_terminals(sandbox: Sandbox) -> None:
    hoarder = sandbox.commands.run(
        "ulimit -n 1000; exec python3 -", background=True, stdin=True, timeout=0
    )
    hoarder.send_stdin("import os, errno\n" + _HOARD)
    hoarder.close_stdin()
    said = next(iter(hoarder))[0]
    assert said == "256 ENOSPC\n"
    with pytest.raises(SandboxException, match="cannot open another terminal"):
        sandbox.pty.create(SIZE)
    os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
    with Sandbox.create(timeout=60) as other:
        assert other.pty.create(SIZE).kill() is True
    hoarder.kill()


def test_sizes_beyond_a_screens_do_no_harm(sandbox: Sandbox) -> None:
    handle = sandbox.pty.create(PtySize(rows=65535, cols=65535))
    assert b"65535 65535\r\n" in shows(sandbox, handle, b"stty size", b"535\r\n")
    sandbox.pty.resize(handle.pid, PtySize(rows=0, cols=0))
    assert b"0 0\r\n" in shows(sandbox, handle, b"stty size", b"0 0\r\n")


def test_everything_in_a_terminals_session_dies_with_it(sandbox: Sandbox) -> None:
    handle = sandbox.pty.create(SIZE)
    forks = b"(trap '' HUP TERM INT; while :; do sleep 1000 & done) & sleep 1000 | sleep 1000 &"
    shows(sandbox, handle, forks + b" echo go''ne", b"gone")
    assert handle.kill() is True
    pids = host_pids(sandbox)

    def alone() -> bool:
        return [pid for pid in pids[1:] if Path(f"/proc/{pid}").exists()] == []

    until(alone)
    assert len(host_pids(sandbox)) == 1
