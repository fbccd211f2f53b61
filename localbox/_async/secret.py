"""`AsyncSecret`: values kept for this user, and E2B's placeholders for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from localbox.engine import creation, secret_store
from localbox.engine.paging import Pages
from localbox.errors import SecretException, SecretNotFoundException
from localbox.transport import asyncio as transport

if TYPE_CHECKING:
    from localbox.models_control import SecretInfo
    from localbox.models_network import SandboxIamToken, SandboxIamTokenType


class AsyncSecretPaginator(Pages):
    """Pages of secrets: call `next_items` while `has_next` is true."""

    _at_the_end = SecretException

    def __init__(
        self, limit: int | None = None, next_token: str | None = None, **opts: Any
    ) -> None:
        super().__init__(limit, next_token, opts)

    async def next_items(self, **opts: Any) -> list[SecretInfo]:
        """The next page.

        Raises:
            SecretException: there is none; see `has_next`.
            InvalidArgumentException: the limit or the token cannot be.
        """
        limit = self._begin_page(opts)
        found, next_token = await transport.run(secret_store.page, limit, self._next_token)
        self._end_page(next_token)
        return found


class AsyncSecret:
    """Secrets of this user, kept in files that other users cannot read.

    A value goes in and does not come out again: in E2B its proxy puts it in place of `fill`'s
    placeholder on the way out of a sandbox. There is no such proxy here, so a placeholder stays
    what it is; pass a sandbox what it needs with `envs`.
    """

    # See `E2B`; nothing of it means anything here.
    _bound_params: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    async def create(
        cls, name: str, value: str, metadata: dict[str, str] | None = None, **opts: Any
    ) -> SecretInfo:
        """Keep a value under a new name.

        Args:
            name: not empty, without braces and control characters.
            value: what nobody shall see.
            metadata: your own notes, given back by `get_info`.
            opts: E2B's connection options, accepted.

        Raises:
            SecretException: there is a secret of that name.
            InvalidArgumentException: an argument cannot be.
        """
        creation.check_options(opts)
        notes = creation.check_strings(metadata, "metadata")
        return await transport.run(secret_store.create, name, value, notes)

    @classmethod
    async def update(
        cls, secret: str, value: str, metadata: dict[str, str] | None = None, **opts: Any
    ) -> SecretInfo:
        """Replace the value of a secret, and its notes if any are given.

        Args:
            secret: its id or name.

        Raises:
            SecretNotFoundException: there is none.
        """
        creation.check_options(opts)
        notes = None if metadata is None else creation.check_strings(metadata, "metadata")
        return await transport.run(secret_store.update, secret, value, notes)

    @classmethod
    async def get_info(cls, secret: str, **opts: Any) -> SecretInfo:
        """What may be known of a secret, by its id or name: everything but the value.

        Raises:
            SecretNotFoundException: there is none.
        """
        creation.check_options(opts)
        return await transport.run(secret_store.get_info, secret)

    @classmethod
    def list(
        cls, limit: int | None = None, next_token: str | None = None, **opts: Any
    ) -> AsyncSecretPaginator:
        """All secrets of this user, the oldest first.

        Args:
            limit: how many on a page, 100 if not given.
            next_token: where to begin, as a paginator's `next_token`.
        """
        return AsyncSecretPaginator(limit, next_token, **opts)

    @classmethod
    async def exists(cls, secret: str, **opts: Any) -> bool:
        """Whether there is a secret with that id or name."""
        try:
            await cls.get_info(secret, **opts)
        except SecretNotFoundException:
            return False
        return True

    @classmethod
    async def destroy(cls, secret: str, **opts: Any) -> bool:
        """Remove a secret, by its id or name, for good.

        Returns:
            False if there is none.
        """
        creation.check_options(opts)
        return await transport.run(secret_store.destroy, secret)

    @staticmethod
    def fill(secret: str) -> str:
        """E2B's placeholder for a secret's value; whether there is one is not looked up.

        Raises:
            InvalidArgumentException: it cannot be a name.
        """
        from localbox.engine.network_options import check_placeholder_name

        return f"${{e2b.secrets.{check_placeholder_name(secret, 'secret')}}}"

    @staticmethod
    def iam_token(*, audience: str, token_type: SandboxIamTokenType) -> SandboxIamToken:
        """A token for `create(iam={"tokens": ...})`, which only E2B's cloud can mint."""
        return {"audience": audience, "token_type": token_type}
