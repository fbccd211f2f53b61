"""capabilities, no-new-privileges and user-namespace: there is nothing to become."""

from __future__ import annotations

import os

import pytest

from localbox import Sandbox
from tests.confinement.attack import (
    ask,
    call,
    host_pids,
    lines,
    number_of,
    outcome,
    parse_status,
    status,
)

CLONE_NEW = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}


@pytest.mark.parametrize("how", ["run", "run_python"])
def test_guest_has_no_capability_and_no_way_to_one(any_sandbox: Sandbox, how: str) -> None:
    if how == "run":
        fields = parse_status(any_sandbox.commands.run("cat /proc/self/status").stdout)
    else:
        fields = parse_status(ask(any_sandbox, "answer = open('/proc/self/status').read()"))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0, name
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert set(fields["Uid"].split()) == {"1000"}
    assert set(fields["Gid"].split()) == {"1000"}


def test_pid_1_has_no_capability_either(any_sandbox: Sandbox) -> None:
    fields = status(host_pids(any_sandbox)[0])
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0, name
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


@pytest.mark.parametrize("name", ["setuid", "setgid", "seteuid", "setegid"])
def test_guest_cannot_become_root(any_sandbox: Sandbox, name: str) -> None:
    # EINVAL where uid 0 is not even mapped.
    expected = "EPERM" if os.geteuid() == 0 else "EINVAL"
    assert outcome(any_sandbox, f"os.{name}(0)") == expected
    assert outcome(any_sandbox, f"os.{name}(1000)") == "allowed"


def test_guest_cannot_choose_its_groups(any_sandbox: Sandbox) -> None:
    assert outcome(any_sandbox, "os.setgroups([0])") == "EPERM"


@pytest.mark.parametrize("kind", CLONE_NEW)
def test_guest_cannot_make_namespaces(any_sandbox: Sandbox, kind: str) -> None:
    assert call(any_sandbox, "unshare", CLONE_NEW[kind]) == "EPERM"
    if kind != "time":  # clone(2) has no bit for it
        assert call(any_sandbox, "clone", CLONE_NEW[kind] | 17, 0, 0, 0, 0) == "EPERM"
    # Its flags lie in memory, where no filter sees them.
    assert call(any_sandbox, "clone3", 0, 0) == "ENOSYS"


def test_guest_can_fork_and_start_threads(any_sandbox: Sandbox) -> None:
    code = """
import threading
pid = os.fork()
if pid == 0:
    os._exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
seen = []
thread = threading.Thread(target=lambda: seen.append(1)); thread.start(); thread.join()
answer = [status, seen]
"""
    assert ask(any_sandbox, code) == [7, [1]]


def test_no_user_namespace_can_be_made_even_without_the_filter(any_sandbox: Sandbox) -> None:
    """The limit of the sandbox's own namespace is a second answer to the same question."""
    assert any_sandbox.files.read("/proc/sys/user/max_user_namespaces") == "0\n"


@pytest.mark.parametrize(
    "command", ["unshare -U true", "unshare -r true", "unshare -n true", "unshare -m true"]
)
def test_the_usual_tools_get_nowhere(sandbox: Sandbox, command: str) -> None:
    assert lines(sandbox, f"{command} && echo did it || echo refused") == ["refused"]


@pytest.mark.parametrize("program", ["su", "sudo", "mount", "passwd", "newuidmap", "ping"])
def test_set_uid_programs_of_the_host_gain_nothing(sandbox: Sandbox, program: str) -> None:
    code = f"""
import shutil, subprocess
path = shutil.which({program!r}, path='/usr/bin:/bin:/usr/sbin')
answer = None
if path:
    answer = [os.statvfs(path).f_flag & os.ST_NOSUID != 0]
"""
    assert ask(sandbox, code) in (None, [True])


@pytest.mark.parametrize(
    "make",
    [
        "os.chmod('/tmp/file', 0o4755)",
        "os.chmod('/tmp/file', 0o2755)",
        "os.fchmod(os.open('/tmp/file', os.O_RDONLY), 0o4755)",
        "os.open('/tmp/new', os.O_CREAT | os.O_WRONLY, 0o4755)",
        "os.mknod('/tmp/new', stat.S_IFREG | 0o4755)",
        "os.open('/tmp', os.O_TMPFILE | os.O_RDWR, 0o4755)",
    ],
)
def test_guest_cannot_make_a_set_uid_file(any_sandbox: Sandbox, make: str) -> None:
    any_sandbox.files.write("/tmp/file", "x")
    assert outcome(any_sandbox, make) == "EPERM"


def test_guest_can_change_modes_otherwise(any_sandbox: Sandbox) -> None:
    any_sandbox.files.write("/tmp/file", "x")
    assert outcome(any_sandbox, "os.chmod('/tmp/file', 0o755)") == "allowed"
    assert outcome(any_sandbox, "os.chmod('/tmp/file', 0o1755)") == "allowed"


def test_guest_cannot_give_files_away(any_sandbox: Sandbox) -> None:
    any_sandbox.files.write("/tmp/file", "x")
    assert outcome(any_sandbox, "os.chown('/tmp/file', 0, 0)") in {"EPERM", "EINVAL"}
    assert outcome(any_sandbox, "os.chown('/tmp/file', 1000, 1000)") == "allowed"


def test_guest_cannot_type_into_a_terminal(sandbox: Sandbox) -> None:
    """TIOCSTI puts characters into the terminal's input: commands for whoever reads next."""
    code = """
import fcntl
master, slave = os.openpty()
answer = [
    outcome(fcntl.ioctl, slave, 0x5412, b'x'),  # TIOCSTI
    outcome(fcntl.ioctl, slave, 0x541C, b'\\3'),  # TIOCLINUX
    outcome(fcntl.ioctl, slave, 0x5413, bytes(8)),  # TIOCGWINSZ
]
"""
    assert ask(sandbox, code) == ["EPERM", "EPERM", "allowed"]


def test_a_request_with_high_bits_is_the_same_request(sandbox: Sandbox) -> None:
    """The kernel takes ioctl's request as 32 bits, so a filter must not compare 64."""
    code = """
master, slave = os.openpty()
answer = call({number}, slave, 0x5412 | 0x7 << 32, b'x')
"""
    assert ask(sandbox, code.format(number=number_of("ioctl"))) == "EPERM"


def test_guest_has_no_terminal_of_the_hosts(sandbox: Sandbox) -> None:
    assert outcome(sandbox, "open('/dev/tty')") == "ENXIO"
    assert ask(sandbox, "answer = os.listdir('/dev/pts')") == ["ptmx"]


def test_guest_can_have_a_terminal_of_its_own(sandbox: Sandbox) -> None:
    assert ask(sandbox, "m, s = os.openpty(); answer = os.ttyname(s)") == "/dev/pts/0"


def test_guest_cannot_take_priority_over_the_host(any_sandbox: Sandbox) -> None:
    assert outcome(any_sandbox, "os.setpriority(os.PRIO_PROCESS, 0, -5)") in {"EACCES", "EPERM"}
    realtime = "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    assert outcome(any_sandbox, realtime) == "EPERM"
    assert outcome(any_sandbox, "os.nice(5)") == "allowed"
