"""Mounts a profile asks for: readonly, readwrite and hidden mean what they say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox import Sandbox
from tests.confinement.attack import ask, lines, outcome

ROOT = os.geteuid() == 0


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    directory = tmp_path / "shared"
    (directory / "sub").mkdir(parents=True)
    (directory / "file").write_text("from the host")
    (directory / "private").write_text("not for guests")
    for path in (*tmp_path.parents[:2], tmp_path, directory, directory / "sub"):
        with contextlib.suppress(PermissionError):
            path.chmod(0o777 if path.is_relative_to(directory) else 0o755)
    return directory


@pytest.fixture
def bound(shared: Path, tmp_path: Path) -> Iterator[Sandbox]:
    profile = tmp_path / "binds.yaml"
    profile.write_text(
        f"""
filesystem:
  readonly:
    - {{source: {shared}, destination: /mnt/ro}}
    - {{source: {shared}/file, destination: /mnt/one}}
  readwrite:
    - {{source: {shared}/sub, destination: /mnt/rw}}
  hidden: [/mnt/ro/private]
"""
    )
    with Sandbox.create(profile=profile) as sandbox:
        yield sandbox


def test_a_readonly_mount_can_be_read_and_not_written(bound: Sandbox, shared: Path) -> None:
    assert bound.files.read("/mnt/ro/file") == "from the host"
    assert bound.files.read("/mnt/one") == "from the host"
    for change in (
        "open('/mnt/ro/new', 'w')",
        "os.unlink('/mnt/ro/file')",
        "os.chmod('/mnt/ro/sub', 0)",
        "os.mkdir('/mnt/ro/sub/new')",
    ):
        assert outcome(bound, change) == "EROFS"
    assert outcome(bound, "open('/mnt/one', 'w')") in {"EROFS", "EACCES"}
    assert sorted(os.listdir(shared)) == ["file", "private", "sub"]


def test_a_change_of_the_host_is_seen_through_a_mount(bound: Sandbox, shared: Path) -> None:
    (shared / "file").write_text("changed")
    assert bound.files.read("/mnt/ro/file") == "changed"


def test_a_readwrite_mount_reaches_the_host(bound: Sandbox, shared: Path) -> None:
    bound.files.write("/mnt/rw/new", "from the guest")
    assert lines(bound, "echo more > /mnt/rw/other; cat /mnt/rw/new") == ["from the guest"]
    assert (shared / "sub" / "new").read_text() == "from the guest"
    assert (shared / "sub" / "other").read_text() == "more\n"
    # Through the read-only mount of its parent it is the same file, and not writable.
    assert bound.files.read("/mnt/ro/sub/new") == "from the guest"
    assert outcome(bound, "open('/mnt/ro/sub/new', 'a')") == "EROFS"


def test_nothing_beside_a_mount_can_be_reached_through_it(bound: Sandbox, shared: Path) -> None:
    (shared.parent / "beside").write_text("not shared")
    assert outcome(bound, "open('/mnt/ro/../beside')") == "ENOENT"
    assert outcome(bound, "open('/mnt/rw/../../beside')") == "ENOENT"
    os.symlink(shared.parent / "beside", shared / "sub" / "link")
    assert outcome(bound, "open('/mnt/rw/link')") == "ENOENT"


def test_no_set_uid_file_can_be_left_on_the_host(bound: Sandbox, shared: Path) -> None:
    bound.files.write("/mnt/rw/program", "x")
    for mode in ("0o4755", "0o2755"):
        assert outcome(bound, f"os.chmod('/mnt/rw/program', {mode})") == "EPERM"
        assert outcome(bound, f"os.open('/mnt/rw/new', os.O_CREAT, {mode})") == "EPERM"
    assert outcome(bound, "os.chmod('/mnt/rw/program', 0o755)") == "allowed"
    assert (shared / "sub" / "program").stat().st_mode & 0o7777 == 0o755


def test_no_device_can_be_left_on_the_host(bound: Sandbox) -> None:
    make = "os.mknod('/mnt/rw/device', stat.S_IFCHR | 0o666, os.makedev(1, 3))"
    assert outcome(bound, make) == "EPERM"


@pytest.mark.skipif(not ROOT, reason="only root can have what the guest's user may not write")
def test_what_belongs_to_host_root_stays_roots(bound: Sandbox, shared: Path) -> None:
    """Never mapped to host uid 0: a readwrite mount of root's directory is not writable."""
    (shared / "sub").chmod(0o755)
    (shared / "sub" / "roots").write_text("x")
    assert outcome(bound, "open('/mnt/rw/new', 'w')") == "EACCES"
    assert outcome(bound, "open('/mnt/rw/roots', 'w')") == "EACCES"
    (shared / "sub" / "secret").write_text("x")
    (shared / "sub" / "secret").chmod(0o600)
    assert outcome(bound, "open('/mnt/rw/secret')") == "EACCES"


def test_a_hidden_path_is_not_there_to_read(bound: Sandbox, shared: Path) -> None:
    assert (shared / "private").read_text() == "not for guests"
    seen = ask(
        bound,
        """
try:
    answer = open('/mnt/ro/private').read()
except OSError as error:
    answer = errno.errorcode[error.errno]
""",
    )
    assert seen in ("", "ENOENT", "EACCES")


def test_a_hidden_directory_is_empty(shared: Path, tmp_path: Path) -> None:
    (shared / "sub" / "file").write_text("hidden")
    profile = tmp_path / "hide.yaml"
    profile.write_text(
        f"filesystem: {{readonly: [{{source: {shared}, destination: /mnt/ro}}],"
        " hidden: [/mnt/ro/sub, /usr/games]}\n"
    )
    with Sandbox.create(profile=profile) as sandbox:
        assert sandbox.files.list("/mnt/ro/sub") == []
        assert outcome(sandbox, "open('/mnt/ro/sub/new', 'w')") in {"EROFS", "EACCES"}
        assert sandbox.files.read("/mnt/ro/file") == "from the host"


def test_a_mount_below_the_home_directory_lies_over_it(shared: Path, tmp_path: Path) -> None:
    profile = tmp_path / "home.yaml"
    profile.write_text(
        f"filesystem: {{readonly: [{{source: {shared}, destination: /home/user/data}}],"
        f" readwrite: [{{source: {shared}/sub, destination: /tmp/out}}]}}\n"
    )
    with Sandbox.create(profile=profile) as sandbox:
        assert sandbox.files.read("data/file") == "from the host"
        sandbox.files.write("/tmp/out/result", "x")
        sandbox.files.write("beside", "x")
        assert outcome(sandbox, "open('/home/user/data/new', 'w')") == "EROFS"
    assert (shared / "sub" / "result").read_text() == "x"


def test_an_overlay_takes_changes_and_keeps_them_inside(shared: Path, tmp_path: Path) -> None:
    """What lies below is the host's; what is written is the sandbox's. So pip install works."""
    profile = tmp_path / "overlay.yaml"
    profile.write_text(
        f"filesystem: {{readonly: [{{source: {shared}, destination: /mnt/lay}}],"
        " overlay: [/mnt/lay]}\n"
    )
    before = sorted(os.listdir(shared))
    with Sandbox.create(profile=profile) as sandbox, Sandbox.create(profile=profile) as other:
        for change in (
            "open('/mnt/lay/file', 'a').write(' and the guest')",
            "open('/mnt/lay/new', 'w').write('x')",
            "os.mkdir('/mnt/lay/sub/new')",
            "os.unlink('/mnt/lay/private')",
        ):
            assert outcome(sandbox, change) == "allowed"
        assert sandbox.files.read("/mnt/lay/file") == "from the host and the guest"
        assert not sandbox.files.exists("/mnt/lay/private")
        # Neither the host nor another sandbox sees any of it.
        assert other.files.read("/mnt/lay/file") == "from the host"
        assert other.files.exists("/mnt/lay/private")
    assert sorted(os.listdir(shared)) == before
    assert (shared / "file").read_text() == "from the host"
    assert os.listdir(shared / "sub") == []


def test_a_mount_that_is_missing_on_the_host_is_an_error_that_names_it(tmp_path: Path) -> None:
    from localbox import SandboxException

    profile = tmp_path / "gone.yaml"
    profile.write_text(
        f"filesystem: {{readonly: [{{source: {tmp_path}/gone, destination: /mnt/ro}}]}}\n"
    )
    with pytest.raises(SandboxException, match="gone"):
        Sandbox.create(profile=profile)
    # And nothing is broken by it.
    with Sandbox.create() as sandbox:
        assert lines(sandbox, "echo fine") == ["fine"]
