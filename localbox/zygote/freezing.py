"""Stops every process of a sandbox, lets them go on, and ends all but the first.

With a version 2 cgroup the kernel freezes the group. Without one it is SIGSTOP, which a guest can
neither catch nor block; but any process that still runs could undo it with SIGCONT. So nothing is
believed that has not been seen: all stopped, twice, and none of them run in between. From then on
nobody is left to wake anybody.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from localbox.confinement import syscalls
from localbox.confinement.host_proc import read_proc
from localbox.zygote.memory import children_of, descendants, kernel_descendants, tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localbox.zygote.live import LiveSandbox

# Stopping takes the kernel a fraction of a millisecond a process. Whoever resists for longer than
# this does so on purpose, and everybody else who asks the zygote for something is waiting.
_FREEZE_WITHIN_S = 0.5
# Before the signals are sent again, to whoever has been woken meanwhile.
_LOOK_FOR_S = 0.02
_POLITE_FOR_S = 0.05
_BRIEFLY_S = 0.005
_HELPER_WITHIN_MS = 200
_END_WITHIN_S = 1.0
_SIGSTOP_BIT = 1 << (signal.SIGSTOP - 1)


class CannotFreezeError(Exception):
    """The sandbox goes on as before."""


def freeze(sandbox: LiveSandbox) -> None:
    """Return when no process of the sandbox can run any more.

    Raises:
        CannotFreezeError: its processes wake each other faster than they can be stopped.
    """
    deadline = time.monotonic() + _FREEZE_WITHIN_S
    if sandbox.throttle is not None:
        # Or what it has stopped would be taken for stopped by the guest.
        sandbox.throttle.let_go(sandbox)
    if sandbox.cgroup is not None and sandbox.cgroup.can_freeze:
        while not sandbox.cgroup.freeze():
            _pause_or_give_up(sandbox, deadline)
        return
    if not sandbox.paused:
        sandbox.stopped_by_guest = frozenset(filter(_is_stopped, processes(sandbox)[1:]))
    first = [sandbox.pid, *(kernel.pid for kernel in sandbox.kernels.values())]
    _stop_from_the_top(first, time.monotonic() + _POLITE_FOR_S)
    while True:
        _signal_all(sandbox, signal.SIGSTOP)
        look_until = min(deadline, time.monotonic() + _LOOK_FOR_S)
        while time.monotonic() < look_until:
            if _nobody_runs(sandbox):
                return
            time.sleep(0.0005)
        _pause_or_give_up(sandbox, deadline)


def thaw(sandbox: LiveSandbox, *, first_only: bool = False, only: int = 0) -> None:
    """Let everything go on that did before; what the guest itself had stopped stays stopped.

    Args:
        first_only: PID 1 alone; for when all others are to be killed.
        only: this process and what it has started.
    """
    if sandbox.cgroup is not None and sandbox.cgroup.can_freeze:
        sandbox.cgroup.thaw()
        return
    if only:
        pids = [only, *kernel_descendants(only)]
    else:
        pids = [sandbox.pid] if first_only else processes(sandbox)
    # Children first: a shell that looks before its job goes on would say that the job has stopped.
    for pid in reversed(pids):
        if pid not in sandbox.stopped_by_guest:
            _signal(pid, signal.SIGCONT)


def end_all_but_first(sandbox: LiveSandbox) -> None:
    """Kill every process but PID 1, and return when PID 1, which must be running, has reaped them.

    Raises:
        CannotFreezeError: they are not gone in time.
    """
    deadline = time.monotonic() + _END_WITHIN_S
    while True:
        # One kill(2) for all, under the lock that a fork has to take: none can slip through.
        _signal_all(sandbox, signal.SIGKILL)
        # And one by one, should the guest have killed what went in to do that.
        for pid in processes(sandbox)[1:]:
            _signal(pid, signal.SIGKILL)
        look_until = min(deadline, time.monotonic() + _LOOK_FOR_S)
        while time.monotonic() < look_until:
            kernels = (kernel.pid for kernel in sandbox.kernels.values())
            if not descendants(sandbox.pid) and not any(map(_is_alive, kernels)):
                return
            time.sleep(0.0005)
        if time.monotonic() >= deadline:
            raise CannotFreezeError("its processes did not end when they were killed")


def processes(sandbox: LiveSandbox) -> list[int]:
    """Every process of the sandbox, PID 1 first, parents before their children."""
    found = [sandbox.pid, *descendants(sandbox.pid)]
    for kernel in sandbox.kernels.values():
        found += [kernel.pid, *kernel_descendants(kernel.pid)]
    return found


def stop_programs(sandbox: LiveSandbox, *, again: bool) -> None:
    """Stop the programs of a sandbox that do not resist, but not its agents, for a moment.

    Args:
        again: they have been stopped and not let go on since.
    """
    if sandbox.cgroup is not None and sandbox.cgroup.can_freeze:
        sandbox.cgroup.freeze()
        return
    if not again:
        sandbox.stopped_by_guest = frozenset(filter(_is_stopped, processes(sandbox)[1:]))
    elif any(_switches_of(pid) is None for pid in processes(sandbox)[1:]):
        # A new command, or one has woken the others: then only all at once is of use.
        _signal_all(sandbox, signal.SIGSTOP)
    kernels = list(sandbox.kernels.values())
    agents = [sandbox.pid, *(kernel.pid for kernel in kernels if kernel.is_ours)]
    pids = [child for agent in agents for child in children_of(agent)]
    pids += [kernel.pid for kernel in kernels if not kernel.is_ours]
    _stop_from_the_top(pids, time.monotonic() + _BRIEFLY_S)


def _stop_from_the_top(pids: list[int], deadline: float) -> None:
    """Parents before children: a shell that sees its job stop would go on to its next command.

    Good enough for programs that do not resist.
    """
    while pids and time.monotonic() < deadline:
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        while any(_switches_of(pid) is None for pid in pids):
            if time.monotonic() >= deadline:
                return
            time.sleep(0.0002)
        pids = [child for pid in pids for child in children_of(pid)]


def _pause_or_give_up(sandbox: LiveSandbox, deadline: float) -> None:
    if time.monotonic() < deadline:
        time.sleep(0.0005)
        return
    thaw(sandbox)
    raise CannotFreezeError(
        f"its processes could not be stopped within {_FREEZE_WITHIN_S} s: they wake each other"
    )


def _nobody_runs(sandbox: LiveSandbox) -> bool:
    """Whether there was a moment at which all were stopped at once.

    Each thread's count of context switches is read before and after: one that is stopped both
    times with the same count has been so all the while, and all these whiles have a moment in
    common, that between the two rounds.
    """
    before = _census(sandbox)
    return before is not None and before == _census(sandbox)


def _census(sandbox: LiveSandbox) -> dict[int, int] | None:
    """The switches of each thread by its id; None if one of them can run."""
    census: dict[int, int] = {}
    for pid in processes(sandbox):
        switches = _switches_of(pid)
        if switches is None:
            return None
        census.update(switches)
    return census


def _switches_of(pid: int) -> dict[int, int] | None:
    """The same for one process."""
    switches: dict[int, int] = {}
    waits = stopping = False
    for task in tasks(pid):
        status = _status(f"{pid}/task/{task}")
        state = status.get("State", "X")[:1]
        if state in "XZ":
            continue
        if state in "tT":
            stopping = True
        elif state == "D":
            # As a parent in vfork(2): it stops on its way out, if it has been told to.
            waits = True
            stopping |= bool(int(status["ShdPnd"], 16) & _SIGSTOP_BIT)
        else:
            return None
        switches[int(task)] = int(status["voluntary_ctxt_switches"]) + int(
            status["nonvoluntary_ctxt_switches"]
        )
    return None if waits and not stopping else switches


def _status(path: str) -> dict[str, str]:
    lines = read_proc(f"{path}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _is_stopped(pid: int) -> bool:
    return _status(str(pid)).get("State", "X")[:1] == "T"


def _is_alive(pid: int) -> bool:
    return _status(str(pid)).get("State", "X")[:1] not in "XZ"


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_all(sandbox: LiveSandbox, number: int) -> None:
    """Signal every process of the sandbox's pid namespace but PID 1, in one step.

    To kill -1 one has to be in there. What goes in has nothing but the zygote's memory, which is
    shut to the guest: its user namespace is another. But where the guest has its uid it can kill
    it, or stop it; so nobody waits for it for long, and what it did is looked at, not believed.
    """
    # Not os.fork, which would run what preloaded libraries have registered for forks.
    helper, helper_fd = syscalls.clone3(0)
    if helper == 0:
        try:
            syscalls.setns(sandbox.pidfd, syscalls.CLONE_NEWPID)
            inside, inside_fd = syscalls.clone3(0)
            if inside == 0:
                os.kill(-1, number)
                os._exit(0)
            poll = select.poll()
            poll.register(inside_fd, select.POLLIN)
            if not poll.poll(_HELPER_WITHIN_MS):
                os.kill(inside, signal.SIGKILL)
            os.waitpid(inside, 0)
        finally:
            os._exit(0)
    os.waitpid(helper, 0)
    os.close(helper_fd)
