"""`localbox.mock_e2b`: code written for E2B's SDK, untouched, runs on this machine instead."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import unittest
from collections.abc import AsyncIterator, Iterator
from typing import Any

import e2b
import pytest

from localbox import mock_e2b
from localbox.mocking import MockE2B

pytestmark = pytest.mark.anyio

# In the tests of this directory there is a server already: this is what must come back.
_NAMES = ("E2B_API_URL", "E2B_SANDBOX_URL", "E2B_VOLUME_API_URL", "E2B_API_KEY", "E2B_DEBUG")


def environment() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in _NAMES}


@pytest.fixture(autouse=True)
def _environment_comes_back() -> Iterator[None]:
    before = environment()
    yield
    assert environment() == before


# As somebody else wrote it.
def shouts(text: str) -> str:
    with e2b.Sandbox.create() as sandbox:
        return sandbox.commands.run(f"echo {text}!").stdout


async def shouts_async(text: str) -> str:
    async with await e2b.AsyncSandbox.create() as sandbox:
        return (await sandbox.commands.run(f"echo {text}!")).stdout


def gives_up() -> str:
    with e2b.Sandbox.create() as sandbox:
        try:
            sandbox.commands.run("sleep 100", timeout=0.1)
        except e2b.TimeoutException:
            return "gave up"
    return "went on"


def count_of_sandboxes() -> int:
    return len(e2b.Sandbox.list().next_items())


def test_a_decorated_function_has_an_e2b_of_its_own() -> None:
    outside = os.environ["E2B_API_URL"]

    @mock_e2b
    def decorated(text: str) -> str:
        """Says it."""
        assert os.environ["E2B_API_URL"] != outside
        return shouts(text)

    assert decorated("hey") == "hey!\n"
    assert decorated.__name__ == "decorated"
    assert decorated.__doc__ == "Says it."


async def test_a_decorated_coroutine_function_has_one_while_it_runs() -> None:
    @mock_e2b
    async def decorated() -> str:
        await asyncio.sleep(0)
        return await shouts_async("hey")

    assert asyncio.iscoroutinefunction(decorated)
    assert await decorated() == "hey!\n"


def test_the_sdks_own_exceptions_are_raised() -> None:
    with mock_e2b():
        assert gives_up() == "gave up"


def test_a_mock_ends_its_sandboxes_and_the_next_one_begins_with_none() -> None:
    with mock_e2b():
        left_behind = e2b.Sandbox.create()
        assert count_of_sandboxes() == 1
    with mock_e2b():
        assert count_of_sandboxes() == 0
        assert not e2b.Sandbox.kill(left_behind.sandbox_id)


def test_start_and_stop() -> None:
    mock = mock_e2b(max_sandboxes=1)
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = mock.server
    server = mock.start()
    try:
        assert os.environ["E2B_API_URL"] == server.url == mock.server.url
        with pytest.raises(RuntimeError, match="already"):
            mock.start()
        assert shouts("hey") == "hey!\n"
    finally:
        mock.stop()
    mock.stop()


def test_what_would_lead_elsewhere_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2B_DEBUG", "true")
    monkeypatch.setenv("E2B_DOMAIN", "elsewhere.invalid")
    with mock_e2b():
        assert shouts("hey") == "hey!\n"
        assert "E2B_DOMAIN" not in os.environ
    assert os.environ["E2B_DOMAIN"] == "elsewhere.invalid"
    assert os.environ["E2B_DEBUG"] == "true"
    monkeypatch.delenv("E2B_DEBUG")


def test_a_proxy_is_passed_by() -> None:
    # In a program of its own: the SDK makes its connections once, with the proxy of that moment.
    code = (
        "import e2b, localbox\n"
        "with localbox.mock_e2b(): e2b.Sandbox.list().next_items()\n"
        "import os; print(os.environ['NO_PROXY'], 'no_proxy' in os.environ)"
    )
    proxies = {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **proxies, "NO_PROXY": "mine"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("mine False\n", "")


def test_mocks_may_end_in_another_order_than_they_began() -> None:
    first, second = mock_e2b(), mock_e2b()
    first.start()
    second.start()
    first.stop()
    try:
        assert os.environ["E2B_API_URL"] == second.server.url
        assert shouts("hey") == "hey!\n"
    finally:
        second.stop()


async def test_tasks_that_are_decorated_run_at_once() -> None:
    begun: list[str] = []
    together = asyncio.Barrier(3)

    @mock_e2b
    async def decorated() -> None:
        begun.append(os.environ["E2B_API_URL"])
        await together.wait()

    await asyncio.gather(*(decorated() for _ in range(3)))
    assert len(set(begun)) == 3


def test_a_generator_has_one_until_it_is_finished() -> None:
    outside = os.environ["E2B_API_URL"]

    @mock_e2b
    def decorated() -> Iterator[str]:
        yield os.environ["E2B_API_URL"]

    values = decorated()
    assert os.environ["E2B_API_URL"] == outside
    assert next(values) == os.environ["E2B_API_URL"] != outside
    with pytest.raises(StopIteration):
        next(values)


async def test_an_async_generator_has_one_until_it_is_finished() -> None:
    @mock_e2b
    async def decorated() -> AsyncIterator[str]:
        yield os.environ["E2B_API_URL"]

    async for value in decorated():
        assert value == os.environ["E2B_API_URL"]


def test_an_error_ends_it_too() -> None:
    @mock_e2b
    def decorated() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        decorated()


# Classes


@mock_e2b
class TestDecorated:
    """pytest finds it."""

    def test_each_has_its_own(self) -> None:
        assert count_of_sandboxes() == 0
        e2b.Sandbox.create()

    def test_each_of_them(self) -> None:
        assert count_of_sandboxes() == 0
        e2b.Sandbox.create()

    async def test_async_ones_too(self) -> None:
        assert await shouts_async("hey") == "hey!\n"

    @staticmethod
    def test_static_ones_too() -> None:
        assert count_of_sandboxes() == 0

    @pytest.mark.parametrize("text", ["a", "b"])
    def test_with_arguments_and_fixtures(self, text: str, tmp_path: Any) -> None:
        assert tmp_path.is_dir()
        assert shouts(text) == f"{text}!\n"


@mock_e2b(max_sandboxes=1)
class TestWithPreparations:
    def setup_method(self) -> None:
        self.sandbox = e2b.Sandbox.create()

    def test_the_preparations_happen_there(self) -> None:
        assert self.sandbox.commands.run("echo hey").stdout == "hey\n"
        assert count_of_sandboxes() == 1

    def teardown_method(self, method: Any) -> None:
        assert method.__name__ == "test_the_preparations_happen_there"
        assert self.sandbox.kill()


@mock_e2b
class _Case(unittest.TestCase):
    def setUp(self) -> None:
        self.sandbox = e2b.Sandbox.create()

    def test_it(self) -> None:
        assert self.sandbox.commands.run("echo hey").stdout == "hey\n"

    def tearDown(self) -> None:
        assert self.sandbox.kill()


def test_unittests_classes_are_prepared_there() -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(_Case).run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.errors + result.failures


def test_failing_preparations_leave_nothing_behind() -> None:
    @mock_e2b
    class Tests:
        def setup_method(self) -> None:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Tests().setup_method(None)  # type: ignore[call-arg]


def test_decorating_starts_nothing() -> None:
    code = (
        "import localbox, sys\n"
        "@localbox.mock_e2b\n"
        "def decorated(): pass\n"
        "print(sorted({'uvicorn', 'starlette', 'asyncio', 'e2b'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert isinstance(mock_e2b(), MockE2B)
