"""What the owner may ask of a sandbox that lives, and what that leaves to be looked after."""

from __future__ import annotations

import time
from collections.abc import Collection

from localbox.confinement.cgroups import Cgroups
from localbox.zygote import limiting, metrics, pausing
from localbox.zygote.freezing import CannotFreezeError
from localbox.zygote.throttle import Throttle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from localbox.protocol.frames import Message
    from localbox.zygote.live import Kernel, LiveSandbox

_SAMPLE_EVERY_S = 0.1


class Control:
    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        # Sandboxes with limits that need looking after; there are seldom any.
        self._limited: set[LiveSandbox] = set()
        self._next_sample = 0.0
        self.operations: dict[str, Callable[[LiveSandbox, Message], Message]] = {
            "pause": _pause,
            "resume": _resume,
            "awake": _awake,
            "set_lifecycle": _set_lifecycle,
            "set_limits": self._set_limits,
            "metrics": _metrics,
        }

    def handle(self, sandbox: LiveSandbox, request: Message) -> Message:
        """Do what one of the operations says; "running" in the answer: it has not ended."""
        try:
            return {"running": True, **self.operations[request["op"]](sandbox, request)}
        except CannotFreezeError as error:
            text = f"cannot {request['op'].replace('_', ' ')}: {error}"
            return {"error": {"kind": "busy", "message": text}}
        except limiting.CannotLimitError as error:
            return {"error": {"kind": "refused", "message": str(error)}}

    def admit(self, sandbox: LiveSandbox, kernel: Kernel) -> None:
        """A process that has entered the sandbox is to be as the others are."""
        if sandbox.was_paused:
            pausing.adopt(sandbox, kernel)
        if sandbox.cpu_group is not None:
            sandbox.cpu_group.take_in(kernel.pid)

    def forget(self, sandbox: LiveSandbox) -> None:
        """It has been reaped."""
        self._limited.discard(sandbox)
        if sandbox.cpu_group is not None:
            self._cgroups.remove_cpu_group(sandbox.cpu_group)

    def patience_s(self) -> float:
        """Until `look` has something to do, beyond what the memory watch is awake for anyway."""
        if not self._limited:
            return float("inf")
        now = time.monotonic()
        throttles = (sandbox.throttle for sandbox in self._limited)
        return min((t.patience_s(now) for t in throttles if t is not None), default=float("inf"))

    def look(self, sandboxes: Collection[LiveSandbox], now: float) -> None:
        """Keep the limits that the kernel does not, and take samples."""
        for sandbox in self._limited:
            if sandbox.paused or sandbox.capturing or sandbox.end_reason is not None:
                continue
            if sandbox.throttle is not None:
                sandbox.throttle.look(sandbox, now)
            if sandbox.data_limit_bytes is not None:
                limiting.limit_newcomers(sandbox)
        if now >= self._next_sample:
            self._next_sample = now + _SAMPLE_EVERY_S
            self._sample(sandboxes, now)

    def _sample(self, sandboxes: Collection[LiveSandbox], now: float) -> None:
        # A share of those that are due: to sample hundreds at once would keep others waiting.
        left = 1 + int(len(sandboxes) * _SAMPLE_EVERY_S / metrics.INTERVAL_S)
        for sandbox in sandboxes:
            since = sandbox.started if sandbox.metrics is None else sandbox.metrics.sampled_at
            if now - since >= metrics.INTERVAL_S and not sandbox.paused:
                metrics.record(sandbox, now)
                left -= 1
                if left == 0:
                    return

    def _set_limits(self, sandbox: LiveSandbox, request: Message) -> Message:
        memory_bytes, cpus = request["memory_bytes"], request["cpus"]
        if memory_bytes is not None:
            limiting.limit_memory(sandbox, memory_bytes)
            self._limited.add(sandbox)
        if cpus is not None:
            self._set_cpus(sandbox, cpus if cpus < limiting.cpus_here() else None)
        return {}

    def _set_cpus(self, sandbox: LiveSandbox, cpus: float | None) -> None:
        by_kernel = limiting.limit_cpus(sandbox, cpus, self._cgroups)
        sandbox.cpus = cpus
        if by_kernel:
            return
        if sandbox.throttle is not None:
            sandbox.throttle.let_go(sandbox)
            sandbox.throttle = None
        if cpus is not None:
            sandbox.throttle = Throttle(sandbox, cpus)
            self._limited.add(sandbox)


def _pause(sandbox: LiveSandbox, request: Message) -> Message:
    return {"changed": pausing.pause(sandbox, request["mode"])}


def _resume(sandbox: LiveSandbox, request: Message) -> Message:
    if sandbox.paused:
        pausing.resume(sandbox, request["timeout_s"], reboot=request["reboot"])
    else:
        sandbox.extend(request["timeout_s"])
    return {}


def _awake(sandbox: LiveSandbox, request: Message) -> Message:
    """Asked before whatever a paused sandbox could not answer."""
    if sandbox.paused and request["resume"]:
        pausing.resume(sandbox, None)
    return {"paused": sandbox.paused}


def _set_lifecycle(sandbox: LiveSandbox, request: Message) -> Message:
    sandbox.on_timeout = request["on_timeout"]
    return {}


def _metrics(sandbox: LiveSandbox, request: Message) -> Message:
    return {"samples": metrics.history(sandbox, time.monotonic()), **metrics.totals(sandbox)}
