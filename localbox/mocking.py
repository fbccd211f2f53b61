"""`localbox.mock_e2b`: code that imports E2B's SDK runs on this machine instead, unchanged.

The SDK stays what it is, its exceptions too: only the environment variables change that tell it
where E2B is, and a server of this program's own is there. What a program has passed to the SDK
explicitly (`api_url=`, `domain=`) is not overridden.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

if TYPE_CHECKING:
    from localbox.policy import Policy
    from localbox.server.run import Server

T = TypeVar("T", bound=Callable[..., Any])

# They would lead the SDK elsewhere; and whoever's token it is, nothing here needs it.
_CLEARED = ("E2B_DEBUG", "E2B_DOMAIN", "E2B_ACCESS_TOKEN")
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")

_lock = threading.Lock()
# Those that run, the last one's server being the one that the environment names. Mocks of tasks
# and threads need not end in the order they began.
_running: list[MockE2B] = []
_environment_before: dict[str, str | None] = {}


class MockE2B:
    """E2B on this machine for as long as it runs; see `mock_e2b`."""

    def __init__(self, profile: str | Policy | None, max_sandboxes: int | None) -> None:
        self._profile = profile
        self._max_sandboxes = max_sandboxes
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The server behind it, while it runs."""
        if self._server is None:
            raise RuntimeError("this mock has not been started")
        return self._server

    def start(self) -> Server:
        """Begin, until `stop`.

        Raises:
            RuntimeError: it has begun already.
            SandboxException: the extra `[server]` is not installed.
        """
        # Late: what is imported here is much, and a decorator is evaluated by every import of its
        # module.
        from localbox.server.run import serve

        if self._server is not None:
            raise RuntimeError("this mock has been started already")
        self._server = serve(profile=self._profile, max_sandboxes=self._max_sandboxes)
        with _lock:
            _running.append(self)
            _set_environment()
        return self._server

    def stop(self) -> None:
        """End it and its sandboxes; the environment is what it was. A second time does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        with _lock:
            _running.remove(self)
            _set_environment()
        server.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def __call__(self, target: T) -> T:
        """Decorate a function, sync or async, a generator, or a class of tests."""
        if inspect.isclass(target):
            _decorate_class(target, self._another)
            return target
        return cast(T, _decorated(target, self._another))

    def _another(self) -> Self:
        """One with a server of its own: what is decorated may run several times at once."""
        return type(self)(self._profile, self._max_sandboxes)


@overload
def mock_e2b(target: T, /) -> T: ...
@overload
def mock_e2b(
    *, profile: str | Policy | None = None, max_sandboxes: int | None = None
) -> MockE2B: ...
def mock_e2b(
    target: Any = None,
    /,
    *,
    profile: str | Policy | None = None,
    max_sandboxes: int | None = None,
) -> Any:
    """Let E2B's SDK find its sandboxes on this machine: `@mock_e2b`, or `with mock_e2b():`.

    As a decorator for functions, sync and async, for generators such as fixtures, and for classes
    of tests, where each test, with its `setup_method` or `setUp`, has an E2B of its own. As a
    context manager, and with `start()` and `stop()`, it gives the server.

    Args:
        profile: of the sandboxes, as `Sandbox.create(profile=)`.
        max_sandboxes: how many there may be at once.
    """
    mock = MockE2B(profile, max_sandboxes)
    return mock if target is None else mock(target)


def _set_environment() -> None:
    """Name the last server that runs, or restore what was before the first one."""
    if not _running:
        for name, value in _environment_before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _environment_before.clear()
        return
    wanted: dict[str, str | None] = {**dict.fromkeys(_CLEARED), **_running[-1].server.env}
    if any(os.environ.get(name) for name in _PROXIES):
        # A proxy's 127.0.0.1 is the proxy's.
        for name in ("no_proxy", "NO_PROXY"):
            given = os.environ.get(name, "")
            if "127.0.0.1" not in given:
                wanted[name] = f"{given},127.0.0.1".lstrip(",")
    for name, value in wanted.items():
        _environment_before.setdefault(name, os.environ.get(name))
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _decorated(target: Any, make: Callable[[], MockE2B]) -> Any:
    """The same function with a mock around each of its calls."""
    if inspect.isasyncgenfunction(target):

        @functools.wraps(target)
        async def produce_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with make():
                async with contextlib.aclosing(target(*args, **kwargs)) as values:
                    async for value in values:
                        yield value

        return produce_async
    if inspect.isgeneratorfunction(target):

        @functools.wraps(target)
        def produce(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with make():
                yield from target(*args, **kwargs)

        return produce
    if inspect.iscoroutinefunction(target):

        @functools.wraps(target)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with make():
                return await target(*args, **kwargs)

        return call_async

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        with make():
            return target(*args, **kwargs)

    return call


def _decorate_class(cls: type, make: Callable[[], MockE2B]) -> None:
    """Give each test of a class a mock that begins before its own preparations."""
    set_up: Any = getattr(cls, "setUp", None)
    if set_up is not None and hasattr(cls, "addCleanup"):

        @functools.wraps(set_up)
        def mocked_set_up(self: Any) -> None:
            mock = make()
            mock.start()
            # Cleanups come after tearDown, and also when setUp fails.
            self.addCleanup(mock.stop)
            set_up(self)

        cls.setUp = mocked_set_up  # type: ignore[attr-defined]
        return
    if hasattr(cls, "setup_method") or hasattr(cls, "teardown_method"):
        # A test's sandboxes are often made there, so what pytest calls is what is decorated.
        _decorate_setup(cls, make)
        return
    for name, attribute in inspect.getmembers_static(cls):
        if not name.startswith("test"):
            continue
        if isinstance(attribute, staticmethod | classmethod):
            setattr(cls, name, type(attribute)(_decorated(attribute.__func__, make)))
        elif inspect.isfunction(attribute):
            setattr(cls, name, _decorated(attribute, make))


def _decorate_setup(cls: Any, make: Callable[[], MockE2B]) -> None:
    before = getattr(cls, "setup_method", None)
    after = getattr(cls, "teardown_method", None)

    def setup_method(self: Any, method: Any) -> None:
        self._mock_e2b = make()
        self._mock_e2b.start()
        try:
            _call_with(before, self, method)
        except BaseException:
            # pytest tears down only what was set up.
            self._mock_e2b.stop()
            raise

    def teardown_method(self: Any, method: Any) -> None:
        try:
            _call_with(after, self, method)
        finally:
            self._mock_e2b.stop()

    cls.setup_method = setup_method
    cls.teardown_method = teardown_method


def _call_with(function: Any, instance: Any, method: Any) -> None:
    """As pytest does: the test's function is an argument for those that take it."""
    if function is None:
        return
    bound = function.__get__(instance)
    bound(*([method] if inspect.signature(bound).parameters else []))
