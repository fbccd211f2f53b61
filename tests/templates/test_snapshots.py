"""Snapshots and forks of sandboxes that were made from a template."""

from __future__ import annotations

import pytest

from localbox import Sandbox, Template, wait_for_file

pytestmark = pytest.mark.usefixtures("data_dir")


def test_a_snapshot_keeps_to_its_template() -> None:
    template = (
        Template()
        .from_base_image()
        .set_envs({"A": "1"})
        .set_workdir("/app")
        .run_cmd("echo built > file")
        .set_start_cmd("touch started", wait_for_file("/app/started"))
    )
    Template.build(template, "served")
    with Sandbox.create("served", timeout=60) as sandbox:
        sandbox.commands.run("echo later > later; rm started")
        snapshot = sandbox.create_snapshot()
        (fork,) = sandbox.fork(60)
        assert isinstance(fork, Sandbox)
        with fork:
            assert fork.commands.run("cat file later; echo $A $PWD").stdout == (
                "built\nlater\n1 /app\n"
            )
            # What the template starts is one of the programs that stay behind.
            assert not fork.files.exists("/app/started")
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        seen = other.commands.run("cat file later; echo $A $PWD; ls")
        assert seen.stdout == "built\nlater\n1 /app\nfile\nlater\nstarted\n"
        above = other.create_snapshot("above")
    with Sandbox.create("above", timeout=60) as last:
        assert last.commands.run("cat later; echo $A").stdout == "later\n1\n"
    assert Sandbox.delete_snapshot(snapshot.snapshot_id)
    assert Sandbox.delete_snapshot(above.snapshot_id)
