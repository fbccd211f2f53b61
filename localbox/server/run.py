"""`localbox.serve`: the server in a thread of this program, with an event loop of its own."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from localbox.errors import InvalidArgumentException, SandboxException

if TYPE_CHECKING:
    import uvicorn

    from localbox.policy import Policy
    from localbox.server.state import State

# For what a client has begun and no sandbox is behind, when the server ends.
_GRACE_S = 1
_BACKLOG = 512
# Headers of one request together.
_MOST_HEADER_BYTES = 64 << 10
# The SDK keeps a connection for 300 s; who closes first loses a request now and then.
_KEEP_ALIVE_S = 330


class Server:
    """A server that runs. Use it as a `with` block, or `close` it.

    Attributes:
        url: where it is, such as "http://127.0.0.1:8383".
        api_key: what clients have to know.
    """

    def __init__(self, state: State, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        self.url = f"http://{_in_url(state.host)}:{port}"
        self.api_key = state.api_key
        self._state = state
        self._listener = listener
        self._started = threading.Event()
        self._failures: list[BaseException] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._run, name="localbox-serve", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failures:
            self._thread.join()
            listener.close()
            raise self._failures[0]

    @property
    def env(self) -> dict[str, str]:
        """What E2B's SDKs read, so that they come here."""
        return {
            "E2B_API_URL": self.url,
            "E2B_SANDBOX_URL": self.url,
            "E2B_VOLUME_API_URL": self.url,
            "E2B_API_KEY": self.api_key,
        }

    def close(self) -> None:
        """End its sandboxes, then the server; a second time does nothing."""
        if self._thread.is_alive() and self._loop is not None:
            try:
                asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            except RuntimeError:
                pass  # the loop has just closed
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 (for the thread that waits)
            self._failures.append(error)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        import uvicorn

        from localbox.server.app import make_app

        self._loop = asyncio.get_running_loop()
        config = uvicorn.Config(
            make_app(self._state),
            # The application's own modules choose what is logged.
            log_config=None,
            access_log=False,
            lifespan="off",
            http="h11",
            ws="none",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        )
        self._uvicorn = uvicorn.Server(config)
        # Its listener accepts already; what comes now waits in the backlog.
        self._started.set()
        try:
            await self._uvicorn.serve(sockets=[self._listener])
        finally:
            await self._state.end_all()

    async def _end(self) -> None:
        # First, so that streams end by themselves.
        await self._state.end_all()
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True


def serve(
    port: int = 0,
    host: str = "127.0.0.1",
    profile: str | Policy | None = None,
    max_sandboxes: int | None = None,
    api_key: str | None = None,
) -> Server:
    """Serve E2B's API to programs on this machine; returns when it accepts connections.

    Its sandboxes end when it is closed, and when this program ends, however that happens.

    Args:
        port: 0 for any that is free; see `Server.url`.
        host: whoever reaches this address and has the key can run code in sandboxes.
        profile: of its sandboxes, as `Sandbox.create(profile=)`; clients cannot choose it.
        max_sandboxes: how many there may be at once; None for no limit.
        api_key: None to make one, see `Server.api_key`.

    Raises:
        InvalidArgumentException: it cannot listen there, or an argument cannot be.
        PolicyError: the profile is not valid.
        SandboxException: the extra `[server]` is not installed.
    """
    _check_number("max_sandboxes", max_sandboxes, 1)
    _check_number("port", port, 0)
    if api_key is not None and not (isinstance(api_key, str) and api_key and api_key.isascii()):
        raise InvalidArgumentException("api_key must be a str of ASCII that is not empty")
    try:
        import uvicorn as _uvicorn  # noqa: F401

        from localbox.server.state import State
    except ImportError as missing:
        raise SandboxException(
            f'localbox.serve needs {missing.name}: pip install "localbox[server]"'
        ) from missing
    if isinstance(profile, str):
        from localbox.policy import load_profile

        # Now, not with the first sandbox, when nobody looks.
        profile = load_profile(profile)
    listener = _listen(host, port)
    return Server(
        State(
            api_key=api_key or f"e2b_{secrets.token_hex(20)}",
            profile=profile,
            max_sandboxes=max_sandboxes,
            host=host,
            domain=f"localhost:{listener.getsockname()[1]}",
        ),
        listener,
    )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        InvalidArgumentException: there is none to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is, and connections have
    # their listener's. Without it each answer waits 40 ms for the client's delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InvalidArgumentException(f"cannot listen on {host}, port {port}: {reason}") from None
    return listener


def _check_number(name: str, value: Any, least: int) -> None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int) or value < least
    ):
        raise InvalidArgumentException(f"{name} must be an int from {least} on, not {value!r}")


def _in_url(host: str) -> str:
    if host in {"0.0.0.0", ""}:  # noqa: S104 (not listened on here, but looked at)
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
