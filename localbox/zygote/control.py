"""What the owner may ask of a sandbox that lives: pause, resume, limits, metrics."""

from __future__ import annotations

from localbox.zygote import pausing
from localbox.zygote.freezing import CannotFreezeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from localbox.protocol.frames import Message
    from localbox.zygote.live import Kernel, LiveSandbox


def control(sandbox: LiveSandbox, request: Message) -> Message:
    """Do what one of OPERATIONS says; "running" in the answer tells it from one that has ended."""
    if sandbox.capturing and request["op"] in ("pause", "resume"):
        # It would be woken too early, or with all that stopped for the copy counted as stopped.
        text = f"cannot {request['op']} the sandbox while its files are copied; try again"
        return {"error": {"kind": "busy", "message": text}}
    try:
        return {"running": True, **OPERATIONS[request["op"]](sandbox, request)}
    except CannotFreezeError as error:
        return {"error": {"kind": "busy", "message": f"cannot pause the sandbox: {error}"}}


def admit(sandbox: LiveSandbox, kernel: Kernel) -> None:
    """A new kernel is to be as the sandbox's other processes are."""
    if sandbox.was_paused:
        pausing.adopt(sandbox, kernel)


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


OPERATIONS: dict[str, Callable[[LiveSandbox, Message], Message]] = {
    "pause": _pause,
    "resume": _resume,
    "awake": _awake,
    "set_lifecycle": _set_lifecycle,
}
