"""Secrets lie in the host's data directory: no sandbox sees them, not even its root."""

from __future__ import annotations

from pathlib import Path

import pytest

from localbox import Sandbox, Secret
from tests.confinement.as_root import ask_root, needs_root
from tests.confinement.attack import ask

VALUE = "the-value-nobody-shall-see"


@pytest.fixture
def secret_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    data = tmp_path / "data"
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(data))
    Secret.create("key", VALUE)
    [file] = (data / "secrets").iterdir()
    assert VALUE in file.read_text()
    return file


def paths_to(secret_file: Path) -> str:
    paths = [str(path) for path in (secret_file, *secret_file.parents[:2])]
    return f"answer = [outcome(os.stat, path) for path in {paths}]"


TOLD = "answer = [dict(os.environ), open('/proc/self/mountinfo').read()]"


def test_guest_cannot_reach_the_file_of_a_secret(secret_file: Path, any_sandbox: Sandbox) -> None:
    assert ask(any_sandbox, paths_to(secret_file)) == ["ENOENT"] * 3


@needs_root
def test_root_cannot_reach_the_file_of_a_secret(secret_file: Path, sandbox: Sandbox) -> None:
    assert ask_root(sandbox, paths_to(secret_file)) == ["ENOENT"] * 3


def test_guest_is_not_told_where_secrets_are(secret_file: Path, any_sandbox: Sandbox) -> None:
    environment, mounts = ask(any_sandbox, TOLD)
    assert "PATH" in environment
    assert " / " in mounts
    assert str(secret_file.parents[1]) not in str(environment) + mounts


def test_a_placeholder_leads_a_guest_to_no_value(secret_file: Path, sandbox: Sandbox) -> None:
    placeholder = Secret.fill("key")
    sandbox.files.write("/home/user/mine", placeholder)
    code = "answer = [os.environ['KEY'], open('/home/user/mine').read()]"
    assert ask(sandbox, code, envs={"KEY": placeholder}) == [placeholder] * 2
