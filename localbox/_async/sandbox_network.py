"""What a sandbox shows to the outside: its ports, and its files by signed addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localbox._async.sandbox_base import SandboxBase

if TYPE_CHECKING:
    from localbox.engine.file_urls import Operation


class NetworkMethods(SandboxBase):
    """Addresses on this machine that lead into the sandbox. None of these methods waits."""

    def get_host(self, port: int) -> str:
        """An address, "127.0.0.1:PORT", whose connections go to `port` of the sandbox.

        Bytes are passed on as they are, so HTTP, WebSocket and all else work; there is no TLS. The
        server may be started later than this is called; until then connections are reset. The
        address is the same for each call and ends with the sandbox.

        It is open to this machine only, but to every user and program on it, browsers included.

        Raises:
            InvalidArgumentException: no such port can be, or the profile's network.mode is none.
            SandboxNotRunningException: the sandbox has ended.
        """
        from localbox.engine import forwarding

        return forwarding.forward(self._record, port)

    def download_url(
        self, path: str, user: str | None = None, use_signature_expiration: int | None = None
    ) -> str:
        """An address at which a GET gives the file, to this machine and whoever has the address.

        It is signed: nobody can make it lead to another file, nor to writing this one. It ends
        with the sandbox.

        Args:
            path: of the file, which may be made later.
            user: as whom to read it.
            use_signature_expiration: seconds until the address is refused.

        Raises:
            InvalidArgumentException: the path or the expiration cannot be.
            SandboxNotRunningException: the sandbox has ended.
        """
        return self._file_url("read", path, user, use_signature_expiration)

    def upload_url(
        self, path: str, user: str | None = None, use_signature_expiration: int | None = None
    ) -> str:
        """An address to which a POST writes the file: as a form's "file", or as the plain body.

        Otherwise as `download_url`.
        """
        return self._file_url("write", path, user, use_signature_expiration)

    def _file_url(
        self, operation: Operation, path: str, user: str | None, expires_in_s: int | None
    ) -> str:
        # Requests are served by threads, whichever class this is.
        from localbox._sync.connection import Connection
        from localbox._sync.filesystem import Filesystem
        from localbox.engine.file_urls import file_url

        files = Filesystem(Connection(self._record, None))
        return file_url(self._record, files, operation, path, user, expires_in_s)
