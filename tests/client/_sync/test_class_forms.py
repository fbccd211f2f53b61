# generated from tests/client/_async/test_class_forms.py by scripts/unasync.py; edit that, not this
"""Methods that work on a sandbox, and on the class with the sandbox or its id."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localbox import Sandbox, SandboxNotFoundException, SandboxQuery, SandboxState


def with_first(name: str, first: object) -> Callable[..., Any]:
    method = getattr(Sandbox, name)
    return lambda *arguments, **keywords: method(first, *arguments, **keywords)


FORMS: dict[str, Callable[[str, Sandbox], Callable[..., Any]]] = {
    "on the sandbox": lambda name, sandbox: getattr(sandbox, name),
    "on the class with its id": lambda name, sandbox: with_first(name, sandbox.sandbox_id),
    "on the class with the sandbox": with_first,
}


def dual_methods() -> set[str]:
    return {
        name
        for name, static in inspect.getmembers_static(Sandbox)
        if hasattr(static, "class_method_name")
    }


def kill(call: Callable[..., Any], sandbox: Sandbox) -> None:
    assert call() is True
    assert not sandbox.is_running()


def set_timeout(call: Callable[..., Any], sandbox: Sandbox) -> None:
    before = sandbox.get_info().end_at
    call(1000)
    assert (sandbox.get_info().end_at - before).total_seconds() > 500


def get_info(call: Callable[..., Any], sandbox: Sandbox) -> None:
    info = call(request_timeout=10)
    assert info.sandbox_id == sandbox.sandbox_id


def get_metrics(call: Callable[..., Any], sandbox: Sandbox) -> None:
    assert call()[-1].mem_total > 0


def pause(call: Callable[..., Any], sandbox: Sandbox) -> None:
    assert call() is True
    assert sandbox.get_info().state is SandboxState.PAUSED
    assert call() is False


def connect(call: Callable[..., Any], sandbox: Sandbox) -> None:
    sandbox.pause()
    same = call(timeout=100)
    assert same.sandbox_id == sandbox.sandbox_id
    assert same.commands.run("echo hello").stdout == "hello\n"


def fork(call: Callable[..., Any], sandbox: Sandbox) -> None:
    sandbox.files.write("/home/user/file", "hello")
    [other] = call(count=1, mode="filesystem")
    with other:
        assert other.sandbox_id != sandbox.sandbox_id
        assert other.files.read("/home/user/file") == "hello"


def create_snapshot(call: Callable[..., Any], sandbox: Sandbox) -> None:
    snapshot = call(name="mine", mode="filesystem")
    assert Sandbox.delete_snapshot(snapshot.snapshot_id) is True


def list_snapshots(call: Callable[..., Any], sandbox: Sandbox) -> None:
    snapshot = sandbox.create_snapshot(mode="filesystem")
    assert [found.snapshot_id for found in call().next_items()] == [snapshot.snapshot_id]


def update_network(call: Callable[..., Any], sandbox: Sandbox) -> None:
    call({"allow_internet_access": False})
    assert sandbox.get_info().network == {"deny_out": ["0.0.0.0/0"]}


def set_limits(call: Callable[..., Any], sandbox: Sandbox) -> None:
    call(max_memory="512MB")
    assert sandbox.get_info().memory_mb < 600


CHECKS = {
    "beta_pause": pause,
    "connect": connect,
    "create_snapshot": create_snapshot,
    "fork": fork,
    "get_info": get_info,
    "get_metrics": get_metrics,
    "kill": kill,
    "list_snapshots": list_snapshots,
    "pause": pause,
    "set_limits": set_limits,
    "set_timeout": set_timeout,
    "update_network": update_network,
}
# What else they need to be called at all.
ARGUMENTS: dict[str, list[Any]] = {"set_timeout": [10], "update_network": [{}]}


def test_every_method_with_a_class_form_is_tested_here() -> None:
    # `list` has nothing of the sandbox in its class form; see test_listing.
    assert dual_methods() - {"list"} == set(CHECKS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CHECKS)
def test_it_works_in_every_form(
    name: str,
    form: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path))
    CHECKS[name](FORMS[form](name, sandbox), sandbox)


@pytest.mark.parametrize("name", sorted({*CHECKS} - {"kill", "list_snapshots"}))
def test_an_id_nobody_has_is_not_found(name: str) -> None:
    with pytest.raises(SandboxNotFoundException, match="inosuchsandboxatall0"):
        with_first(name, "inosuchsandboxatall0")(*ARGUMENTS.get(name, []))


def test_the_methods_of_the_class_alone_are_callable_on_a_sandbox_too(
    sandbox: Sandbox,
) -> None:
    with sandbox.create() as other:
        listed = sandbox.list(SandboxQuery()).next_items()
        assert {info.sandbox_id for info in listed} == {sandbox.sandbox_id, other.sandbox_id}
