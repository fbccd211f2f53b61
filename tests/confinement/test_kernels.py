"""Kernels come into a sandbox from outside: behind the same walls, and with nothing in hand."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localbox import CommandExitException, Sandbox, TimeoutException
from localbox.engine import zygote_process
from tests import leftovers
from tests.confinement.attack import PRELUDE, ask, lacking, number_of, parse_status, policy

_SCAN = """
import re
# Written so that this program itself does not match.
needle = re.compile(rb"only-for-the-first-[0-9a-f]{16}")
found = False
memory = open("/proc/self/mem", "rb", buffering=0)
for line in open("/proc/self/maps"):
    span, rights = line.split()[:2]
    start, end = (int(part, 16) for part in span.split("-"))
    if not rights.startswith("rw"):
        continue
    try:
        memory.seek(start)
        found = found or bool(needle.search(memory.read(end - start)))
    except (OSError, OverflowError, ValueError):
        pass
"""


def cell(sandbox: Sandbox, code: str, **options: Any) -> Any:
    """What `answer` is after `code` has run as a cell."""
    execution = sandbox.run_code(
        f"{PRELUDE}\n{code}\nprint('\\x1e' + json.dumps(answer))", **options
    )
    assert execution.error is None, execution.error
    return json.loads("".join(execution.logs.stdout).rpartition("\x1e")[2])


def kernel_pids(sandbox: Sandbox) -> list[int]:
    """The host's pids of the sandbox's kernels."""
    zygote = sandbox._record.zygote.kernels()
    namespace = sandbox._connection.ask_zygote({"op": "info"})["pid"]
    inode = os.stat(f"/proc/{namespace}/ns/pid_for_children").st_ino
    children = leftovers.descendants(zygote.pid)
    return [pid for pid in children if os.stat(f"/proc/{pid}/ns/pid").st_ino == inode]


_STATUS_FIELDS = [
    *("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
]


def test_a_kernel_has_the_privileges_of_a_command_and_no_more(any_sandbox: Sandbox) -> None:
    read = "answer = open('/proc/self/status').read()"
    of_kernel = parse_status(cell(any_sandbox, read))
    of_command = parse_status(ask(any_sandbox, read))
    assert {name: of_kernel[name] for name in _STATUS_FIELDS} == {
        name: of_command[name] for name in _STATUS_FIELDS
    }
    assert of_kernel["CapBnd"].strip("0") == ""


def test_a_kernel_is_in_the_namespaces_of_its_sandbox(any_sandbox: Sandbox) -> None:
    read = (
        "answer = {name: os.readlink(f'/proc/self/ns/{name}') for name in "
        "('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup')}"
    )
    assert cell(any_sandbox, read) == ask(any_sandbox, read)


def test_a_kernel_has_the_limits_of_a_command(any_sandbox: Sandbox) -> None:
    read = "answer = open('/proc/self/limits').read()"
    assert cell(any_sandbox, read) == ask(any_sandbox, read)


def test_a_kernel_inherits_no_descriptor_but_its_own(sandbox: Sandbox) -> None:
    listing = cell(
        sandbox,
        "answer = {}\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try: answer[name] = os.readlink(f'/proc/self/fd/{name}')\n"
        "    except OSError: pass",
    )
    kinds = {link.partition(":")[0] for link in listing.values()}
    assert kinds <= {"/dev/null", "pipe", "socket", "/proc/self/fd"}
    # Where the host announces cells, and the cell's own exchange.
    assert sum(link.startswith("socket:") for link in listing.values()) == 2
    assert listing["0"] == "/dev/null"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("unshare", "0x10000000"),
        ("mount", "0, 0, 0, 0, 0"),
        ("setns", "3, 0"),
        ("bpf", "0, 0, 0"),
        ("ptrace", "0, 1, 0, 0"),
        ("keyctl", "0, 0"),
        ("io_uring_setup", "1, 0"),
        ("clone3", "0, 0"),
        ("memfd_create", "0, 0"),
    ],
)
def test_a_kernel_is_refused_what_a_command_is_refused(
    sandbox: Sandbox, name: str, arguments: str
) -> None:
    attempt = f"answer = call({number_of(name)}, {arguments})"
    refused = ask(sandbox, attempt)
    assert refused in {"EPERM", "ENOSYS"}
    assert cell(sandbox, attempt) == refused


def test_a_kernel_cannot_write_to_the_system(sandbox: Sandbox) -> None:
    assert cell(sandbox, "answer = outcome(os.mkdir, '/usr/here')") in {"EROFS", "EACCES"}
    assert cell(sandbox, "answer = outcome(os.mkdir, '/home/user/here')") == "allowed"


def test_a_kernel_cannot_change_its_executable(sandbox: Sandbox) -> None:
    """Through the mount it was exec'd from, which is the kernel zygote's."""
    attempt = "answer = outcome(os.chmod, '/proc/self/exe', 0o777)"
    assert cell(sandbox, attempt) in {"EROFS", "EPERM"}


def test_a_kernel_sees_no_file_of_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assert cell(sandbox, f"answer = outcome(open, {str(secret)!r})") == "ENOENT"
    root = f"answer = outcome(open, '/proc/self/root{secret}')"
    assert cell(sandbox, root) == "ENOENT"


def test_a_kernel_is_out_of_reach_until_its_walls_stand() -> None:
    """The sandbox's processes see it from its birth on, and would like to be what it is then.

    Without Landlock, which would keep them out for good.
    """
    lurker = textwrap.dedent(
        """
        import os, sys
        own, seen = set(os.listdir("/proc")), []
        print("lurking", flush=True)
        while len(seen) < 3:
            for name in os.listdir("/proc"):
                if not name.isdigit() or name in own:
                    continue
                try:
                    fd = os.open(f"/proc/{name}/mem", os.O_RDONLY)
                except OSError:
                    continue
                status = open(f"/proc/{name}/status").read()
                print(status.partition("Seccomp:")[2].split()[0], flush=True)
                os.close(fd)
                own.add(name)
                seen.append(name)
        """
    )
    without = dataclasses.replace(policy(), landlock=False)
    with Sandbox.create(profile=without, timeout=120) as sandbox:
        sandbox.files.write("lurker.py", lurker)
        handle = sandbox.commands.run("python lurker.py", background=True, timeout=30)
        output = iter(handle)
        assert next(output)[0] == "lurking\n"
        for _ in range(3):
            sandbox.create_code_context()
        opened = "".join(out or "" for out, _err, _pty in output)
        # It could open their memory, so the test would notice; but each time the filter stood.
        assert opened.split() == ["2", "2", "2"]


def test_a_kernel_is_out_of_reach_of_commands(sandbox: Sandbox) -> None:
    """Each is in a Landlock domain of its own; see ptrace access in the kernel's Landlock guide."""
    if not any(wall.name == "landlock" and wall.stands for wall in sandbox.isolation.walls):
        lacking("Landlock")
    pid = cell(sandbox, "answer = os.getpid()")
    attempt = f"answer = outcome(os.open, '/proc/{pid}/mem', os.O_RDONLY)"
    assert ask(sandbox, attempt) == "EACCES"


def test_a_kernel_holds_no_secret_of_another_sandbox() -> None:
    """Zygotes are told nothing that is not everybody's: what they read, all later forks hold."""
    secret = "only-for-the-first-" + os.urandom(8).hex()
    scan = _SCAN + "\nanswer = found"
    with Sandbox.create(envs={"SECRET": secret}) as first:
        first.run_code("1", envs={"AGAIN": secret})
        first.run_code(f"x = {secret!r}")
        # The partner: where the secret is, the scan finds it.
        assert cell(first, scan) is True
        assert ask(first, scan) is True
        with Sandbox.create() as second:
            assert cell(second, scan) is False
            assert ask(second, scan) is False


def test_kernels_count_to_the_pids_of_their_sandbox(sandbox: Sandbox) -> None:
    small = policy(pids=12)
    with Sandbox.create(profile=small) as crowded:
        crowded.run_code("1")
        fork = (
            "import signal\n"
            "pids = []\n"
            "try:\n"
            "    for _ in range(40):\n"
            "        pid = os.fork()\n"
            "        if not pid: signal.pause(); os._exit(0)\n"
            "        pids.append(pid)\n"
            "    answer = 'allowed'\n"
            "except BlockingIOError: answer = len(pids)\n"
            "for pid in pids: os.kill(pid, 9); os.waitpid(pid, 0)"
        )
        forked = cell(crowded, fork)
        assert forked != "allowed"
        assert 5 <= forked < 12


def test_memory_that_no_limit_of_one_process_counts_is_watched() -> None:
    with Sandbox.create(profile=policy(memory=256 << 20)) as sandbox:
        hoard = (
            "import mmap, time\n"
            "maps = []\n"
            "while True:\n"
            "    maps.append(mmap.mmap(-1, 16 << 20))\n"
            "    maps[-1].write(bytes(16 << 20))\n"
        )
        execution = sandbox.run_code(hoard, timeout=30)
        assert execution.error is not None
        assert "resources.memory" in execution.error.value
        assert sandbox.run_code("1 + 1").text == "2"


def test_a_cpu_time_limit_holds_for_kernels(tmp_path: Path) -> None:
    profile = tmp_path / "short.yaml"
    profile.write_text("extends: default\nresources: {cpu_time: 1s}\n")
    with Sandbox.create(profile=profile) as sandbox:
        execution = sandbox.run_code("while True: pass", timeout=30)
        assert execution.error is not None
        assert "SIGXCPU" in execution.error.value or "SIGKILL" in execution.error.value


def test_kernels_end_with_their_sandbox(sandbox: Sandbox) -> None:
    sandbox.run_code("1")
    (pid,) = kernel_pids(sandbox)
    sandbox.kill()
    assert not Path(f"/proc/{pid}").exists()


def test_kernels_end_with_their_context(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    (pid,) = kernel_pids(sandbox)
    sandbox.remove_code_context(context)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("whose", ["sandboxes", "kernels"])
def test_kernels_end_with_either_zygote(whose: str) -> None:
    with Sandbox.create() as sandbox:
        sandbox.run_code("1")
        (pid,) = kernel_pids(sandbox)
        pidfd = os.pidfd_open(pid)
        zygote = sandbox._record.zygote
        os.kill(zygote.pid if whose == "sandboxes" else zygote.kernels().pid, signal.SIGKILL)
        leftovers.wait_for_end(pidfd)
        os.close(pidfd)
    zygote_process.stop_zygotes()


def test_a_context_comes_back_after_the_kernel_zygote_died(sandbox: Sandbox) -> None:
    sandbox.run_code("x = 1")
    zygote = sandbox._record.zygote.kernels()
    (pid,) = kernel_pids(sandbox)
    pidfd = os.pidfd_open(pid)
    os.kill(zygote.pid, signal.SIGKILL)
    leftovers.wait_for_end(pidfd)
    os.close(pidfd)
    assert sandbox.run_code("1 + 1").text == "2"


def test_kernels_end_with_a_host_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from localbox import Sandbox\n"
        "from tests.confinement.test_kernels import kernel_pids\n"
        "sandbox = Sandbox.create()\n"
        "sandbox.run_code('1')\n"
        "print(*kernel_pids(sandbox), flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        assert host.stdout is not None
        pidfd = os.pidfd_open(int(host.stdout.readline()))
        host.kill()
    leftovers.wait_for_end(pidfd)
    os.close(pidfd)


def test_a_cell_cannot_outlive_its_timeout_by_ignoring_it(sandbox: Sandbox) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    with pytest.raises(TimeoutException, match="killed"):
        sandbox.run_code(deaf, timeout=0.2)
    assert kernel_pids(sandbox) == []


@pytest.fixture(autouse=True)
def _no_kernel_stays() -> Iterator[None]:
    yield
    # The zygotes themselves stay for the next test; what they forked has to be gone.
    for zygote in list(zygote_process._zygotes.values()):
        if zygote._kernels is not None and zygote._kernels.is_alive():
            assert leftovers.descendants(zygote._kernels.pid) == set()


def test_commands_and_cells_may_signal_and_meet_each_other(sandbox: Sandbox) -> None:
    """They belong to one user in one sandbox, whatever Landlock domain each is in."""
    handle = sandbox.commands.run("exec sleep 1000", background=True, timeout=60)
    signalled = f"answer = outcome(os.kill, {handle.pid}, 15)"
    assert cell(sandbox, signalled) == "allowed"
    with pytest.raises(CommandExitException) as ended:
        handle.wait()
    assert ended.value.error == "signal: terminated"
    cell(
        sandbox,
        "server = socket.socket(socket.AF_UNIX)\n"
        "server.bind('\\0here')\n"
        "server.listen()\n"
        "answer = True",
    )
    connect = "answer = outcome(socket.socket(socket.AF_UNIX).connect, '\\0here')"
    assert ask(sandbox, connect) == "allowed"
