"""rlimits, the sized disk, the memory watchdog and cgroups: greed ends at the sandbox's wall.

Every limit here is small, so that a wall that is missing fails the test and not the machine.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from localbox import (
    CommandExitException,
    Sandbox,
    SandboxException,
    SandboxNotRunningException,
    WallError,
)
from tests import leftovers
from tests.confinement.attack import ask, host_pids, lines, outcome, policy

MIB = 1 << 20


def test_a_fork_bomb_is_bounded_and_the_sandbox_still_answers() -> None:
    with Sandbox.create(profile=policy(pids=40)) as sandbox:
        handle = sandbox.commands.run(
            "bomb() { bomb | bomb & }; bomb; sleep 1000", background=True, timeout=0
        )
        # It is at its limit when a fork fails, which bash says.
        for _stdout, stderr, _pty in handle:
            if stderr and "fork" in stderr:
                break
        assert len(host_pids(sandbox)) <= 41
        assert sandbox.is_running()
        assert sandbox.files.read("/proc/1/comm")
        # Listing needs a process of its own where one can be had; here the agent does it itself.
        assert isinstance(sandbox.files.list("/"), list)
    # The host forks as ever, and the bomb is gone: the fixture looks for what is left.
    assert os.waitstatus_to_exitcode(os.system("true")) == 0


def test_forks_beyond_the_limit_fail_and_others_do_not() -> None:
    code = """
pids = []
try:
    while len(pids) < 100:
        pid = os.fork()
        if pid == 0:
            import signal; signal.pause()
        pids.append(pid)
    why = 'never'
except OSError as error:
    why = errno.errorcode[error.errno]
for pid in pids:
    os.kill(pid, 9)
answer = [len(pids), why]
"""
    with Sandbox.create(profile=policy(pids=20)) as sandbox:
        count, why = ask(sandbox, code)
        assert why == "EAGAIN"
        assert 10 <= count < 20
        # Counted per sandbox: another one has its own.
        with Sandbox.create(profile=policy(pids=20)) as other:
            assert lines(other, "echo fine") == ["fine"]


def test_threads_count_as_processes() -> None:
    code = """
import threading
stop = threading.Event()
count = 0
try:
    while count < 100:
        threading.Thread(target=stop.wait, daemon=True).start()
        count += 1
except RuntimeError:
    pass
stop.set()
answer = count
"""
    with Sandbox.create(profile=policy(pids=20)) as sandbox:
        assert 10 <= ask(sandbox, code) < 20


def test_one_process_cannot_have_more_memory_than_the_sandbox() -> None:
    with Sandbox.create(profile=policy(memory=128 * MIB)) as sandbox:
        with pytest.raises(CommandExitException) as caught:
            sandbox.commands.run_python(f"x = bytearray({256 * MIB})\nprint(len(x))")
        # RLIMIT_DATA refuses it outright.
        assert "MemoryError" in caught.value.stderr
        assert sandbox.commands.run_python(f"print(len(bytearray({32 * MIB})))").stdout


def test_many_processes_cannot_have_more_memory_than_the_sandbox() -> None:
    """Each stays below RLIMIT_DATA, all together do not: the cgroup or the watchdog ends one."""
    with Sandbox.create(profile=policy(memory=128 * MIB), timeout=60) as sandbox:
        code = f"""
import signal
pids = []
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        hold = b'x' * {48 * MIB}
        signal.pause()
    pids.append(pid)
pid, status = os.waitpid(-1, 0)
answer = os.waitstatus_to_exitcode(status)
for pid in pids:
    try: os.kill(pid, 9)
    except ProcessLookupError: pass
"""
        # Whoever is largest is ended; that may be the parent or, in a cgroup, the agent itself.
        with contextlib.suppress(CommandExitException, SandboxNotRunningException):
            assert ask(sandbox, code, timeout=30) == -9
        if sandbox.is_running():
            assert lines(sandbox, "echo fine") == ["fine"]
        else:
            with pytest.raises(SandboxNotRunningException, match=sandbox.sandbox_id):
                sandbox.commands.run("true")


def test_a_cgroup_limits_memory_and_processes_where_one_is_required(tmp_path: Path) -> None:
    profile = tmp_path / "grouped.yaml"
    profile.write_text("isolation: {require: [cgroup]}\nresources: {memory: 128MiB, pids: 30}\n")
    problem: WallError | None = None
    sandbox: Sandbox | None = None
    try:
        sandbox = Sandbox.create(profile=profile)
    except WallError as error:
        problem = error
    if sandbox is None:
        # An ordinary user can rarely make one. Then nothing has run, and the error says why.
        assert problem is not None
        assert problem.wall == "cgroup"
        assert os.geteuid() != 0 or os.environ.get("CI") != "true", problem
        return
    with sandbox:
        assert "cgroup" in sandbox.isolation
        groups = Path(f"/proc/{host_pids(sandbox)[0]}/cgroup").read_text()
        assert f"localbox-{sandbox._record.zygote.pid}-{sandbox.sandbox_id}" in groups
        with pytest.raises(CommandExitException):
            # More than there is, a piece at a time so that RLIMIT_DATA is not what ends it.
            sandbox.commands.run(
                "for n in 1 2 3 4; do python3 -c 'x = b\"x\" * (60 << 20); input()' < <(sleep 9) &"
                " pids+=($!); done; for pid in ${pids[@]}; do wait $pid || exit 1; done",
                timeout=30,
            )


def test_shared_memory_counts_too() -> None:
    """Anonymous shared memory is in no process's RLIMIT_DATA."""
    with Sandbox.create(profile=policy(memory=96 * MIB), timeout=60) as sandbox:
        code = f"""
import mmap
m = mmap.mmap(-1, {400 * MIB})
for n in range(0, len(m), 4096):
    m[n] = 1
"""
        with pytest.raises((CommandExitException, SandboxException)) as caught:
            sandbox.commands.run_python(code + "import signal; signal.pause()", timeout=30)
        if isinstance(caught.value, CommandExitException):
            assert caught.value.exit_code == -1


def test_the_disk_ends_at_its_limit() -> None:
    with Sandbox.create(profile=policy(disk=8 * MIB)) as sandbox:
        for directory in ("/home/user", "/tmp", "/dev/shm", "/var/tmp"):
            written = ask(
                sandbox,
                f"""
fd = os.open('{directory}/big', os.O_CREAT | os.O_WRONLY)
answer = 0
try:
    while answer < {64 * MIB}:
        answer += os.write(fd, bytes(65536))
except OSError as error:
    answer = [answer, errno.errorcode[error.errno]]
""",
            )
            assert written[0] <= 8 * MIB
            assert written[1] in {"ENOSPC", "EFBIG"}
            # One disk holds them all.
            assert outcome(sandbox, "os.write(os.open('/tmp/b', 65), bytes(8 << 20))") in {
                "ENOSPC",
                "allowed",  # a short write
            }
            sandbox.commands.run(f"rm -f {directory}/big /tmp/b")
            assert lines(sandbox, "head -c 1000000 /dev/zero | wc -c") == ["1000000"]


def test_the_number_of_files_is_limited(tmp_path: Path) -> None:
    profile = tmp_path / "few.yaml"
    profile.write_text("filesystem: {files: 100}\n")
    with Sandbox.create(profile=profile) as sandbox:
        code = """
answer = 0
try:
    while answer < 1000:
        open(f'/tmp/{answer}', 'w').close()
        answer += 1
except OSError as error:
    answer = [answer, errno.errorcode[error.errno]]
"""
        count, why = ask(sandbox, code)
        assert why == "ENOSPC"
        assert 50 < count <= 100


def test_descriptors_are_limited(sandbox: Sandbox) -> None:
    code = """
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
count = 0
try:
    while count < hard + 10:
        os.dup(0); count += 1
    why = 'never'
except OSError as error:
    why = errno.errorcode[error.errno]
answer = [count <= hard, why]
"""
    assert ask(sandbox, code) == [True, "EMFILE"]


def test_guest_cannot_raise_its_limits(any_sandbox: Sandbox) -> None:
    code = """
import resource
answer = {}
for name in ('NOFILE', 'NPROC', 'DATA', 'FSIZE', 'CORE', 'MEMLOCK', 'MSGQUEUE', 'NICE', 'RTPRIO'):
    number = getattr(resource, 'RLIMIT_' + name)
    soft, hard = resource.getrlimit(number)
    try:
        resource.setrlimit(number, (soft, hard + 1))
        answer[name] = 'raised'
    except (ValueError, OSError):
        answer[name] = 'refused'
"""
    seen = ask(any_sandbox, code)
    assert set(seen.values()) == {"refused"}


def test_no_core_file_is_written(sandbox: Sandbox) -> None:
    with pytest.raises(CommandExitException):
        sandbox.commands.run("kill -SEGV $$")
    assert lines(sandbox, "ls -A | wc -l") == ["0"]


def test_cpu_time_is_limited_where_the_profile_says_so(tmp_path: Path) -> None:
    profile = tmp_path / "brief.yaml"
    profile.write_text("resources: {cpu_time: 1s}\n")
    with Sandbox.create(profile=profile) as sandbox:
        for run in (
            lambda: sandbox.commands.run_python("while True: pass", timeout=30),
            lambda: sandbox.commands.run("while :; do :; done", timeout=30),
        ):
            with pytest.raises(CommandExitException) as caught:
                run()
            assert caught.value.exit_code == -1
        # Each process has its own; the sandbox goes on.
        assert lines(sandbox, "echo fine") == ["fine"]


def test_wall_time_ends_a_sandbox_whatever_its_timeout() -> None:
    sandbox = Sandbox.create(profile=policy(wall_time=1), timeout=3600)
    sandbox.set_timeout(3600)
    leftovers.wait_until(lambda: not sandbox.is_running(), "the sandbox outlived its wall time")
    sandbox.kill()


def test_a_flood_of_output_is_bounded_on_the_host(tmp_path: Path) -> None:
    profile = tmp_path / "quiet.yaml"
    profile.write_text("resources: {output: 64KiB}\n")
    with Sandbox.create(profile=profile) as sandbox:
        result = sandbox.commands.run("head -c 30000000 /dev/zero; head -c 30000000 /dev/zero >&2")
        assert len(result.stdout) + len(result.stderr) <= 64 * 1024
        assert result.error is not None


def test_a_guest_that_is_never_read_from_waits_and_fills_no_memory(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat /dev/zero", background=True, timeout=0)
    agent = host_pids(sandbox)[0]

    def resident_kib() -> int:
        with open(f"/proc/{agent}/status", encoding="ascii", errors="replace") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

    # cat fills the pipe, the agent and the socket, and then sleeps in write(2).
    def is_blocked() -> bool:
        return sandbox.files.read(f"/proc/{handle.pid}/stat").split(") ")[1].startswith("S")

    leftovers.wait_until(is_blocked)
    assert resident_kib() < 64 * 1024
    handle.kill()
