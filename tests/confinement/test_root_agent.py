"""The agents of a sandbox beside a hostile root, and root's own beside everybody.

The guest is taken to be hostile as root too; each of the attacks here has all that root has.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localbox import CommandExitException, Sandbox, SandboxException, TimeoutException
from localbox.engine import zygote_process
from localbox.engine.root_agent import RootAgent
from tests import leftovers
from tests.confinement.as_root import ask_root, calls, needs_root, root_agents
from tests.confinement.attack import ask, call, lines, number_of, outcome, policy, status

pytestmark = needs_root


@pytest.mark.parametrize("whose", ["user", "root"])
def test_root_cannot_look_into_either_agent(sandbox: Sandbox, whose: str) -> None:
    """Not dumpable: what /proc has of them is host root's, over whom root here has no power."""
    agent = 1 if whose == "user" else int(sandbox.commands.run("echo $PPID", user="root").stdout)
    names = ["mem", "environ", "maps", "auxv", "syscall", "io", "pagemap", "fd", "map_files"]
    links = ["exe", "cwd", "root", "fd/0", "fd/3", "ns/user", "ns/mnt"]
    code = f"""
def read(path):
    os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1)
answer = {{name: outcome(read, '/proc/{agent}/' + name) for name in {names!r}}}
answer |= {{name: outcome(os.readlink, '/proc/{agent}/' + name) for name in {links!r}}}
answer['mem for writing'] = outcome(open, '/proc/{agent}/mem', 'r+b')
answer['partners'] = [outcome(read, '/proc/self/environ'), outcome(os.readlink, '/proc/self/exe')]
answer['parent'] = open('/proc/{agent}/stat').read().split(') ')[1].split()[1]
"""
    answer = ask_root(sandbox, code)
    # It is the agent: its parent is outside.
    assert answer.pop("parent") == "0"
    assert answer.pop("partners") == ["allowed", "allowed"]
    assert set(answer.values()) <= {"EACCES", "EPERM", "ENOENT", "EROFS"}, answer
    assert answer["mem"] in {"EACCES", "EPERM"}


def test_roots_agent_has_let_go_of_all_it_was_born_with(sandbox: Sandbox) -> None:
    """It held descriptors of the sandbox's namespaces and of the zygote's process."""
    listed = ask_root(sandbox, "answer = sorted(os.listdir('/proc/self/fd'))")
    assert listed == ["0", "1", "2", "3"]  # the last is of the listing
    (agent,) = root_agents(sandbox)
    links = [os.readlink(link) for link in Path(f"/proc/{agent}/fd").iterdir()]
    kinds = {link.partition(":")[0] for link in links}
    assert kinds <= {"/dev/null", "pipe", "socket", "anon_inode"}
    assert {link for link in links if link.startswith("anon")} == {"anon_inode:[eventpoll]"}


def test_root_cannot_trace_or_rewrite_an_agent(sandbox: Sandbox) -> None:
    pid = int(sandbox.commands.run("echo $PPID", user="root").stdout)
    for target in (1, pid):
        answers = calls(
            sandbox,
            {
                "ptrace": (16, target, 0, 0),
                "process_vm_readv": (target, 0, 0, 0, 0, 0),
                "process_vm_writev": (target, 0, 0, 0, 0, 0),
                "kcmp": (target, target, 0, 0, 0),
                "pidfd_getfd": (0, 0, 0),
            },
        )
        assert set(answers.values()) == {"EPERM"}, answers


def test_root_cannot_end_stop_or_starve_pid_1(sandbox: Sandbox) -> None:
    code = f"""
import resource, signal
answer = [outcome(os.kill, 1, number) for number in range(1, 65) if number not in (32, 33)]
fd = os.pidfd_open(1)
answer += [outcome(signal.pidfd_send_signal, fd, number) for number in (9, 19)]
limits = [
    outcome(resource.prlimit, 1, which, (0, 0))
    for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_NPROC)
]
answer = [sorted(set(answer)), limits, call({number_of("prlimit64")}, 1, 7, bytes(16), 0)]
"""
    assert ask_root(sandbox, code) == [["allowed"], ["EPERM"] * 3, "EPERM"]
    state = sandbox.files.read("/proc/1/stat").split(") ")[1].split()[0]
    assert state in "RS"
    assert lines(sandbox, "echo alive") == ["alive"]


def test_what_root_can_do_to_its_own_agent_costs_itself_alone(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True)
    with pytest.raises(SandboxException):
        sandbox.commands.run("kill -9 -1; kill -9 $PPID; sleep 1000", user="root")
    assert lines(sandbox, "echo alive") == ["alive"]
    assert sandbox.commands.run("id -u", user="root").stdout == "0\n"
    with pytest.raises(CommandExitException):
        handle.wait()
    assert len(root_agents(sandbox)) == 1


def test_a_stopped_agent_of_root_is_a_timeout_and_the_sandbox_can_be_killed(
    sandbox: Sandbox,
) -> None:
    """Which root inside can do, being the same user."""
    sandbox.commands.run("kill -0 $PPID", user="root")
    (agent,) = root_agents(sandbox)
    os.kill(agent, signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while status(agent)["State"][0] != "T":
        assert time.monotonic() < deadline
    with pytest.raises(TimeoutException):
        sandbox.files.read("/etc/passwd", user="root", request_timeout=0.2)
    # What is the user's goes on as ever.
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    sandbox.commands.send_stdin(handle.pid, "x")
    assert sandbox.commands.kill(handle.pid)
    assert sandbox.kill()


def test_the_user_can_do_nothing_to_roots_agent_and_programs(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True, user="root")
    agent = ask(
        sandbox,
        f"answer = int(open('/proc/{handle.pid}/stat').read().split(') ')[1].split()[1])",
    )
    assert agent > 1
    for pid in (agent, handle.pid):
        assert outcome(sandbox, f"os.kill({pid}, 9)") == "EPERM"
        assert outcome(sandbox, f"open('/proc/{pid}/mem')") == "EACCES"
        assert outcome(sandbox, f"os.listdir('/proc/{pid}/fd')") == "EACCES"
        assert outcome(sandbox, f"os.readlink('/proc/{pid}/root')") == "EACCES"
        assert outcome(sandbox, f"os.sched_setaffinity({pid}, {{0}})") == "EPERM"
        limits = f"__import__('resource').prlimit({pid}, 7, (0, 0))"
        assert outcome(sandbox, limits) == "EPERM"
    assert call(sandbox, "setuid", 0) == "EPERM"


def test_roots_agent_is_out_of_reach_of_root_while_its_walls_go_up() -> None:
    """It is born with every capability over the sandbox, and where its upper directories show.

    Without Landlock, which would keep others out for good.
    """
    lurker = textwrap.dedent(
        """
        import os, sys
        agents, got = set(), set()
        print("lurking", flush=True)
        while len(agents) < 3:
            for name in os.listdir("/proc"):
                if not name.isdigit() or name == "1":
                    continue
                try:
                    is_agent = open(f"/proc/{name}/stat").read().split(") ")[1].split()[1] == "0"
                except OSError:
                    continue
                if is_agent:
                    agents.add(name)
                for path in ("mem", "fd", "root/usr", "cwd/usr", "ns/mnt", "environ"):
                    try:
                        os.close(os.open(f"/proc/{name}/{path}", os.O_RDONLY))
                    except OSError:
                        continue
                    got.add(("agent " if is_agent else "other ") + path)
        print(*sorted(got), sep="\\n", flush=True)
        """
    )
    without = dataclasses.replace(policy(), landlock=False)
    with Sandbox.create(profile=without, timeout=120) as sandbox:
        # Below no agent that dies: it is PID 1's by then.
        sandbox.files.write("/root/lurker.py", lurker, user="root")
        sandbox.commands.run(
            "(setsid python3 /root/lurker.py > /root/seen 2>&1 < /dev/null &) ; "
            "until grep -q lurking /root/seen; do sleep 0.01; done",
            user="root",
        )
        for _ in range(2):
            with pytest.raises(SandboxException):
                sandbox.commands.run("kill -9 $PPID; sleep 1000", user="root")
        seen = sandbox.commands.run(
            "until [ $(wc -l < /root/seen) -gt 1 ]; do sleep 0.01; done; cat /root/seen",
            user="root",
            timeout=20,
        ).stdout.splitlines()
    # It could open those of others, so the test would notice.
    assert "other mem" in seen
    assert not [line for line in seen if line.startswith("agent")], seen


def test_ten_threads_that_ask_for_root_get_one_agent(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(
            pool.map(lambda n: sandbox.commands.run(f"echo {n}", user="root").stdout, range(10))
        )
    assert answers == [f"{n}\n" for n in range(10)]
    assert len(root_agents(sandbox)) == 1
    assert isinstance(sandbox._record.root, RootAgent)


@pytest.mark.parametrize("how", ["sandbox", "zygote"])
def test_root_ends_with_its_sandbox_and_with_the_zygote(how: str) -> None:
    with Sandbox.create() as sandbox:
        sandbox.commands.run("true", user="root")
        (pid,) = root_agents(sandbox)
        if how == "sandbox":
            sandbox.kill()
            assert not Path(f"/proc/{pid}").exists()
            return
        pidfd = os.pidfd_open(pid)
        os.kill(sandbox._record.zygote.pid, signal.SIGKILL)
        leftovers.wait_for_end(pidfd)
        os.close(pidfd)
    zygote_process.stop_zygotes()
