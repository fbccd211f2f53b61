# generated from tests/client/_async/test_secret.py by scripts/unasync.py; edit that, not this
"""`Secret`: what is kept, what is told, and that values are not."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from localbox import (
    InvalidArgumentException,
    Sandbox,
    Secret,
    SecretException,
    SecretNotFoundException,
    SecretPaginator,
)
from tests.client._sync.doing import all_at_once

VALUE = "the-value-nobody-shall-see"


@pytest.fixture(autouse=True)
def data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def names_of(paginator: SecretPaginator) -> list[list[str]]:
    pages = []
    while paginator.has_next:
        pages.append([info.name for info in paginator.next_items()])
    return pages


def test_a_secret_is_found_by_name_and_by_id() -> None:
    created = Secret.create("key", VALUE, {"team": "a"})
    assert created.name == "key"
    assert created.version == 1
    assert created.metadata == {"team": "a"}
    assert created.created_at == created.updated_at
    assert abs((datetime.now(UTC) - created.created_at).total_seconds()) < 60
    assert Secret.get_info("key") == created
    assert Secret.get_info(created.secret_id) == created


def test_a_value_is_never_told() -> None:
    told: list[Any] = [
        Secret.create("key", VALUE),
        Secret.update("key", VALUE + "2"),
        Secret.get_info("key"),
        Secret.list().next_items(),
        Secret.fill("key"),
    ]
    assert VALUE not in repr(told)


def test_an_update_is_a_new_version_and_keeps_the_notes_unless_given() -> None:
    created = Secret.create("key", VALUE, {"team": "a"})
    second = Secret.update("key", "2")
    assert (second.version, second.metadata) == (2, {"team": "a"})
    assert (second.secret_id, second.created_at) == (created.secret_id, created.created_at)
    assert second.updated_at >= created.updated_at
    third = Secret.update(created.secret_id, "3", {})
    assert (third.version, third.metadata) == (3, {})


def test_an_old_value_is_gone(data_dir: Path) -> None:
    Secret.create("key", VALUE)
    Secret.update("key", "another")
    kept = b"".join(path.read_bytes() for path in files_in(data_dir))
    assert b"another" in kept
    assert VALUE.encode() not in kept


def test_a_name_is_taken_once() -> None:
    Secret.create("key", VALUE)
    with pytest.raises(SecretException, match="already"):
        Secret.create("key", "another")
    assert Secret.get_info("key").version == 1


def test_of_many_that_create_one_name_at_once_one_succeeds() -> None:
    def create() -> str:
        try:
            Secret.create("key", VALUE)
        except SecretException:
            return "refused"
        return "created"

    assert sorted(all_at_once([create] * 8)) == ["created", *["refused"] * 7]


def test_of_many_that_update_at_once_none_is_lost() -> None:
    def update() -> None:
        Secret.update("key", VALUE)

    Secret.create("key", VALUE)
    all_at_once([update] * 8)
    assert Secret.get_info("key").version == 9


def test_destroy_says_whether_there_was_one(data_dir: Path) -> None:
    created = Secret.create("key", VALUE)
    assert Secret.exists("key")
    assert Secret.destroy("key") is True
    assert Secret.destroy("key") is False
    assert not Secret.exists(created.secret_id)
    assert files_in(data_dir) == []


def test_what_there_is_not_is_not_found() -> None:
    with pytest.raises(SecretNotFoundException, match="'key'"):
        Secret.get_info("key")
    with pytest.raises(SecretNotFoundException, match="'key'"):
        Secret.update("key", VALUE)
    assert not Secret.exists("key")


def test_a_list_has_pages_the_oldest_first() -> None:
    assert names_of(Secret.list()) == [[]]
    for name in ["c", "a", "b"]:
        Secret.create(name, VALUE)
    assert names_of(Secret.list()) == [["c", "a", "b"]]
    assert names_of(Secret.list(limit=2)) == [["c", "a"], ["b"]]
    first = Secret.list(limit=1)
    first.next_items()
    assert names_of(Secret.list(next_token=first.next_token)) == [["a", "b"]]


def test_past_the_last_page_is_an_error() -> None:
    paginator = Secret.list()
    paginator.next_items()
    with pytest.raises(SecretException, match="has_next"):
        paginator.next_items()


@pytest.mark.parametrize("name", ["", "a}b", "{", "a\nb", None])
def test_a_name_that_no_placeholder_could_hold_is_refused(name: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="cannot be a name"):
        Secret.create(name, VALUE)
    with pytest.raises(InvalidArgumentException, match="cannot be a name"):
        Secret.fill(name)


def test_a_value_that_is_no_text_is_refused_and_not_shown() -> None:
    value: Any = VALUE.encode()
    with pytest.raises(InvalidArgumentException, match="bytes") as refusal:
        Secret.create("key", value)
    assert VALUE not in str(refusal.value)


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", ".", "a/b", "ключ", "x" * 1000])
def test_a_name_is_not_a_path(data_dir: Path, name: str) -> None:
    created = Secret.create(name, VALUE)
    assert (Secret.get_info(name)) == created
    [file] = files_in(data_dir)
    assert file.parent == data_dir / "secrets"


def test_what_a_killed_program_left_unfinished_is_removed(data_dir: Path) -> None:
    Secret.create("key", VALUE)
    unfinished = data_dir / "secrets" / ".abc.new"
    unfinished.write_text(VALUE)
    assert [info.name for info in Secret.list().next_items()] == ["key"]
    Secret.update("key", VALUE)
    assert unfinished not in files_in(data_dir)


def test_no_other_user_can_read_it(data_dir: Path) -> None:
    Secret.create("key", VALUE)
    for path in [data_dir, data_dir / "secrets", *files_in(data_dir)]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_what_has_become_unreadable_says_where_it_is(data_dir: Path) -> None:
    Secret.create("key", VALUE)
    [file] = (data_dir / "secrets").iterdir()
    file.write_bytes(b"{")
    with pytest.raises(SecretException, match=file.name):
        Secret.get_info("key")


def test_a_placeholder_is_e2bs_and_stays_one(sandbox: Sandbox) -> None:
    Secret.create("key", VALUE)
    placeholder = Secret.fill("key")
    assert placeholder == "${e2b.secrets.key}"
    done = sandbox.commands.run('printf %s "$K"', envs={"K": placeholder})
    assert done.stdout == placeholder


def test_an_identity_token_is_described_but_not_minted() -> None:
    token = Secret.iam_token(audience="sts.example.com", token_type="JWT-SVID")
    assert token == {"audience": "sts.example.com", "token_type": "JWT-SVID"}
    with pytest.raises(InvalidArgumentException, match=r"'aws'.*envs="):
        Sandbox.create(iam={"tokens": {"aws": token}})
