# generated from localbox/_async/sandbox_network.py by scripts/unasync.py; edit that, not this
"""What a sandbox shows to the outside: its ports, and its files by signed addresses."""

from __future__ import annotations

from localbox._sync.sandbox_base import SandboxBase


class NetworkMethods(SandboxBase):
    """Addresses on this machine that lead into the sandbox. None of these methods waits."""

    def get_host(self, port: int) -> str:
        """An address, "127.0.0.1:PORT", whose connections go to `port` of the sandbox.

        Bytes are passed on as they are, so HTTP, WebSocket and all else work; there is no TLS. The
        server may be started later than this is called; until then connections are reset. The
        address is the same for each call and ends with the sandbox.

        It is open to this machine only, but to every user and program on it.

        Raises:
            InvalidArgumentException: no such port can be, or the profile's network.mode is none.
            SandboxNotRunningException: the sandbox has ended.
        """
        from localbox.engine import forwarding

        return forwarding.forward(self._record, port)
