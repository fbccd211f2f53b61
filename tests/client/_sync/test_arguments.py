# generated from tests/client/_async/test_arguments.py by scripts/unasync.py; edit that, not this
"""What `create` gets that it cannot work with: a clear error, and nothing is started."""

from __future__ import annotations

from typing import Any

import pytest

from localbox import (
    InvalidArgumentException,
    NotFoundException,
    PolicyError,
    Sandbox,
)
from localbox.engine import registry


def test_an_unknown_template_is_not_found() -> None:
    with pytest.raises(NotFoundException, match=r"bsae.*did you mean 'base'"):
        Sandbox.create("bsae")


@pytest.mark.parametrize("template", ["base", "code-interpreter-v1", None])
def test_templates_of_e2bs_are_known(template: str | None) -> None:
    with Sandbox.create(template) as sandbox:
        assert sandbox.commands.run("echo x").stdout == "x\n"


def test_an_unknown_profile_names_what_there_is() -> None:
    with pytest.raises(PolicyError, match=r"stirct.*strict"):
        Sandbox.create(profile="stirct")


def test_a_profile_that_is_no_file_says_so() -> None:
    with pytest.raises(PolicyError, match=r"/no/such\.yaml"):
        Sandbox.create(profile="/no/such.yaml")


def test_an_unknown_key_in_a_profile_is_named_with_its_place(tmp_path: Any) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("resources:\n  memroy: 1GiB\n")
    with pytest.raises(PolicyError, match=r"mine\.yaml.*memroy.*(\n.*)?memory"):
        Sandbox.create(profile=profile)


@pytest.mark.parametrize("profile", ["default", "strict", "trusted"])
def test_every_shipped_profile_runs_a_command(profile: str) -> None:
    with Sandbox.create(profile=profile) as sandbox:
        assert sandbox.commands.run("echo $((6 * 7))").stdout == "42\n"
        assert sandbox.commands.run_python("print(6 * 7)").stdout == "42\n"
        assert sandbox.policy.name == profile


def test_a_profile_of_ones_own_can_be_given_by_path(tmp_path: Any) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("extends: default\nprocess: {hostname: elsewhere, env: {GREETING: hi}}\n")
    with Sandbox.create(profile=profile) as sandbox:
        assert sandbox.commands.run("uname -n; echo $GREETING").stdout == "elsewhere\nhi\n"


@pytest.mark.parametrize(
    "argument",
    [
        {"mcp": {"x": {}}},
        {"network": {"allow_out": ["1.1.1.1"]}},
        {"iam": {"x": 1}},
        {"allow_internet_access": True},
    ],
)
def test_what_is_not_available_is_said_and_not_ignored(argument: dict[str, Any]) -> None:
    (name,) = argument
    with pytest.raises(InvalidArgumentException, match=name):
        Sandbox.create(**argument)


def test_a_contradiction_about_the_network_is_refused() -> None:
    with pytest.raises(InvalidArgumentException, match="allow_internet_access"):
        Sandbox.create(profile="trusted", allow_internet_access=False)


def test_an_unknown_keyword_is_a_type_error_as_in_e2b() -> None:
    with pytest.raises(TypeError, match=r"tiemout.*timeout"):
        Sandbox.create(tiemout=3)


def test_e2bs_connection_options_are_accepted() -> None:
    with Sandbox.create(
        api_key="e2b_x", domain="e2b.app", debug=False, request_timeout=30, secure=True
    ) as sandbox:
        assert sandbox.is_running(request_timeout=10)


@pytest.mark.parametrize("request_timeout", [-1, float("nan"), "1"])
def test_a_request_timeout_that_cannot_be_is_refused(request_timeout: float) -> None:
    with pytest.raises(InvalidArgumentException, match="request_timeout"):
        Sandbox.create(request_timeout=request_timeout)


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}])
def test_metadata_is_text(metadata: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentException, match="metadata"):
        Sandbox.create(metadata=metadata)


def test_a_refused_create_leaves_no_record() -> None:
    before = set(registry._records)
    with pytest.raises(InvalidArgumentException):
        Sandbox.create(timeout=-5)
    assert set(registry._records) == before
