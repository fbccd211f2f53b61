"""Templates as data: the same JSON, Dockerfiles and hashes as E2B's builder makes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import e2b
import pytest

from localbox.errors import BuildException, InvalidArgumentException, TemplateException
from localbox.templates import readycmd
from localbox.templates.base import TemplateBase
from localbox.templates.context import Context
from localbox.templates.dockerfile import DockerfileSyntaxError


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("print('app')")
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "lib" / "a.py").write_text("a")
    (tmp_path / "lib" / "deep" / "b.txt").write_text("b")
    (tmp_path / "lib" / "deep" / "c.log").write_text("c")
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / "link").symlink_to("app.py")
    (tmp_path / ".dockerignore").write_text("# comment\n**/*.log\nnode_modules\n")
    return tmp_path


CHAINS: dict[str, Callable[[Any, Any], Any]] = {
    "nothing but a base": lambda t, _r: t.from_base_image(),
    "python": lambda t, _r: t.from_python_image("3.11"),
    "images by name": lambda t, _r: t.from_debian_image().run_cmd("true"),
    "ubuntu": lambda t, _r: t.from_ubuntu_image("24.04"),
    "fedora": lambda t, _r: t.from_fedora_image(),
    "alpine": lambda t, _r: t.from_alpine_image(),
    "arch": lambda t, _r: t.from_arch_image(),
    "node": lambda t, _r: t.from_node_image(),
    "bun": lambda t, _r: t.from_bun_image().bun_install("tsx", g=True, dev=True),
    "a registry": lambda t, _r: t.from_image("r.example/i", username="u", password="p"),
    "aws": lambda t, _r: t.from_aws_registry("i", "key", "secret", "eu"),
    "gcp": lambda t, _r: t.from_gcp_registry("i", {"type": "service_account"}),
    "copies": lambda t, _r: (
        t.from_base_image()
        .copy("app.py", "/home/user/")
        .copy(["lib", "app.py"], "all/", mode=0o755, user="root", force_upload=True)
        .copy("lib/*", Path("x"), resolve_symlinks=True, gzip=False)
        .copy_items([{"src": ".", "dest": "/home/user/all"}, {"src": "link", "dest": "l"}])
    ),
    "files": lambda t, _r: (
        t.from_base_image()
        .remove(["/tmp/a b", Path("/tmp/c")], force=True, recursive=True, user="root")
        .rename("a", "b c", force=True)
        .make_dir(["/x/y", "z"], mode=0o700)
        .make_symlink("/usr/bin/python3", "py", force=True)
    ),
    "packages": lambda t, _r: (
        t.from_base_image()
        .pip_install()
        .pip_install("numpy")
        .pip_install(["a", "b>=2"], g=False)
        .npm_install()
        .npm_install(["x", "y"], g=True)
        .npm_install("z", dev=True)
        .apt_install(["git", "curl"], no_install_recommends=True, fix_missing=True)
        .apt_install("vim")
    ),
    "git": lambda t, _r: (
        t.from_base_image()
        .git_clone("https://example.com/r.git")
        .git_clone("https://example.com/r.git", "/d e", branch="main", depth=1, user="root")
    ),
    "state": lambda t, _r: (
        t.from_base_image()
        .set_workdir("/home/user/app")
        .set_user("root")
        .set_envs({"A": "1", "B": "two words"})
        .set_envs({})
        .run_cmd(["a", "b"], user="user")
    ),
    "without the cache": lambda t, _r: t.from_base_image().run_cmd("a").skip_cache().run_cmd("b"),
    "all without the cache": lambda t, _r: t.skip_cache().from_python_image().run_cmd("b"),
    "started on a port": lambda t, r: t.from_base_image().set_start_cmd(
        "serve", r.wait_for_port(80)
    ),
    "started with an url": lambda t, r: t.from_base_image().set_start_cmd(
        "serve", r.wait_for_url("http://localhost/a?b=c", 204)
    ),
    "ready by process": lambda t, r: t.from_base_image().set_ready_cmd(r.wait_for_process("a b")),
    "ready by file": lambda t, r: t.from_base_image().set_ready_cmd(r.wait_for_file("/tmp/a b")),
    "ready by time": lambda t, r: t.from_base_image().set_ready_cmd(r.wait_for_timeout(2500)),
    "ready at once": lambda t, r: t.from_base_image().set_ready_cmd(r.wait_for_timeout(1)),
    "ready by command": lambda t, _r: t.from_base_image().set_ready_cmd("test -e /x"),
    "another template": lambda t, _r: t.from_template("mine").run_cmd("x"),
    "mcp": lambda t, _r: t.from_template("mcp-gateway").add_mcp_server(["exa", "brave"]),
    "dev container": lambda t, _r: (
        t.from_template("devcontainer")
        .beta_dev_container_prebuild("/w x")
        .beta_set_dev_container_start("/w x")
    ),
}
DOCKERFILES = {
    "smallest": "FROM python:3.11\n",
    "usual": """\
# syntax=docker/dockerfile:1
FROM python:3.11-slim AS base
ARG VERSION=1.0
ENV APP_HOME=/home/user/app \\
    PORT="80 80"
WORKDIR $APP_HOME
COPY --chmod=755 --chown=user:user app.py lib/ ./
COPY ["link", "/home/user/x y"]
ADD app.py /tmp/
RUN pip install -r requirements.txt && \\
    echo "$VERSION"
RUN ["python", "-c", "print('a b')"]
EXPOSE 80
LABEL a=b
USER user
CMD ["python", "app.py"]
""",
    "a script": "FROM python:3\nRUN <<EOF\necho one\necho two\nEOF\n",
    "a here-document in a command": "FROM python:3\nRUN cat <<EOF > /tmp/x\nhello\nEOF\n",
    "entry point": 'FROM python:3\nENTRYPOINT ["python", "-m"]\nCMD ["http.server", "80"]\n',
    "entry point and a shell": 'FROM python:3\nENTRYPOINT ["run", "it"]\nCMD a && b\n',
    "entry point of a shell": 'FROM python:3\nENTRYPOINT exec run\nCMD ["ignored"]\n',
    "command of a shell": "FROM python:3\nCMD echo hi | cat\n",
    "old env": "FROM python:3\nENV KEY some value\n",
    "cache mounts": "FROM python:3\nRUN --mount=type=cache,target=/root/.cache pip install x\n",
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_template_is_written_as_e2b_writes_it(name: str, context: Path):
    ours = CHAINS[name](TemplateBase(context), readycmd)
    theirs = CHAINS[name](e2b.Template(context), e2b)
    assert TemplateBase.to_json(ours) == e2b.Template.to_json(theirs)
    if ours._template._base_template is None:
        assert TemplateBase.to_dockerfile(ours) == e2b.Template.to_dockerfile(theirs)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_means_what_e2b_says_it_means(name: str, context: Path):
    ours = TemplateBase(context).from_dockerfile(DOCKERFILES[name])
    theirs = e2b.Template(context).from_dockerfile(DOCKERFILES[name])
    assert TemplateBase.to_json(ours) == e2b.Template.to_json(theirs)


def test_a_dockerfile_is_read_from_its_path(context: Path):
    (context / "Dockerfile").write_text(DOCKERFILES["usual"])
    by_path = TemplateBase(context).from_dockerfile(str(context / "Dockerfile"))
    by_text = TemplateBase(context).from_dockerfile(DOCKERFILES["usual"])
    assert TemplateBase.to_json(by_path) == TemplateBase.to_json(by_text)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("RUN x\nFROM a\n", 1, "RUN comes before FROM"),
        ("", None, "no FROM"),
        ("FROM a\nFROM b\n", 2, "several stages"),
        ("FROM a\n\nHEALTHCHECK CMD x\n", 3, "HEALTHCHECK is not supported; supported are FROM"),
        ('FROM a\nSHELL ["sh"]\n', 2, "SHELL is not supported"),
        ("FROM a\nCOPY --from=other x y\n", 2, "no other image"),
        ("FROM a\nADD https://example.com/x y\n", 2, "download it with RUN"),
        ("FROM a\nCOPY --chmod=rwx x y\n", 2, "octal"),
        ("FROM a\nCOPY x\n", 2, "where to"),
        ("FROM a\nCOPY --chmood=1 x y\n", 2, "no flag '--chmood=1'"),
        ("FROM a\nWORKDIR\n", 2, "WORKDIR"),
        ("FROM a\nNONSENSE\n", 2, "unknown instruction"),
        ("FROM a b\n", 1, "FROM takes an image"),
    ],
)
def test_what_a_dockerfile_cannot_say_is_an_error_with_its_line(
    text: str, line: int | None, message: str, context: Path
):
    with pytest.raises(DockerfileSyntaxError, match=message) as caught:
        TemplateBase(context).from_dockerfile(text or "# empty\n")
    assert caught.value.line == line
    assert line is None or f"line {line}:" in str(caught.value)


def test_the_argument_of_from_may_be_given_before_it(context: Path):
    text = "ARG V=3.11\nFROM python:${V}-slim\n"
    assert TemplateBase(context).from_dockerfile(text)._template._base_image == "python:3.11-slim"


def test_files_are_looked_for_beside_the_file_that_asks():
    template = TemplateBase().from_base_image().copy(os.path.basename(__file__), "x")
    assert template._template._file_context_path == os.path.dirname(os.path.abspath(__file__))
    assert '"filesHash"' in TemplateBase.to_json(template)


def test_a_copy_of_nothing_is_an_error(context: Path):
    template = TemplateBase(context).from_base_image().copy("missing", "x")
    with pytest.raises(ValueError, match="COPY takes no file"):
        TemplateBase.to_json(template)


@pytest.mark.parametrize("source", ["/etc/passwd", "../x", "a/../../x", ".."])
def test_a_copy_from_outside_the_context_is_refused(source: str, context: Path):
    with pytest.raises(TemplateException, match="context directory"):
        TemplateBase(context).from_base_image().copy(source, "x")


def test_a_copy_through_a_link_that_leads_out_is_refused(tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("s")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "way").symlink_to("../outside")
    with open(os.devnull, "wb") as nowhere, pytest.raises(TemplateException, match="leads out"):
        Context(str(tmp_path / "context")).write_archive(nowhere, "way/secret", False, None)


@pytest.mark.parametrize("patterns", [["["], ["!"]])
def test_a_pattern_that_is_not_valid_is_an_error(patterns: list[str], context: Path):
    template = TemplateBase(context, patterns).from_base_image().copy(".", "x")
    with pytest.raises(TemplateException, match="ignore pattern"):
        TemplateBase.to_json(template)


def test_patterns_hide_files_and_give_them_back(context: Path):
    names = [
        os.path.relpath(path, context)
        for path in Context(str(context), ("lib/**", "!lib/deep/b.txt", "*.py")).files(".")
    ]
    assert "lib/deep/b.txt" in names
    assert "lib/a.py" not in names
    assert "app.py" not in names
    assert "lib/deep/c.log" not in names


def test_a_registry_needs_both_name_and_password(context: Path):
    with pytest.raises(InvalidArgumentException, match="both"):
        TemplateBase(context).from_image("x", username="me")


def test_a_template_from_a_template_is_no_dockerfile(context: Path):
    with pytest.raises(ValueError, match="'mine'"):
        TemplateBase.to_dockerfile(TemplateBase(context).from_template("mine"))


def test_what_only_e2b_has_says_so(context: Path):
    template = TemplateBase(context).from_base_image()
    with pytest.raises(BuildException, match="E2B's cloud"):
        template.add_mcp_server("exa")
    with pytest.raises(BuildException, match="E2B's cloud"):
        template.beta_dev_container_prebuild("/x")
