"""COPY: what comes where, with which permissions, and what does not leave the context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localbox import BuildException, Sandbox, Template

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
def context(context: Path) -> Path:
    (context / "a.txt").write_text("a")
    (context / "b.txt").write_text("b")
    (context / "run.sh").write_text("echo ran")
    (context / "run.sh").chmod(0o755)
    (context / "dir" / "sub").mkdir(parents=True)
    (context / "dir" / "one").write_text("1")
    (context / "dir" / "sub" / "two").write_text("2")
    (context / "dir" / "empty").mkdir()
    (context / "link").symlink_to("a.txt")
    (context / "outside").symlink_to("/etc/hostname")
    return context


def listing(template: Any, directory: str = "/home/user/x") -> str:
    Template.build(template, "copies")
    with Sandbox.create("copies") as sandbox:
        find = f"cd {directory} && find . -mindepth 1 -printf '%P%y%m\\n' | sort"
        return " ".join(sandbox.commands.run(find).stdout.split())


@pytest.mark.parametrize(
    ("source", "dest", "expected"),
    [
        ("a.txt", "x/", "a.txtf644"),
        ("a.txt", "x/renamed", "renamedf644"),
        ("a.txt", "/home/user/x/deep/er/renamed", "deep/er/renamedf644 deep/erd755 deepd755"),
        ("run.sh", "~/x/", "run.shf755"),
        ("dir", "x", "emptyd755 onef644 sub/twof644 subd755"),
        ("dir/", "x/", "emptyd755 onef644 sub/twof644 subd755"),
        ("dir/sub", "x/y", "y/twof644 yd755"),
        ("*.txt", "x", "a.txtf644 b.txtf644"),
        ("dir/*", "x", "onef644 twof644"),
        ("**/two", "x/", "twof644"),
        (["a.txt", "dir"], "x/", "a.txtf644 emptyd755 onef644 sub/twof644 subd755"),
        ("link", "x/", "linkl777"),
    ],
    ids=str,
)
def test_a_copy_comes_where_docker_would_put_it(
    source: Any, dest: str, expected: str, context: Path
):
    assert listing(Template(context).from_base_image().copy(source, dest)) == expected


def test_a_file_is_copied_into_a_directory_that_is_there(context: Path):
    template = Template(context).from_base_image().make_dir("x").copy("a.txt", "x")
    assert listing(template) == "a.txtf644"


def test_permissions_can_be_given_and_leave_directories_open(context: Path):
    template = Template(context).from_base_image().copy("dir", "x", mode=0o600)
    assert listing(template) == "emptyd700 onef600 sub/twof600 subd700"


def test_links_are_followed_only_where_asked_for(context: Path):
    template = Template(context).from_base_image().copy("link", "x/", resolve_symlinks=True)
    assert listing(template) == "linkf644"


def test_what_a_link_out_of_the_context_leads_to_is_not_copied(context: Path):
    Template.build(Template(context).from_base_image().copy("outside", "x/"), "copies")
    with Sandbox.create("copies") as sandbox:
        assert sandbox.commands.run("readlink x/outside").stdout == "/etc/hostname\n"


def test_a_copy_replaces_what_is_there(context: Path):
    template = (
        Template(context)
        .from_base_image()
        .run_cmd("mkdir x && echo old > x/a.txt && chmod 400 x/a.txt && ln -s /nowhere x/link")
        .copy(["a.txt", "link"], "x/")
        .run_cmd("[ $(cat x/a.txt) = a ] && [ $(readlink x/link) = a.txt ]")
    )
    assert listing(template) == "a.txtf644 linkl777"


def test_no_archive_is_left(context: Path):
    Template.build(Template(context).from_base_image().copy("dir", "x"), "copies")
    with Sandbox.create("copies") as sandbox:
        assert "localbox" not in sandbox.commands.run("ls -A /tmp").stdout


def test_a_large_file_is_copied_whole(context: Path):
    content = bytes(range(256)) * 40_000
    (context / "large").write_bytes(content)
    Template.build(Template(context).from_base_image().copy("large", "large"), "copies")
    with Sandbox.create("copies") as sandbox:
        assert sandbox.files.read("large", format="bytes") == content


def test_ignored_files_are_not_copied_and_do_not_count(context: Path):
    (context / ".dockerignore").write_text(
        "dir/sub\n**/*.txt\n!b.txt\n.dockerignore\nlink\noutside\n"
    )
    template = Template(context).from_base_image().copy(".", "x")
    assert listing(template) == "b.txtf644 dir/emptyd755 dir/onef644 dird755 run.shf755"
    (context / "a.txt").write_text("changed")
    said: list[str] = []
    Template.build(template, "copies", on_build_logs=lambda entry: said.append(entry.message))
    assert "[1/1] COPY . x (from the cache)" in said


def test_a_socket_is_not_copied(context: Path):
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(context / "dir" / "socket"))
        with pytest.raises(BuildException, match="neither file, directory nor link"):
            Template.build(Template(context).from_base_image().copy("dir", "x"), "copies")
