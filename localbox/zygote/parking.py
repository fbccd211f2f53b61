"""Namespaces made ready for the next sandbox while nobody waits for it.

A network namespace takes the kernel longer to make than all the others together, and bringing its
loopback up nearly as long. So the zygote enters fresh ones after each sandbox it has cloned, and
the next is born into them. They belong to the zygote's user namespace, not to the sandbox's: no
capability a guest could ever hold inside its own counts there.
"""

from __future__ import annotations

import socket

from localbox.confinement import network, syscalls, walls
from localbox.confinement.host_proc import open_proc
from localbox.confinement.walls import building

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Parking:
    def __init__(self) -> None:
        self.host_network_fd = open_proc("self/ns/net")
        self._in_host_network = True
        self._ready_for: tuple[str, str] | None = None

    def leave(self) -> None:
        """The namespaces we are in were given to a sandbox, or are not the parked ones any more."""
        self._ready_for = None

    def enter(self, plan: dict[str, Any]) -> None:
        """Be in fresh namespaces of the kind `plan` wants; nothing to do if that was done ahead."""
        wanted = (plan["network"], plan["hostname"])
        if self._ready_for == wanted:
            return
        self._ready_for = None
        with building(walls.IPC_NAMESPACE):
            syscalls.unshare(syscalls.CLONE_NEWIPC)
        with building(walls.UTS_NAMESPACE):
            syscalls.unshare(syscalls.CLONE_NEWUTS)
            socket.sethostname(plan["hostname"])
        with building(walls.NETWORK_NAMESPACE):
            if plan["network"] != "host":
                syscalls.unshare(syscalls.CLONE_NEWNET)
                self._in_host_network = False
            elif not self._in_host_network:
                # An ordinary user has no way back; the engine gives such plans their own zygote.
                syscalls.setns(self.host_network_fd, syscalls.CLONE_NEWNET)
                self._in_host_network = True
            if plan["network"] == "loopback":
                network.bring_loopback_up()
        self._ready_for = wanted
