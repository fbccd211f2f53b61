"""`AsyncVolume`: a directory that outlives sandboxes and that several can have at once."""

from __future__ import annotations

import builtins
import time
from collections.abc import AsyncIterator, Mapping
from typing import IO, Any, ClassVar, Literal, Self, overload

from localbox._async.connection import REQUEST_TIMEOUT_S
from localbox._async.filesystem import AsyncFileStreamReader
from localbox.connection_config import VolumeApiParams
from localbox.engine import volume_content as content
from localbox.engine import volumes
from localbox.engine.copying import as_bytes, check_source, chunks_of
from localbox.engine.creation import check_options, check_timeout
from localbox.engine.dual_method import TwoMethods
from localbox.errors import InvalidArgumentException, NotFoundException
from localbox.transport import asyncio as transport
from localbox.transport.wire import OwnedFd
from localbox.volume_models import VolumeAndToken, VolumeEntryStat, VolumeInfo


class AsyncVolume:
    """A directory of this user's, kept on this machine until it is destroyed.

    Mount it with `create(volume_mounts={"/mnt/data": volume})`: sandboxes that have it see each
    other's changes at once, and so does the host through the methods here, with or without a
    sandbox. Paths begin at the volume: "/" is the volume itself.

    What sandboxes write to a volume is on the host's disk and does not count towards a sandbox's
    own: a profile's `filesystem.disk` limits each file and not their sum. Who mounts a volume into
    a sandbox trusts it with the free space of that disk.
    """

    # See `E2B`; nothing of it means anything here.
    _bound_params: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        volume_id: str,
        name: str,
        token: str | None = None,
        domain: str | None = None,
        debug: bool | None = None,
        proxy: Any = None,
        *,
        http_version: Literal["1.1", "2"] | None = None,
    ) -> None:
        """For a volume there is already; `create` and `connect` are the usual ways to one.

        Args:
            token, domain, debug, proxy, http_version: accepted as E2B does.
        """
        self._volume_id = volume_id
        self._name = name
        self._token = token

    @property
    def volume_id(self) -> str:
        """Its id, which no other volume ever has."""
        return self._volume_id

    @property
    def name(self) -> str:
        """Its name, which no other volume has now."""
        return self._name

    @property
    def token(self) -> str | None:
        """As it was given; nothing here asks for one."""
        return self._token

    @classmethod
    async def create(cls, name: str, **opts: Any) -> Self:
        """Make a volume.

        Args:
            name: letters, digits, "-" and "_", at most 128.
            opts: E2B's connection options, accepted.

        Raises:
            VolumeException: there is one of that name, or it cannot be a name.
        """
        check_options(opts)
        return cls._of(await transport.run(volumes.create, name))

    @classmethod
    async def connect(cls, volume_id: str, **opts: Any) -> Self:
        """The volume with an id.

        Raises:
            VolumeNotFoundException: there is none.
        """
        check_options(opts)
        return cls._of(await transport.run(volumes.find_by_id, volume_id))

    @classmethod
    async def destroy(cls, volume_id: str, **opts: Any) -> bool:
        """Remove a volume and all that is in it, for good.

        Returns:
            False if there is none.

        Raises:
            VolumeException: a running sandbox of any of this user's programs has it mounted.
        """
        check_options(opts)
        return await transport.run(volumes.destroy, volume_id)

    @classmethod
    async def _class_get_info(cls, volume_id: str, **opts: Any) -> VolumeAndToken:
        """What a volume is called; on a volume, what a path in it is.

        Raises:
            VolumeNotFoundException: there is none with that id.
        """
        check_options(opts)
        found = await transport.run(volumes.find_by_id, volume_id)
        return VolumeAndToken(volume_id=found.volume_id, name=found.name, token="")

    @classmethod
    async def _class_list(cls, **opts: Any) -> builtins.list[VolumeInfo]:
        """All volumes of this user, by name; on a volume, the entries of a directory in it."""
        check_options(opts)
        return [volume.to_info() for volume in await transport.run(volumes.all_volumes)]

    async def _instance_get_info(self, path: str, **opts: Any) -> VolumeEntryStat:
        """What is at `path`; of a link, the link itself.

        Raises:
            VolumePathNotFoundException: there is nothing.
        """
        self._check_options(opts)
        return await transport.run(content.get_info, self._stored(), path)

    async def _instance_list(
        self, path: str, depth: int | None = None, **opts: Any
    ) -> builtins.list[VolumeEntryStat]:
        """The entries of a directory, by name, each followed by its own.

        Args:
            depth: how many levels, 1 if not given.
            opts: `request_timeout` in seconds is how long to go on for; the rest is accepted.

        Raises:
            VolumePathNotFoundException: no such directory.
            VolumeException: it has more than a million entries.
        """
        if depth is None:
            depth = 1
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise InvalidArgumentException(f"depth must be at least 1, not {depth!r}")
        give_up_at = self._check_options(opts)
        return await transport.run(content.list_entries, self._stored(), path, depth, give_up_at)

    get_info = TwoMethods(_class_get_info, _instance_get_info)
    list = TwoMethods(_class_list, _instance_list)

    async def exists(self, path: str, **opts: Any) -> bool:
        """Whether there is anything at `path`."""
        try:
            await self.get_info(path, **opts)
        except NotFoundException:
            return False
        return True

    async def make_dir(
        self,
        path: str,
        uid: int | None = None,
        gid: int | None = None,
        mode: int | None = None,
        force: bool | None = None,
        **opts: Any,
    ) -> VolumeEntryStat:
        """Make a directory.

        Args:
            uid, gid: its owner, as sandboxes see it; their user, 1000, if not given.
            mode: its permissions, 0o755 if not given.
            force: make the directories on the way too; if it is there already, that is no error.

        Raises:
            VolumePathNotFoundException: a directory on the way is missing.
            VolumeException: there is something already; or an ordinary user of this machine asks
                for another owner than 1000.
        """
        self._check_options(opts)
        return await transport.run(content.make_dir, self._stored(), path, uid, gid, mode, force)

    async def update_metadata(
        self,
        path: str,
        uid: int | None = None,
        gid: int | None = None,
        mode: int | None = None,
        **opts: Any,
    ) -> VolumeEntryStat:
        """Change the owner or the permissions of a file or directory; a link's target's.

        Args:
            uid, gid: as sandboxes see them.
            mode: permission bits; set-uid and set-gid are none.

        Raises:
            VolumePathNotFoundException: there is nothing.
            VolumeException: an ordinary user of this machine asks for another owner than 1000.
        """
        self._check_options(opts)
        return await transport.run(content.update_metadata, self._stored(), path, uid, gid, mode)

    @overload
    async def read_file(self, path: str, format: Literal["text"] = "text", **opts: Any) -> str: ...

    @overload
    async def read_file(self, path: str, format: Literal["bytes"], **opts: Any) -> bytes: ...

    @overload
    async def read_file(
        self,
        path: str,
        format: Literal["stream"],
        stream_idle_timeout: float | None = None,
        **opts: Any,
    ) -> AsyncIterator[bytes]: ...

    async def read_file(
        self,
        path: str,
        format: Literal["text", "bytes", "stream"] = "text",
        stream_idle_timeout: float | None = None,
        **opts: Any,
    ) -> str | bytes | AsyncIterator[bytes]:
        """Read a file.

        Args:
            format: "text" gives a str (UTF-8; what is not becomes U+FFFD), "bytes" bytes, "stream"
                an iterator over bytes.
            stream_idle_timeout: accepted as E2B does; nothing travels over a network here.

        Raises:
            VolumePathNotFoundException: there is nothing.
            VolumeException: it is no regular file, a link on the way leads out of the volume, or it
                is larger than 2 GiB and not to be streamed.
        """
        if format not in ("text", "bytes", "stream"):
            raise InvalidArgumentException(
                f'format must be "text", "bytes" or "stream", not {format!r}'
            )
        self._check_options(opts)
        if format == "stream":
            # Quick, and in no other thread: were this task cancelled meanwhile, nobody would close
            # the descriptor.
            return AsyncFileStreamReader(content.open_read(self._stored(), path), b"")
        data = await transport.run(content.read, self._stored(), path)
        return bytes(data) if format == "bytes" else data.decode("utf-8", "replace")

    async def write_file(
        self,
        path: str,
        data: str | bytes | IO[Any],
        uid: int | None = None,
        gid: int | None = None,
        mode: int | None = None,
        force: bool | None = None,
        **opts: Any,
    ) -> VolumeEntryStat:
        """Write a file; what it held before is replaced.

        Args:
            data: str (as UTF-8), bytes or a file object, which is read piece by piece.
            uid, gid: its owner, as sandboxes see it; their user, 1000, if it is new.
            mode: its permissions, 0o644 if it is new.
            force: make the directories on the way.

        Raises:
            VolumePathNotFoundException: a directory on the way is missing.
            VolumeException: there is something that is no regular file.
            NotEnoughSpaceException: the host's disk is full; what was written is still there.
        """
        self._check_options(opts)
        volume = self._stored()
        if isinstance(data, str | bytes | bytearray):
            whole = as_bytes(data, "data")
            return await transport.run(content.write, volume, path, whole, uid, gid, mode, force)
        check_source(data)
        file = content.open_write(volume, path, uid, gid, mode, force)
        await self._copy_in_pieces(volume, file, data, path)
        return content.describe_open(file, path)

    async def remove(self, path: str, **opts: Any) -> None:
        """Remove a file, a link, or a directory with all that is in it.

        Args:
            opts: `request_timeout` in seconds is how long to go on for, 60 if not given: a sandbox
                may fill a directory as fast as it is emptied.

        Raises:
            VolumePathNotFoundException: there is nothing.
            VolumeException: it is the volume itself.
        """
        give_up_at = self._check_options(opts)
        await transport.run(content.remove, self._stored(), path, give_up_at)

    @classmethod
    def _of(cls, stored: volumes.StoredVolume) -> Self:
        return cls(stored.volume_id, stored.name, token="")

    def _stored(self) -> volumes.StoredVolume:
        return volumes.at(self._name, self._volume_id)

    @staticmethod
    def _check_options(opts: dict[str, Any]) -> float | None:
        """The moment to give up at, on the monotonic clock."""
        known = VolumeApiParams.__annotations__
        check_options({name: value for name, value in opts.items() if name not in known})
        request_timeout = opts.get("request_timeout")
        if request_timeout is None:
            request_timeout = REQUEST_TIMEOUT_S
        timeout_s = check_timeout(request_timeout, "request_timeout", zero_is_none=True)
        return None if timeout_s is None else time.monotonic() + timeout_s

    @staticmethod
    async def _copy_in_pieces(
        volume: volumes.StoredVolume, file: OwnedFd, data: Any, path: str
    ) -> None:
        offset = 0
        # unasync: async
        if hasattr(data, "__aiter__"):
            async for piece in data:
                whole = as_bytes(piece, "each piece of the data")
                offset = await transport.run(content.append, volume, file, whole, offset, path)
            return
        # unasync: sync
        # # An asynchronous iterable has nowhere to run here; chunks_of says so.
        # unasync: end
        for whole in chunks_of(data):
            offset = await transport.run(content.append, volume, file, whole, offset, path)
