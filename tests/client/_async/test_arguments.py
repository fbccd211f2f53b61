"""What `create` gets that it cannot work with: a clear error, and nothing is started."""

from __future__ import annotations

from typing import Any

import pytest

from localbox import (
    AsyncSandbox,
    InvalidArgumentException,
    NotFoundException,
    PolicyError,
)
from localbox.engine import registry

pytestmark = pytest.mark.anyio


async def test_an_unknown_template_is_not_found() -> None:
    with pytest.raises(NotFoundException, match=r"bsae.*did you mean 'base'"):
        await AsyncSandbox.create("bsae")


@pytest.mark.parametrize("template", ["base", "code-interpreter-v1", None])
async def test_templates_of_e2bs_are_known(template: str | None) -> None:
    async with await AsyncSandbox.create(template) as sandbox:
        assert (await sandbox.commands.run("echo x")).stdout == "x\n"


async def test_an_unknown_profile_names_what_there_is() -> None:
    with pytest.raises(PolicyError, match=r"stirct.*strict"):
        await AsyncSandbox.create(profile="stirct")


async def test_a_profile_that_is_no_file_says_so() -> None:
    with pytest.raises(PolicyError, match=r"/no/such\.yaml"):
        await AsyncSandbox.create(profile="/no/such.yaml")


async def test_an_unknown_key_in_a_profile_is_named_with_its_place(tmp_path: Any) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("resources:\n  memroy: 1GiB\n")
    with pytest.raises(PolicyError, match=r"mine\.yaml.*memroy.*(\n.*)?memory"):
        await AsyncSandbox.create(profile=profile)


@pytest.mark.parametrize("profile", ["default", "strict", "trusted"])
async def test_every_shipped_profile_runs_a_command(profile: str) -> None:
    async with await AsyncSandbox.create(profile=profile) as sandbox:
        assert (await sandbox.commands.run("echo $((6 * 7))")).stdout == "42\n"
        assert (await sandbox.commands.run_python("print(6 * 7)")).stdout == "42\n"
        assert sandbox.policy.name == profile


async def test_a_profile_of_ones_own_can_be_given_by_path(tmp_path: Any) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("extends: default\nprocess: {hostname: elsewhere, env: {GREETING: hi}}\n")
    async with await AsyncSandbox.create(profile=profile) as sandbox:
        assert (await sandbox.commands.run("uname -n; echo $GREETING")).stdout == "elsewhere\nhi\n"


@pytest.mark.parametrize(
    "argument",
    [
        {"mcp": {"x": {}}},
        {"network": {"allow_out": ["1.1.1.1"]}},
        {"iam": {"x": 1}},
        {"allow_internet_access": True},
    ],
)
async def test_what_is_not_available_is_said_and_not_ignored(argument: dict[str, Any]) -> None:
    (name,) = argument
    with pytest.raises(InvalidArgumentException, match=name):
        await AsyncSandbox.create(**argument)


async def test_a_contradiction_about_the_network_is_refused() -> None:
    with pytest.raises(InvalidArgumentException, match="allow_internet_access"):
        await AsyncSandbox.create(profile="trusted", allow_internet_access=False)


async def test_an_unknown_keyword_is_a_type_error_as_in_e2b() -> None:
    with pytest.raises(TypeError, match=r"tiemout.*timeout"):
        await AsyncSandbox.create(tiemout=3)


async def test_e2bs_connection_options_are_accepted() -> None:
    async with await AsyncSandbox.create(
        api_key="e2b_x", domain="e2b.app", debug=False, request_timeout=30, secure=True
    ) as sandbox:
        assert await sandbox.is_running(request_timeout=10)


@pytest.mark.parametrize("request_timeout", [-1, float("nan"), "1"])
async def test_a_request_timeout_that_cannot_be_is_refused(request_timeout: float) -> None:
    with pytest.raises(InvalidArgumentException, match="request_timeout"):
        await AsyncSandbox.create(request_timeout=request_timeout)


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}])
async def test_metadata_is_text(metadata: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentException, match="metadata"):
        await AsyncSandbox.create(metadata=metadata)


async def test_a_refused_create_leaves_no_record() -> None:
    before = set(registry._records)
    with pytest.raises(InvalidArgumentException):
        await AsyncSandbox.create(timeout=-5)
    assert set(registry._records) == before
