"""pid-namespace and the agent: what guest code can do to processes that are not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from localbox import CommandExitException, Sandbox
from tests import leftovers
from tests.confinement.attack import ask, call, host_pids, lines, outcome, status


@pytest.fixture
def victim() -> Iterator[int]:
    """A process of ours on the host, which as an ordinary user has the guest's own host uid."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.kill()
    process.communicate()


def test_guest_sees_only_its_own_processes(any_sandbox: Sandbox) -> None:
    seen = ask(any_sandbox, "answer = sorted(int(n) for n in os.listdir('/proc') if n.isdigit())")
    assert seen[0] == 1
    assert len(seen) <= 4


def test_guest_cannot_signal_a_host_process(any_sandbox: Sandbox, victim: int) -> None:
    os.kill(victim, 0)
    assert outcome(any_sandbox, f"os.kill({victim}, 9)") == "ESRCH"
    assert outcome(any_sandbox, f"os.pidfd_open({victim})") == "ESRCH"
    assert outcome(any_sandbox, f"os.killpg({victim}, 9)") == "ESRCH"
    assert outcome(any_sandbox, f"os.sched_setaffinity({victim}, {{0}})") == "ESRCH"
    os.kill(victim, 0)


def test_guest_can_signal_its_own_processes(any_sandbox: Sandbox) -> None:
    code = """
pid = os.fork()
if pid == 0:
    import signal; signal.pause()
os.kill(pid, 9)
answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    assert ask(any_sandbox, code) == -9


def test_guest_in_one_sandbox_cannot_signal_another(sandbox: Sandbox) -> None:
    with Sandbox.create() as other:
        handle = other.commands.run("sleep 1000", background=True)
        assert outcome(sandbox, f"os.kill({handle.pid + 100}, 9)") == "ESRCH"
        assert sandbox.commands.kill(handle.pid) is False
        # Everything it may signal is its own.
        ask(sandbox, "answer = [outcome(os.kill, -1, n) for n in (1, 2, 15)]")
        assert other.commands.list()


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 17, 19, 20, 24, 31, 34, 64])
def test_guest_cannot_disturb_pid_1_by_signals(sandbox: Sandbox, number: int) -> None:
    ask(sandbox, f"answer = [outcome(os.kill, 1, {number}) for _ in range(50)]")
    ask(
        sandbox,
        f"fd = os.pidfd_open(1)\nimport signal\n"
        f"answer = outcome(signal.pidfd_send_signal, fd, {number})",
    )
    state = sandbox.files.read("/proc/1/stat").split(") ")[1].split()[0]
    assert state in "RS"
    assert lines(sandbox, "echo alive") == ["alive"]


@pytest.mark.parametrize(
    "path", ["environ", "maps", "mem", "auxv", "stack", "io", "syscall", "pagemap"]
)
def test_guest_cannot_look_into_pid_1(any_sandbox: Sandbox, path: str) -> None:
    read = f"open('/proc/1/{path}', 'rb').read(1)"
    expected = {"EACCES", "EPERM"}
    if path in {"stack", "syscall"}:
        expected |= {"ENOENT"}  # not in every kernel
    assert outcome(any_sandbox, read) in expected
    assert outcome(any_sandbox, f"open('/proc/1/task/1/{path}', 'rb').read(1)") in expected


@pytest.mark.parametrize("link", ["exe", "cwd", "root", "fd/0", "fd/3", "ns/user", "ns/mnt"])
def test_guest_cannot_follow_the_links_of_pid_1(any_sandbox: Sandbox, link: str) -> None:
    assert outcome(any_sandbox, f"os.readlink('/proc/1/{link}')") == "EACCES"
    assert outcome(any_sandbox, f"os.open('/proc/1/{link}', os.O_RDONLY)") == "EACCES"


def test_guest_can_look_into_its_own_processes(any_sandbox: Sandbox) -> None:
    for path in ("environ", "maps", "fdinfo/0"):
        assert outcome(any_sandbox, f"open('/proc/self/{path}').read()") == "allowed"
    assert outcome(any_sandbox, "os.readlink('/proc/self/exe')") == "allowed"


def test_guest_cannot_trace_or_rewrite_pid_1(any_sandbox: Sandbox) -> None:
    for name, arguments in {
        "ptrace": (16, 1, 0, 0),
        "process_vm_readv": (1, 0, 0, 0, 0, 0),
        "process_vm_writev": (1, 0, 0, 0, 0, 0),
        "kcmp": (1, 1, 0, 0, 0),
        "pidfd_getfd": (0, 0, 0),
        "process_madvise": (0, 0, 0, 0, 0),
    }.items():
        assert call(any_sandbox, name, *arguments) == "EPERM"
    # Also without the filter: the agent is non-dumpable.
    assert outcome(any_sandbox, "open('/proc/1/mem', 'r+b')") in {"EACCES", "EROFS"}


@pytest.mark.parametrize("limit", ["NOFILE", "CPU", "NPROC", "DATA", "FSIZE"])
def test_guest_cannot_starve_pid_1_by_its_limits(sandbox: Sandbox, limit: str) -> None:
    """prlimit(2) asks only for equal ids, and the agent has the guest's."""
    change = "__import__('resource').prlimit({}, __import__('resource').RLIMIT_" + limit + ", {})"
    assert outcome(sandbox, change.format(1, (0, 0))) == "EPERM"
    assert lines(sandbox, "echo alive") == ["alive"]
    # Its own limits are its own business.
    assert outcome(sandbox, change.format(0, (50, 50))) == "allowed"


def test_a_stopped_guest_holds_up_nothing(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("kill -STOP $$; echo never", background=True)
    assert lines(sandbox, "echo alive") == ["alive"]
    handle.kill()
    with pytest.raises(CommandExitException, match="code -1"):
        handle.wait()


def test_orphans_end_with_the_sandbox() -> None:
    with Sandbox.create() as sandbox:
        sandbox.commands.run("for n in 1 2 3; do setsid nohup sleep 1000 >/dev/null 2>&1 & done")
        # The agent, the three and, until it is reaped, the shell.
        leftovers.wait_until(lambda: len(host_pids(sandbox)) == 4)
        pids = host_pids(sandbox)
    # kill() returned, so nothing is left; nothing to wait for.
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []


def test_host_sees_that_nothing_inside_is_host_root(sandbox: Sandbox) -> None:
    sandbox.commands.run("sleep 1000 & sleep 1000 &")
    for pid in host_pids(sandbox):
        assert "0" not in status(pid)["Uid"].split()
        assert "0" not in status(pid)["Gid"].split()
        assert status(pid)["Groups"] in {"", *map(str, os.getgroups())}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has one id to give")
def test_as_root_sandboxes_are_strangers_to_each_other(sandbox: Sandbox) -> None:
    with Sandbox.create() as other:
        ids = [set(status(host_pids(box)[0])["Uid"].split()) for box in (sandbox, other)]
    assert len(ids[0]) == len(ids[1]) == 1
    assert ids[0] != ids[1]


def test_each_sandbox_has_its_own_namespaces(sandbox: Sandbox) -> None:
    kinds = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    with Sandbox.create() as other:
        code = f"answer = [os.readlink('/proc/self/ns/' + kind) for kind in {kinds}]"
        ours = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
        views = [ours, ask(sandbox, code), ask(other, code)]
    for kind, *links in zip(kinds, *views, strict=True):
        assert len(set(links)) == 3, f"{kind} namespace is shared"
