"""The host program's life: however it ends, forks or runs out of something, nothing stays behind.

What would end or starve this process is tried on programs of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox import Sandbox, SandboxException, SandboxNotFoundException, SandboxNotRunningException
from localbox.engine import zygote_process
from tests import leftovers
from tests.confinement.attack import host_pids, lines, status

SURVIVORS_GONE_S = 2.0
ROOT = Path(__file__).parent.parent.parent


class Program:
    """A Python program on the host, which prints JSON lines."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(code)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line(self) -> object:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        text = self.process.stdout.readline() if ready else ""
        if not text:
            raise AssertionError(f"the program said nothing: {self.end()}")
        return json.loads(text)

    def end(self) -> str:
        """Kill it and its forks, which would otherwise keep its output open; what it said."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        try:
            return str(self.process.communicate(timeout=30)[1])
        except ValueError:
            return ""  # read and closed before

    def finish(self) -> int:
        out, err = self.process.communicate(timeout=30)
        assert (out, err) == ("", "")
        return self.process.returncode


PRELUDE = """
import json, os, signal, sys, threading
from localbox import Sandbox, SandboxException
from localbox.engine import zygote_process
from tests import leftovers

def say(value):
    print(json.dumps(value), flush=True)

def family():
    return sorted(leftovers.descendants(os.getpid()))

"""


@pytest.fixture
def start() -> Iterator[object]:
    programs: list[Program] = []

    def start(code: str) -> Program:
        programs.append(Program(code))
        return programs[-1]

    yield start
    for program in programs:
        program.end()


def alive(pids: object) -> list[int]:
    assert isinstance(pids, list)
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}") and not is_zombie(pid)]


def is_zombie(pid: int) -> bool:
    """Dead, and waiting for a reaper that may not hurry: not a survivor."""
    try:
        return status(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def expect_gone(pids: object) -> None:
    assert isinstance(pids, list)
    assert pids
    leftovers.wait_until(
        lambda: not alive(pids), f"survivors: {alive(pids)}", within_s=SURVIVORS_GONE_S
    )


BUSY = """
sandboxes = [Sandbox.create() for _ in range(3)]
for sandbox in sandboxes:
    sandbox.commands.run("sleep 1000 & setsid sleep 1000 & while :; do :; done", background=True)
    sandbox.commands.run("trap '' TERM INT HUP QUIT; sleep 1000", background=True)
leftovers.wait_until(lambda: len(family()) >= 1 + 3 * 5)
say(family())
"""


def test_sigkill_of_the_host_program_leaves_no_survivor(start) -> None:  # type: ignore[no-untyped-def]
    program = start(BUSY + "signal.pause()")
    pids = program.line()
    assert len(alive(pids)) >= 16
    program.process.kill()
    expect_gone(pids)


def test_sigkill_of_the_host_program_ends_paused_sandboxes_too(start) -> None:  # type: ignore[no-untyped-def]
    program = start("""
        sandbox = Sandbox.create()
        sandbox.run_code("x = 1")
        sandbox.commands.run("sleep 1000", background=True)
        sandbox.pause()
        say(family())
        signal.pause()
    """)
    family = program.line()
    program.process.kill()
    expect_gone(family)


def test_a_fork_finds_out_that_its_parent_has_paused_a_sandbox(start) -> None:  # type: ignore[no-untyped-def]
    program = start("""
        sandbox = Sandbox.create()
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.read(reader, 1)
            try:
                sandbox.files.read("/etc/hostname", request_timeout=0.1)
            except SandboxException as error:
                say(str(error))
            os._exit(0)
        sandbox.pause()
        os.write(writer, b"1")
        os.wait()
        sandbox.kill()
    """)
    assert "paused" in program.line()
    assert program.finish() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV])
def test_a_host_program_ended_by_a_signal_leaves_no_survivor(start, number: int) -> None:  # type: ignore[no-untyped-def]
    program = start(BUSY + "signal.pause()")
    pids = program.line()
    program.process.send_signal(number)
    expect_gone(pids)


@pytest.mark.parametrize("end", ["", "os._exit(0)", "sys.exit(3)", "1/0"])
def test_a_host_program_that_ends_by_itself_leaves_no_survivor(start, end: str) -> None:  # type: ignore[no-untyped-def]
    program = start(BUSY + end)
    pids = program.line()
    program.process.communicate(timeout=30)
    expect_gone(pids)


def test_a_host_program_killed_while_it_creates_leaves_no_survivor(start) -> None:  # type: ignore[no-untyped-def]
    program = start("""
        Sandbox.create()
        say(zygote_process._zygotes[(), False].pid)
        while True:
            Sandbox.create()
        """)
    zygote = program.line()
    leftovers.wait_until(lambda: len(leftovers.descendants(zygote)) > 20)
    pids = [zygote, *leftovers.descendants(zygote)]
    program.process.kill()
    expect_gone(pids)
    # Nor one that was being cloned at that moment.
    leftovers.wait_until(lambda: not children_named(zygote), within_s=SURVIVORS_GONE_S)


def children_named(zygote: int) -> list[str]:
    """Cgroups are named for their zygote."""
    return sorted(leftovers._cgroups({zygote})) if alive([zygote]) else []


def test_ctrl_c_is_the_host_programs_business(start) -> None:  # type: ignore[no-untyped-def]
    """The zygote and its sandboxes are in a session of their own."""
    program = start("""
        sandbox = Sandbox.create()
        signal.signal(signal.SIGINT, lambda *_: None)
        os.killpg(0, signal.SIGINT)
        say(sandbox.commands.run("echo on").stdout)
        sandbox.kill()
        """)
    assert program.line() == "on\n"
    assert program.finish() == 0


def test_a_forked_host_shares_its_sandboxes_and_takes_none_along(start) -> None:  # type: ignore[no-untyped-def]
    program = start("""
        import warnings
        sandbox = Sandbox.create()
        pid = os.fork()
        if pid == 0:
            # The inherited one is the parent's, and can be used.
            say(sandbox.commands.run("echo child").stdout)
            own = Sandbox.create()
            say(own.commands.run("echo own").stdout)
            say([p for p in family()])
            sys.exit(0)
        os.waitpid(pid, 0)
        say(sandbox.commands.run("echo parent").stdout)
        say(sandbox.is_running())
        say(family())
        """)
    assert program.line() == "child\n"
    assert program.line() == "own\n"
    childs = program.line()
    assert program.line() == "parent\n"
    assert program.line() is True
    parents = program.line()
    assert program.finish() == 0
    expect_gone(childs)
    expect_gone(parents)


def test_a_host_that_forks_while_threads_use_sandboxes_is_well(start) -> None:  # type: ignore[no-untyped-def]
    program = start("""
        # Imports are done: a fork in the middle of another thread's import leaves Python's import
        # lock taken for ever, whoever's module it is.
        Sandbox.create().kill()
        stop = threading.Event()
        def work():
            while not stop.is_set():
                with Sandbox.create() as sandbox:
                    sandbox.commands.run("true")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        codes = []
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                with Sandbox.create() as sandbox:
                    good = sandbox.commands.run("echo x").stdout == "x\\n"
                zygote_process.stop_zygotes()
                os._exit(0 if good else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        for thread in threads: thread.join()
        say(codes)
        """)
    assert program.line() == [0] * 5
    assert program.finish() == 0


def test_a_host_without_standard_streams_can_make_sandboxes(start) -> None:  # type: ignore[no-untyped-def]
    """Descriptors 0 to 2 are then handed out to anything: sockets of ours among them."""
    program = start("""
        report = os.dup(1)
        os.set_inheritable(report, False)
        os.closerange(0, 3)
        with Sandbox.create() as sandbox:
            text = sandbox.commands.run("echo on; echo err >&2; cat").stdout
            sandbox.files.write("a", "content")
            text += sandbox.files.read("a")
            text += sandbox.commands.run_python("print(open('a').read())").stdout
        os.write(report, json.dumps(text).encode() + b"\\n")
        zygote_process.stop_zygotes()
        os._exit(0)
        """)
    assert program.line() == "on\ncontentcontent\n"


def test_a_host_out_of_descriptors_gets_an_error_and_recovers(start) -> None:  # type: ignore[no-untyped-def]
    program = start("""
        import errno, resource
        sandbox = Sandbox.create()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True: taken.append(os.dup(0))
        except OSError: pass
        seen = []
        for call in (
            Sandbox.create,
            lambda: sandbox.commands.run("true"),
            lambda: sandbox.commands.run("true", background=True),
            lambda: sandbox.files.read("/etc/passwd"),
            lambda: sandbox.files.write("a", "x"),
        ):
            for free in range(4):
                for fd in taken[:free]: os.close(fd)
                try:
                    call()
                    seen.append("fine")
                except OSError as error:
                    seen.append(errno.errorcode[error.errno])
                except SandboxException as error:
                    seen.append(type(error).__name__)
                del taken[:free]
                try:
                    while True: taken.append(os.dup(0))
                except OSError: pass
        for fd in taken: os.close(fd)
        say(seen)
        say(sandbox.commands.run("echo again").stdout)
        with Sandbox.create() as other:
            say(other.commands.run("echo other").stdout)
        """)
    seen = program.line()
    assert isinstance(seen, list)
    assert "EMFILE" in seen
    assert set(seen) <= {"EMFILE", "fine", "ProtocolError", "SandboxException", "TimeoutException"}
    assert program.line() == "again\n"
    assert program.line() == "other\n"
    assert program.finish() == 0


def test_a_dead_zygote_is_reported_and_replaced() -> None:
    sandbox = Sandbox.create()
    # So that there is a zygote of kernels too, which goes with it.
    sandbox.run_code("1")
    zygote = sandbox._record.zygote
    os.kill(zygote.pid, signal.SIGKILL)
    with pytest.raises(SandboxNotRunningException, match="zygote has ended"):
        leftovers.wait_until(lambda: sandbox.commands.run("true") is None)
    assert sandbox.is_running() is False
    assert sandbox.kill() is False
    with pytest.raises(SandboxNotFoundException):
        sandbox.get_info()
    with Sandbox.create() as other:
        assert other._record.zygote is not zygote
        assert lines(other, "echo on") == ["on"]


def test_a_stopped_zygote_holds_up_no_call_beyond_its_timeout() -> None:
    from localbox import TimeoutException

    with Sandbox.create() as sandbox:
        zygote = sandbox._record.zygote.pid
        os.kill(zygote, signal.SIGSTOP)
        try:
            # The sandbox itself needs no zygote.
            assert lines(sandbox, "echo on") == ["on"]
            with pytest.raises(TimeoutException):
                sandbox.get_info(request_timeout=0.2)
            with pytest.raises(TimeoutException):
                Sandbox.create(request_timeout=0.2)
        finally:
            os.kill(zygote, signal.SIGCONT)
        assert sandbox.get_info().sandbox_id == sandbox.sandbox_id
    # The creation that was given up was already on its way.
    zygote_process.stop_zygotes()


def test_a_sandbox_outlives_the_thread_that_made_it() -> None:
    """PDEATHSIG is the thread's death, so the zygote must not hang on it. See prctl(2)."""
    made: list[Sandbox] = []
    zygote_process.stop_zygotes()
    thread = threading.Thread(target=lambda: made.append(Sandbox.create()))
    thread.start()
    thread.join()
    with made[0] as sandbox:
        for _ in range(20):
            assert lines(sandbox, "echo on") == ["on"]
        assert sandbox.is_running()


def test_the_timeout_holds_while_the_host_program_does_nothing() -> None:
    sandbox = Sandbox.create(timeout=1)
    sandbox.commands.run("setsid sleep 1000 &")
    pids = host_pids(sandbox)
    watched = [os.pidfd_open(pid) for pid in pids]
    try:
        for pidfd in watched:
            assert select.select([pidfd], [], [], 20)[0], "it outlived its timeout"
    finally:
        for pidfd in watched:
            os.close(pidfd)
    with pytest.raises(SandboxNotRunningException, match="timeout expired"):
        sandbox.commands.run("true")
    assert sandbox.kill() is False


def test_two_host_programs_do_not_meet(sandbox: Sandbox, start) -> None:  # type: ignore[no-untyped-def]
    program = start("""
        sandbox = Sandbox.create()
        from tests.confinement.attack import host_pids, status
        say(status(host_pids(sandbox)[0])["Uid"].split()[0])
        sys.stdin.readline()
        """)
    theirs = program.line()
    ours = status(leftovers.descendants(sandbox._record.zygote.pid).pop())["Uid"].split()[0]
    if os.geteuid() == 0:
        assert theirs != ours
        assert "0" not in (theirs, ours)
    else:
        assert theirs == ours == str(os.geteuid())
    with pytest.raises(SandboxNotFoundException):
        Sandbox.get_info("i0123456789abcdef012")
    program.process.communicate("\n", timeout=30)


def test_the_zygote_knows_nothing_of_the_host_program(sandbox: Sandbox) -> None:
    zygote = sandbox._record.zygote.pid
    with open(f"/proc/{zygote}/environ", "rb") as file:
        assert file.read() == b""
    assert os.readlink(f"/proc/{zygote}/cwd") == "/"
    assert status(zygote)["Threads"] == "1"
    # Its standard error is a file without a name, for the message when it cannot start.
    targets = []
    for number in set(os.listdir(f"/proc/{zygote}/fd")) - {"2"}:
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/{zygote}/fd/{number}"))
    kinds = ("socket:", "pipe:", "anon_inode:", "/dev/null", "/proc", "/sys/fs/cgroup")
    namespaces = ("mnt:", "net:", "user:", "ipc:", "uts:")
    strangers = [target for target in targets if not target.startswith(kinds + namespaces)]
    assert strangers == []


def test_a_hundred_sandboxes_come_and_go(sandbox: Sandbox) -> None:
    for _ in range(5):
        boxes = [Sandbox.create() for _ in range(20)]
        assert len({box.sandbox_id for box in boxes}) == 20
        assert boxes[7].commands.run("echo on").stdout == "on\n"
        for box in boxes:
            assert box.kill()
    assert len(leftovers.descendants(sandbox._record.zygote.pid)) <= 4


def test_a_failed_creation_leaves_nothing(tmp_path: Path) -> None:
    profile = tmp_path / "impossible.yaml"
    profile.write_text("filesystem: {overlay: [/usr/no/such/directory]}\n")
    for _ in range(5):
        with pytest.raises(SandboxException):
            Sandbox.create(profile=profile)
