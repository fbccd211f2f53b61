# generated from tests/client/_async/test_e2b_client.py by scripts/unasync.py; edit that, not this
"""`E2B`: the client whose classes have connection options bound to them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import e2b
import pytest

import localbox
from localbox import E2B, InvalidArgumentException, Sandbox, Secret


def test_a_client_has_the_classes_of_e2bs() -> None:
    ours, theirs = vars(E2B()), vars(e2b.E2B(api_key="e2b_" + "0" * 40))
    assert set(ours) == set(theirs)
    for name, owner in ours.items():
        assert inspect.isclass(owner)
        assert issubclass(owner, getattr(localbox, name))
        assert owner.__name__ == theirs[name].__name__


def test_its_sandbox_is_made_with_its_options() -> None:
    client = E2B(api_key="e2b_key", request_timeout=7, domain="example.com")
    with client.Sandbox.create() as sandbox:
        assert isinstance(sandbox, Sandbox)
        assert sandbox.commands.run("echo hello").stdout == "hello\n"
        config = sandbox.connection_config
        assert (config.api_key, config.domain) == ("e2b_key", "example.com")
        assert config.request_timeout == 7


def test_the_options_of_a_call_come_first() -> None:
    client = E2B(request_timeout=7)
    with client.Sandbox.create(request_timeout=9) as sandbox:
        assert sandbox.connection_config.request_timeout == 9
    with client.Sandbox.create(request_timeout=None) as sandbox:
        assert sandbox.connection_config.request_timeout == 7


def test_its_request_timeout_is_that_of_the_creation() -> None:
    client = E2B(request_timeout=7)
    # One that is refused where it is used: whether one of 1 ns is exceeded is a matter of luck.
    client.Sandbox._bound_params = {"request_timeout": -1}
    with pytest.raises(InvalidArgumentException, match="request_timeout"):
        client.Sandbox.create()


def test_later_calls_about_its_sandbox_have_its_request_timeout(
    sandbox: Sandbox,
) -> None:
    same = E2B(request_timeout=60).Sandbox.connect(sandbox.sandbox_id)
    same._connection.request_timeout = -1
    calls = [same.get_info, lambda: same.set_timeout(60), same.get_metrics, same.pause, same.kill]
    for call in calls:
        with pytest.raises(InvalidArgumentException, match="request_timeout"):
            call()
    assert same.get_info(request_timeout=60).sandbox_id == sandbox.sandbox_id


def test_a_sandbox_connected_to_has_its_options(sandbox: Sandbox) -> None:
    client = E2B(request_timeout=7)
    same = client.Sandbox.connect(sandbox.sandbox_id)
    assert type(same) is client.Sandbox
    assert same.connection_config.request_timeout == 7


def test_clients_and_the_package_do_not_disturb_each_other() -> None:
    headers = {"X-A": "1"}
    first, second = E2B(request_timeout=5, headers=headers), E2B(request_timeout=6)
    headers["X-A"] = "2"
    with (
        first.Sandbox.create() as one,
        second.Sandbox.create() as two,
        Sandbox.create() as three,
    ):
        timeouts = [sandbox.connection_config.request_timeout for sandbox in (one, two, three)]
        assert timeouts == [5, 6, 60]
        assert one.connection_config.headers["X-A"] == "1"


def test_class_forms_take_the_sandboxes_of_others(sandbox: Sandbox) -> None:
    client = E2B()
    assert client.Sandbox.get_info(sandbox).sandbox_id == sandbox.sandbox_id
    assert client.Sandbox.get_info(sandbox.sandbox_id).metadata == {}
    listed = client.Sandbox.list().next_items()
    assert [info.sandbox_id for info in listed] == [sandbox.sandbox_id]
    assert client.Sandbox.kill(sandbox) is True


def test_its_other_classes_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path))
    client = E2B(request_timeout=30)
    client.Secret.create("key", "value")
    assert Secret.exists("key")
    volume = client.Volume.create("mine")
    assert type(volume) is client.Volume
    assert [info.name for info in client.Volume.list()] == ["mine"]
    with client.Sandbox.create(volume_mounts={"/mnt/mine": volume}) as sandbox:
        sandbox.files.write("/mnt/mine/file", "hello")
    assert volume.read_file("/file") == "hello"
    assert not client.Template.exists("no-such-template")
    assert isinstance(client.Template(), localbox.Template)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"request_timout": 3}, TypeError, "request_timeout"),
        ({"request_timeout": "3"}, InvalidArgumentException, "request_timeout"),
        ({"retries": -1}, InvalidArgumentException, "retries"),
        ({"http_version": "3"}, InvalidArgumentException, "http_version"),
    ],
)
def test_options_are_checked_at_once(options: dict[str, Any], error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        E2B(**options)
