"""The store of layers: what is found by id and name, what is in use, and what is removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localbox.engine import layer_store, layers
from localbox.engine.layer_policy import read_policy
from localbox.engine.layer_removal import remove_tree
from localbox.errors import InvalidArgumentException, NotFoundException, SandboxException
from localbox.policy import load_profile, merge_overrides, shipped_profiles


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def make(kind: str = "snapshot", parents: tuple[str, ...] = (), **other: Any) -> layer_store.Use:
    description = layers.describe(kind, load_profile("default"), "base", "i0")
    draft = layer_store.Draft()
    parts = [["/home/user", "0", 0o755]]
    return draft.commit({**description, "parents": list(parents), "parts": parts, **other})


def there(data: Path) -> set[str]:
    return set(os.listdir(data / "layers")) - {"lock"}


def test_a_layer_is_found_by_id_and_by_any_of_its_names() -> None:
    use = make()
    assert layers.set_name("one", use.stack.layer_id) == "one:default"
    assert layers.set_name("one:v2", use.stack.layer_id) == "one:v2"
    for name in (use.stack.layer_id, "one", "one:default", "one:v2"):
        found = layers.resolve(name)
        assert found == use.stack
        assert found.policy() == load_profile("default")
    use.close()


def test_what_is_not_there_is_not_found(data: Path) -> None:
    for name in ("nothing", "s" + "0" * 19, "../../etc", "", "a:b:c", "a\0b"):
        with pytest.raises(NotFoundException):
            layers.resolve(name)
    assert not data.exists()
    make().close()
    for name in ("nothing", "s" + "0" * 19, "../../etc", "", "a:b:c", "a\0b"):
        assert layers.find(name) is None


@pytest.mark.parametrize("name", ["s" + "0" * 19, "a b", "-x", "a:b:c", "é", "x" * 129])
def test_what_could_be_taken_for_something_else_is_no_name(name: str) -> None:
    with pytest.raises(InvalidArgumentException, match="name="):
        layers.full_name(name)


def test_a_fork_goes_with_its_last_use_and_a_snapshot_does_not(data: Path) -> None:
    fork, snapshot = make("fork"), make()
    second = layer_store.hold(fork.stack)
    assert not fork.close()
    assert fork.stack.layer_id in there(data)
    assert second.close()
    assert not snapshot.close()
    assert there(data) == {snapshot.stack.layer_id}


def test_what_is_stood_on_stays_whatever_it_is(data: Path) -> None:
    fork = make("fork")
    deleted = make(parents=(fork.stack.layer_id,))
    above = make(parents=(fork.stack.layer_id, deleted.stack.layer_id))
    ids = [use.stack.layer_id for use in (fork, deleted, above)]
    for use in (fork, deleted, above):
        use.close()
    assert layer_store.retire(ids[1])
    assert layers.load(ids[1]) is None
    assert there(data) == set(ids)
    assert [layer.layer_id for layer in layers.resolve(ids[2]).layers] == ids
    assert layer_store.retire(ids[2])
    assert there(data) == set()


def test_a_use_that_nobody_closed_is_none_in_the_end(data: Path) -> None:
    make("fork")
    make().close()
    layer_store.collect()
    assert len(there(data)) == 1


def test_a_draft_is_gone_with_its_maker_or_when_it_is_given_up(data: Path) -> None:
    draft = layer_store.Draft()
    (draft.host_path / "0").mkdir()
    layer_store.collect()
    assert there(data) == {draft.layer_id}
    draft.abandon()
    assert there(data) == set()
    del draft
    layer_store.Draft()
    assert there(data) == set()


def test_a_fork_of_the_program_neither_removes_nor_unlocks_what_its_parent_uses(
    data: Path,
) -> None:
    use, draft = make("fork"), layer_store.Draft()
    pid = os.fork()
    if pid == 0:
        del draft
        use.close()
        os._exit(0)
    os.waitpid(pid, 0)
    code = "from localbox.engine import layer_store; layer_store.collect()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert there(data) == {use.stack.layer_id, draft.layer_id}
    draft.abandon()
    use.close()
    assert there(data) == set()


def test_another_versions_layers_are_left_alone_and_said_to_be(data: Path) -> None:
    newer, fork = make(), make("fork")
    file = data / "layers" / newer.stack.layer_id / "layer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    fork.close()
    layer_id = newer.stack.layer_id
    with pytest.raises(SandboxException, match="another version"):
        layers.resolve(layer_id)
    # Nobody here knows what it stands on.
    assert len(there(data)) == 2


def test_a_stack_with_a_layer_missing_says_which() -> None:
    below = make()
    above = make(parents=(below.stack.layer_id,))
    remove_tree(Path(below.stack.layers[0].host_path))
    with pytest.raises(SandboxException, match=below.stack.layer_id):
        layers.resolve(above.stack.layer_id)
    assert layers.stacks("snapshot") == []
    below.close()
    above.close()
    with pytest.raises(NotFoundException, match="was deleted"):
        layer_store.hold(above.stack)


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_policy_is_read_as_it_was_written(name: str) -> None:
    for policy in (
        load_profile(name),
        merge_overrides(load_profile(name), readonly=["/opt"], readwrite=[("/srv", "/mnt/srv")]),
    ):
        read = read_policy(json.loads(policy.to_json()), "s0")
        assert read == policy
        assert read.digest == policy.digest


def test_a_policy_that_this_version_does_not_know_is_not_guessed_at() -> None:
    values = load_profile("default").to_dict()
    for broken in (
        {**values, "network": {"mode": "everything"}},
        {**values, "network": {"mode": "none", "more": True}},
        {name: value for name, value in values.items() if name != "seccomp"},
    ):
        with pytest.raises(SandboxException, match="profile="):
            read_policy(broken, "s0")


def test_any_tree_is_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "link").symlink_to(outside)
    (tree / "a" / "b" / "file").touch()
    (tree / ".moved-0").mkdir()
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=fd)
        below = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    os.chmod(tree / "a" / "b", 0)
    os.chmod(tree / "a", 0)
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "kept").exists()
