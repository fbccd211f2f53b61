"""Root of a sandbox and what is not the sandbox's: the host's files, other sandboxes.

The guest is taken to be hostile as root too; each of the attacks here has all that root has.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localbox import Sandbox
from tests.confinement.as_root import needs_root, outcomes, root_agents
from tests.confinement.attack import host_pids, lines, status

pytestmark = needs_root


def test_a_sandbox_made_after_roots_agent_is_not_inside_this_one(sandbox: Sandbox) -> None:
    """The zygote is on its way into this one's pid namespace for a moment."""
    sandbox.commands.run("true", user="root")
    with Sandbox.create() as other:
        first, second = host_pids(sandbox)[0], host_pids(other)[0]
        assert len(status(first)["NSpid"].split()) == len(status(second)["NSpid"].split())
        assert sandbox.kill()
        assert lines(other, "echo alive") == ["alive"]


def test_roots_of_two_sandboxes_are_strangers(sandbox: Sandbox) -> None:
    with Sandbox.create() as other:
        for each in (sandbox, other):
            each.commands.run("true", user="root")
        uids = {status(root_agents(each)[0])["Uid"] for each in (sandbox, other)}
        assert len(uids) == 2


def test_root_changes_what_lies_below_an_overlay_in_its_own_sandbox_alone(tmp_path: Path) -> None:
    for directory in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        directory.chmod(0o755)
    (tmp_path / "lower").mkdir()
    victim = tmp_path / "lower" / "file"
    victim.write_text("from the host")
    before = victim.stat()
    profile = tmp_path / "overlay.yaml"
    profile.write_text(
        f"filesystem: {{readonly: [{{source: {tmp_path}/lower, destination: /mnt/lay}}],"
        " overlay: [/mnt/lay]}\n"
    )
    with Sandbox.create(profile=profile) as sandbox, Sandbox.create(profile=profile) as other:
        change = "cd /mnt/lay; chown 0:0 . file; chmod 600 file; echo x >> file; mkdir new"
        sandbox.commands.run(change, user="root")
        assert sandbox.files.read("/mnt/lay/file", user="root") == "from the hostx\n"
        assert other.files.read("/mnt/lay/file", user="root") == "from the host"
    after = victim.stat()
    assert victim.read_text() == "from the host"
    assert (after.st_uid, after.st_mode, after.st_ctime) == (
        *(before.st_uid, before.st_mode),
        before.st_ctime,
    )
    assert os.listdir(tmp_path / "lower") == ["file"]


def test_what_is_the_hosts_in_a_bind_is_not_roots(tmp_path: Path) -> None:
    for directory in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        directory.chmod(0o755)
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    (shared / "closed").mkdir(mode=0o755)
    for name, mode, owner in (
        ("secret", 0o600, 0),
        ("readable", 0o644, 0),
        ("others", 0o600, 1000),
    ):
        (shared / name).write_text("x")
        (shared / name).chmod(mode)
        os.chown(shared / name, owner, owner)
    profile = tmp_path / "bind.yaml"
    profile.write_text(
        f"filesystem: {{readwrite: [{{source: {shared}, destination: /mnt/rw}}],"
        f" readonly: [{{source: {shared}, destination: /mnt/ro}}]}}\n"
    )
    with Sandbox.create(profile=profile) as sandbox:
        answers = outcomes(
            sandbox,
            "open('/mnt/rw/secret')",
            "open('/mnt/rw/others')",
            "open('/mnt/rw/readable', 'a')",
            "os.mkdir('/mnt/rw/closed/new')",
            "os.chown('/mnt/rw/secret', 0, 0)",
            "os.chmod('/mnt/rw/others', 0o777)",
            "os.utime('/mnt/rw/readable', (1, 1))",
            "os.mknod('/mnt/rw/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))",
            "open('/mnt/ro/new', 'w')",
        )
        assert set(answers) <= {"EACCES", "EPERM", "EROFS"}, answers
        # What it may: make files of its own, which on the host are nobody's.
        sandbox.files.write("/mnt/rw/new", "x", user="root")
        sandbox.commands.run("chown 5:5 /mnt/rw/new; chmod 777 /mnt/rw/new", user="root")
    made = (shared / "new").stat()
    assert made.st_uid >= 0x70000000
    assert made.st_mode & 0o7777 == 0o777
    assert (shared / "secret").stat().st_uid == 0
    (shared / "new").unlink()


def test_root_is_in_the_cgroup_of_its_sandbox(tmp_path: Path) -> None:
    profile = tmp_path / "grouped.yaml"
    profile.write_text("isolation: {prefer: [cgroup]}\n")
    with Sandbox.create(profile=profile) as sandbox:
        if "cgroup" not in sandbox.isolation:
            pytest.skip("no cgroup can be made here")
        sandbox.commands.run("true", user="root")
        groups = [
            Path(f"/proc/{pid}/cgroup").read_text("utf-8")
            for pid in (host_pids(sandbox)[0], *root_agents(sandbox))
        ]
        assert len(groups) == 2
        assert groups[0] == groups[1]
