"""Templates built on this machine, and the sandboxes made from them."""

from __future__ import annotations

import os
import platform
import sysconfig
import zipfile
from pathlib import Path

import pytest

from localbox import (
    BuildException,
    BuildInfo,
    InvalidArgumentException,
    LogEntry,
    LogEntryEnd,
    LogEntryStart,
    NotFoundException,
    Sandbox,
    Template,
    TemplateBuildStatus,
    TemplateClass,
    TemplateException,
    load_profile,
)
from localbox.engine import layers

pytestmark = pytest.mark.usefixtures("data_dir")


def build(template: TemplateClass, name: str = "mine", **options: object) -> list[str]:
    """Build, and return what the log says."""
    said: list[str] = []
    Template.build(
        template, name, on_build_logs=lambda entry: said.append(entry.message), **options
    )  # type: ignore[arg-type]
    return said


def output(sandbox: Sandbox, command: str) -> str:
    return sandbox.commands.run(command).stdout


def cached(said: list[str]) -> list[str]:
    """The labels of the steps that were not run."""
    return [line.partition(" ")[0] for line in said if line.endswith("(from the cache)")]


def test_a_sandbox_starts_with_what_the_steps_left(context: Path):
    (context / "app.py").write_text("print('copied')")
    build(
        Template(context)
        .from_python_image(".".join(platform.python_version_tuple()[:2]))
        .set_envs({"NAME": "value", "BOTH": "template's", "MORE": "$NAME/more"})
        .set_workdir("/home/user/app")
        .copy("app.py", ".")
        .run_cmd("echo $NAME > made")
    )
    with Sandbox.create("mine", envs={"BOTH": "create's"}) as sandbox:
        assert output(sandbox, "pwd; python app.py; cat made; echo $NAME $BOTH $MORE") == (
            "/home/user/app\ncopied\nvalue\nvalue create's value/more\n"
        )
        assert sandbox.commands.run_python("import os; print(os.getcwd())").stdout == (
            "/home/user/app\n"
        )
        assert sandbox.get_info().name == "mine"


def test_sandboxes_of_a_template_do_not_see_each_other():
    build(Template().from_base_image().run_cmd("echo first > file"))
    with Sandbox.create("mine") as one, Sandbox.create("mine") as other:
        one.files.write("file", "changed")
        one.files.write("new", "")
        assert other.files.read("file") == "first\n"
        assert not other.files.exists("new")


def test_no_network_comes_with_a_template_that_was_built_with_it():
    build(Template().from_base_image().run_cmd("ls /sys/class/net; true"))
    with Sandbox.create("mine") as sandbox:
        assert sandbox.policy.network.mode == "loopback"
        assert "network-namespace" in sandbox.isolation


def test_the_profile_of_create_wins_over_the_template_s():
    build(Template().from_base_image().run_cmd("touch file"), memory_mb=512)
    with Sandbox.create("mine") as sandbox:
        assert sandbox.policy.resources.memory_bytes == 512 << 20
    with Sandbox.create("mine", profile="trusted") as sandbox:
        assert sandbox.policy.name == "trusted"
        assert sandbox.files.exists("file")


def test_directories_at_the_top_are_the_template_s_own(context: Path):
    (context / "f").write_text("f")
    build(
        Template(context)
        .from_base_image()
        .set_workdir("/app")
        .copy("f", "/data/in/")
        .run_cmd("mkdir -p /srv/www && echo s > /srv/www/s && touch here")
    )
    with Sandbox.create("mine") as sandbox:
        assert output(sandbox, "pwd; ls; ls /data/in; cat /srv/www/s; touch more") == (
            "/app\nhere\nf\ns\n"
        )


def test_a_step_that_was_built_before_is_not_run_again(context: Path):
    (context / "a").write_text("1")
    template = (
        Template(context).from_base_image().run_cmd("echo one").copy("a", "a").run_cmd("cat a")
    )
    assert cached(build(template)) == []
    assert cached(build(template, "other")) == ["[1/3]", "[2/3]", "[3/3]"]
    (context / "a").write_text("2")
    said = build(template)
    assert cached(said) == ["[1/3]"]
    assert "[3/3] [stdout]: 2" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.set_envs({"A": "2"}).run_cmd("true"),
        lambda t: t.set_workdir("/tmp").run_cmd("true"),
        lambda t: t.set_user("root").run_cmd("true"),
    ],
    ids=["variable", "directory", "user"],
)
def test_what_a_command_depends_on_has_it_run_again(change: object):
    build(Template().from_base_image().set_envs({"A": "1"}).run_cmd("true"))
    said = build(change(Template().from_base_image().set_envs({"A": "1"})))  # type: ignore[operator]
    assert "[3/3]" not in cached(said)


def test_the_cache_is_skipped_from_where_it_is_asked_for():
    build(Template().from_base_image().run_cmd("echo a").run_cmd("echo b").run_cmd("echo c"))
    template = Template().from_base_image().run_cmd("echo a").skip_cache().run_cmd("echo b")
    assert cached(build(template.run_cmd("echo c"))) == ["[1/3]"]
    assert cached(build(template)) == ["[1/3]"]
    assert cached(build(template, skip_cache=True)) == []


def test_a_command_that_fails_ends_the_build_and_says_which_and_why():
    template = (
        Template()
        .from_base_image()
        .run_cmd("echo one")
        .run_cmd("for i in $(seq 30); do echo line $i; done; echo oh no >&2; exit 3")
    )
    with pytest.raises(BuildException) as caught:
        build(template)
    message = str(caught.value)
    assert message.startswith("step 2 of 2 (test_build.py:")
    assert "RUN for i in" in message
    assert "exit code 3" in message
    assert "line 30" in message
    assert "oh no" in message
    assert "line 5\n" not in message
    assert not Template.exists("mine")
    with pytest.raises(NotFoundException, match="no build of it has succeeded"):
        Sandbox.create("mine")
    # What was right is not done again.
    fixed = Template().from_base_image().run_cmd("echo one").run_cmd("echo two")
    assert cached(build(fixed)) == ["[1/2]"]


def test_a_failed_build_leaves_the_template_as_it_was():
    build(Template().from_base_image().run_cmd("echo good > file"))
    with pytest.raises(BuildException):
        build(Template().from_base_image().run_cmd("echo bad > file; false"))
    with Sandbox.create("mine") as sandbox:
        assert sandbox.files.read("file") == "good\n"


def test_a_failed_step_leaves_no_layer():
    build(Template().from_base_image().run_cmd("echo one"))
    before = {stack.layer_id for stack in layers.stacks("template")}
    with pytest.raises(BuildException):
        build(Template().from_base_image().run_cmd("echo one").run_cmd("touch file; false"))
    assert {stack.layer_id for stack in layers.stacks("template")} == before


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (lambda t: t.apt_install("vim"), "install it on the host|Install it on the host"),
        (lambda t: t.run_cmd("touch /usr/x"), "read-only"),
        (lambda t: t.copy("f", "/usr/local/bin/f"), "cannot copy to /usr/local/bin/f"),
        (lambda t: t.set_user("nobody-here"), "there is no user 'nobody-here'"),
        (lambda t: t.run_cmd("true", user="postgres"), "there is no user 'postgres'"),
        (lambda t: t.copy("missing", "x"), "COPY takes no file"),
        (lambda t: t.set_workdir("/usr/app"), "/usr/app"),
    ],
    ids=["apt", "usr", "copy to usr", "user", "user of a command", "no file", "directory"],
)
def test_what_cannot_be_built_says_why(template: object, message: str, context: Path):
    (context / "f").write_text("")
    with pytest.raises(BuildException, match=message):
        build(template(Template(context).from_base_image()))  # type: ignore[operator]


@pytest.mark.parametrize(
    "template",
    [
        lambda t: t.from_python_image("2.7"),
        lambda t: t.from_image("postgres:16"),
        lambda t: t.from_node_image("4"),
        lambda t: t.from_aws_registry("i", "k", "s", "r"),
        lambda t: t.from_dockerfile("FROM golang:1.22\nRUN go version\n"),
    ],
    ids=["python", "other", "node", "registry", "dockerfile"],
)
def test_an_image_that_is_not_here_is_an_error_that_says_what_is(template: object):
    with pytest.raises(BuildException, match=r"from_python_image|python:3"):
        build(template(Template()))  # type: ignore[operator]


def test_a_template_stands_on_another_one():
    below = Template().from_base_image().set_workdir("/app").set_envs({"A": "1"})
    build(below.run_cmd("echo below > file"), "below:v1")
    build(Template().from_template("below:v1").run_cmd("cp file copy; echo $A > a"), "above")
    with Sandbox.create("above") as sandbox:
        assert output(sandbox, "pwd; cat copy a; echo $A") == "/app\nbelow\n1\n1\n"
    with pytest.raises(BuildException, match="did you mean 'below'"):
        build(Template().from_template("belov").run_cmd("true"), "third")


def test_a_tall_template_is_built():
    template = Template().from_base_image()
    for number in range(14):
        template.run_cmd(f"echo {number} >> file")
    build(template)
    with Sandbox.create("mine") as sandbox:
        assert sandbox.files.read("file").split() == [str(number) for number in range(14)]


@pytest.mark.skipif(
    not os.access(sysconfig.get_path("purelib"), os.W_OK),
    reason="the Python environment is another user's",
)
def test_a_package_is_installed(context: Path):
    with zipfile.ZipFile(context / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "answer = 42")
        wheel.writestr(
            "tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0"
        )
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    build(
        Template(context)
        .from_base_image()
        .copy("*.whl", "/tmp/")
        .pip_install("--no-index --no-deps /tmp/tiny-1.0-py3-none-any.whl")
    )
    assert not os.path.exists(os.path.join(sysconfig.get_path("purelib"), "tiny.py"))
    with Sandbox.create("mine") as sandbox:
        assert sandbox.commands.run_python("import tiny; print(tiny.answer)").stdout == "42\n"
        assert sandbox.run_code("import tiny; tiny.answer").text == "42"
        assert output(sandbox, "python -c 'import tiny; print(tiny.answer)'") == "42\n"


def test_the_address_of_the_user_s_index_stays_with_the_build(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
):
    address = "https://user:secret-word@index.example/simple"
    monkeypatch.setenv("PIP_INDEX_URL", address)
    said = build(Template().from_base_image().run_cmd('[ -n "$PIP_INDEX_URL" ] && echo it is here'))
    assert "[1/1] [stdout]: it is here" in said
    with Sandbox.create("mine") as sandbox:
        assert "secret-word" not in output(sandbox, "env")
    kept = [path.read_bytes() for path in data_dir.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"secret-word" in content for content in kept)


def test_a_dockerfile_is_built(context: Path):
    (context / "lib").mkdir()
    (context / "lib" / "mod.py").write_text("print('in the library')")
    (context / "serve.sh").write_text("echo started > /app/started; exec sleep 1000")
    (context / "notes.log").write_text("")
    (context / ".dockerignore").write_text("*.log\n")
    (context / "Dockerfile").write_text(
        """\
ARG PYTHON=3
FROM python:${PYTHON}-slim
ARG GREETING=hello
ENV DIR=/app \\
    WORDS="two words"
WORKDIR $DIR
COPY --chmod=755 serve.sh .
COPY . $DIR/all
COPY <<EOF greeting
$GREETING there
EOF
RUN python all/lib/mod.py > said && echo "$WORDS" >> said
EXPOSE 80
CMD ["./serve.sh"]
"""
    )
    build(Template(context).from_dockerfile(str(context / "Dockerfile")))
    with Sandbox.create("mine") as sandbox:
        said = output(sandbox, "pwd; cat /app/said /app/greeting")
        assert said == "/app\nin the library\ntwo words\nhello there\n"
        assert output(sandbox, "ls -A /app/all").split() == [
            ".dockerignore",
            "Dockerfile",
            "lib",
            "serve.sh",
        ]
        assert [process.args[-1] for process in sandbox.commands.list()] == ["./serve.sh"]


def test_a_build_tells_its_log_and_its_status():
    entries: list[LogEntry] = []
    info = Template.build(
        Template().from_base_image().run_cmd("printf '\\033[31mred\\033[0m\\n'; printf 'a\\rb'"),
        "mine",
        tags=["v1"],
        on_build_logs=entries.append,
    )
    assert isinstance(entries[0], LogEntryStart)
    assert isinstance(entries[-1], LogEntryEnd)
    messages = [entry.message for entry in entries]
    assert "[1/1] [stdout]: red" in messages
    assert "[1/1] [stdout]: b" in messages
    status = Template.get_build_status(info)
    assert status.status is TemplateBuildStatus.READY
    assert [entry.message for entry in status.log_entries] == messages[1:-1]
    rest = Template.get_build_status(info, logs_offset=2).log_entries
    assert [entry.message for entry in rest] == messages[3:-1]
    with pytest.raises(NotFoundException):
        Template.get_build_status(BuildInfo(info.template_id, "other", "mine", "mine"))


def test_a_failed_build_has_a_reason():
    with pytest.raises(BuildException):
        build(Template().from_base_image().run_cmd("true").run_cmd("exit 9"))
    from localbox.templates import registry

    template = registry.get("mine")
    (failed,) = template.builds
    status = Template.get_build_status(BuildInfo(template.template_id, failed, "mine", "mine"))
    assert status.status is TemplateBuildStatus.ERROR
    assert status.reason is not None
    assert status.reason.step == "2"
    assert "exit code 9" in status.reason.message
    assert status.reason.log_entries[-1].level == "error"


def test_tags_name_builds():
    build(Template().from_base_image().run_cmd("echo 1 > version"), "mine:v1", tags=["stable"])
    build(Template().from_base_image().run_cmd("echo 2 > version"), "mine")
    assert [tag.tag for tag in Template.get_tags("mine")] == ["default", "stable", "v1"]
    for name, version in [("mine", "2\n"), ("mine:stable", "1\n"), ("MINE:v1", "1\n")]:
        with Sandbox.create(name) as sandbox:
            assert sandbox.files.read("version") == version
    info = Template.assign_tags("mine:v1", ["default", "old"])
    assert info.tags == ["default", "old"]
    with Sandbox.create("mine") as sandbox:
        assert sandbox.files.read("version") == "1\n"
    Template.remove_tags("mine", "old")
    with pytest.raises(
        NotFoundException, match="has no tag 'old'; its tags are default, stable, v1"
    ):
        Sandbox.create("mine:old")
    with pytest.raises(NotFoundException, match="has no tag"):
        Template.remove_tags("mine", ["old"])
    with pytest.raises(NotFoundException):
        Template.assign_tags("nothing", "x")


def test_names_are_resolved_or_a_near_one_is_suggested():
    info = Template.build(Template().from_base_image().run_cmd("echo t > file"), "team/my-app")
    assert Template.exists("team/my-app")
    assert Template.exists("base")
    assert not Template.exists("team/my-ap")
    with Sandbox.create(info.template_id) as sandbox:
        assert sandbox.files.read("file") == "t\n"
    with pytest.raises(NotFoundException, match="did you mean 'team/my-app'"):
        Sandbox.create("team/my-ap")


@pytest.mark.parametrize("name", ["", None])
def test_a_template_needs_a_name(name: str | None):
    with pytest.raises(TemplateException):
        Template.build(Template().from_base_image(), name)


@pytest.mark.parametrize("name", ["../x", "a b", "base", "x:", "code-interpreter-v1", "a/b/c", "-"])
def test_a_name_that_cannot_be_is_refused(name: str, data_dir: Path):
    with pytest.raises(InvalidArgumentException):
        Template.build(Template().from_base_image(), name)
    assert not list(data_dir.rglob("*.json"))


def test_the_profile_can_be_chosen_and_its_network_cannot():
    said = build(Template().from_base_image().run_cmd("ulimit -n"), profile=load_profile("strict"))
    assert any(line.startswith("[1/1] [stdout]: ") for line in said)


def test_a_build_of_another_process_is_seen(data_dir: Path):
    import subprocess
    import sys

    info = Template.build(Template().from_base_image().run_cmd("echo x > file"), "mine")
    program = (
        "import sys\nfrom localbox import Sandbox, Template\n"
        "with Sandbox.create('mine') as s: print(s.files.read('file'), Template.exists('mine'))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["x", "True"]
    assert info.tags == ["default"]


def test_a_fork_of_a_sandbox_is_as_it_is():
    build(Template().from_base_image().set_workdir("/app").set_envs({"A": "1"}).run_cmd("touch f"))
    with Sandbox.create("mine") as sandbox:
        sandbox.files.write("/app/g", "")
        (fork,) = sandbox.fork()
        assert isinstance(fork, Sandbox)
        with fork:
            assert output(fork, "pwd; ls; echo $A") == "/app\nf\ng\n1\n"


def test_a_snapshot_of_a_sandbox_has_the_template_s_files():
    build(Template().from_base_image().set_workdir("/app").run_cmd("touch f"))
    with Sandbox.create("mine") as sandbox:
        sandbox.files.write("/app/g", "")
        snapshot = sandbox.create_snapshot()
    Template.remove_tags("mine", "default")
    with Sandbox.create(snapshot.snapshot_id) as sandbox:
        assert output(sandbox, "ls /app") == "f\ng\n"


def test_a_build_whose_program_was_killed_has_failed():
    from localbox.templates import registry

    begun = registry.begin("killed")
    status = Template.get_build_status(
        BuildInfo(begun.template_id, begun.build_id, "killed", "killed")
    )
    assert status.status is TemplateBuildStatus.ERROR
    assert status.reason is not None
    assert "has ended before" in status.reason.message


def test_builds_of_long_ago_are_forgotten_and_tagged_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
):
    from localbox.templates import registry

    monkeypatch.setattr(registry, "MOST_BUILDS", 2)
    build(Template().from_base_image().run_cmd("true"), "mine:kept")
    for _ in range(5):
        build(Template().from_base_image().run_cmd("true"))
    template = registry.get("mine")
    assert len(template.builds) <= 2 + 2
    assert {build_id for build_id, _since in template.tags.values()} <= set(template.builds)


def test_what_no_template_needs_is_removed_and_what_one_needs_is_not():
    from localbox.templates import cache, registry

    build(Template().from_base_image().run_cmd("echo a > f").run_cmd("echo b > g"), "one")
    build(Template().from_base_image().run_cmd("echo a > f").run_cmd("echo c > h"), "two")
    registry.remove("one")
    assert cache.prune() == 1
    with Sandbox.create("two") as sandbox:
        assert output(sandbox, "cat f h") == "a\nc\n"
    said = build(Template().from_base_image().run_cmd("echo a > f").run_cmd("echo b > g"), "one")
    assert cached(said) == ["[1/2]"]


@pytest.mark.parametrize(
    "start",
    [
        lambda t: t.from_template("code-interpreter-v1"),
        lambda t: t.from_image("e2bdev/code-interpreter:latest"),
    ],
    ids=["template", "image"],
)
def test_a_template_on_the_interpreter_s_has_its_profile(start: object):
    build(start(Template()).run_cmd("echo x > file"))  # type: ignore[operator]
    with Sandbox.create("code-interpreter-v1") as plain, Sandbox.create("mine") as sandbox:
        assert sandbox.policy.name == plain.policy.name
        assert sandbox.files.read("file") == "x\n"


def test_values_are_expanded_as_a_dockerfile_s_are():
    template = (
        Template()
        .from_base_image()
        .set_envs({"A": "a", "PATH": "/app/bin:$PATH", "HERE": "$HOME", "NONE": "<$UNSET>"})
        .set_envs({"B": "${A}b", "C": "${UNSET:-c}", "D": "${A:+d}", "E": r"\$A"})
        .set_workdir("$HERE/$B")
        .run_cmd('echo "$B $C $D $E $NONE" && pwd && echo ${PATH%%:*}')
    )
    said = [line.partition("]: ")[2] for line in build(template) if "[stdout]" in line]
    assert said == ["ab c d $A <>", "/home/user/ab", "/app/bin"]


def test_places_that_dockerfiles_like_are_there(context: Path):
    (context / "f").write_text("f")
    build(
        Template(context)
        .from_base_image()
        .copy("f", "/usr/src/app/")
        .copy("f", "/var/www/html/index.html")
        .copy("f", "/etc/my-app/my.conf")
        .copy("f", "/root/.config/f")
        .copy("f", "/home/me/")
        .copy("f", "/opt/tool/renamed")
        .run_cmd("cp /usr/src/app/f /workspace/f2 2> /dev/null || cp /usr/src/app/f /workspace/d")
    )
    with Sandbox.create("mine") as sandbox:
        found = output(
            sandbox,
            "ls /usr/src/app /var/www/html /etc/my-app /root/.config /home/me /opt/tool /workspace;"
            "python -c 'import yaml, ssl' && cat /etc/passwd | wc -l",
        )
    assert " ".join(found.split()) == (
        "/etc/my-app: my.conf /home/me: f /opt/tool: renamed /root/.config: f /usr/src/app: f "
        "/var/www/html: index.html /workspace: f2 3"
    )
