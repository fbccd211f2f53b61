"""`localbox run`: exit codes, bytes as they are, words as they are."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from tests.cli.command import ARGV, PATIENCE_S, complaint, environment, localbox


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_commands(code):
    assert localbox("run", "--", "sh", "-c", f"exit {code}").returncode == code


def test_a_signal_becomes_128_and_its_number():
    assert localbox("run", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert localbox("run", "--", "sh", "-c", "kill -15 $$").returncode == 128 + 15


def test_a_command_that_does_not_exist_is_127():
    result = localbox("run", "--", "no-such-command")
    assert result.returncode == 127
    assert b"no-such-command: not found" in result.stderr


def test_a_timeout_is_124_with_a_message_and_keeps_what_was_printed():
    result = localbox("run", "--timeout", "0.5", "--", "sh", "-c", "echo before; sleep 1000")
    assert (result.returncode, result.stdout) == (124, b"before\n")
    assert complaint(result) == "localbox: timeout: killed after 0.5 s"


def test_a_command_within_its_timeout_is_left_alone():
    assert localbox("run", "--timeout", "45", "--", "true").returncode == 0


def test_the_profiles_wall_time_is_124_too(tmp_path):
    profile = tmp_path / "short.yaml"
    profile.write_text("resources: {wall_time: 500ms}\n")
    result = localbox("run", "--profile", str(profile), "--", "sleep", "1000")
    assert result.returncode == 124
    assert complaint(result).endswith("resources.wall_time of profile short is 0.5 s")


def test_bytes_come_through_as_they_are():
    write_all = "import sys; sys.{0}.buffer.write(bytes(range(256)))"
    everything = bytes(range(256))
    result = localbox("run", "--", "python3", "-c", write_all.format("stdout"))
    assert (result.stdout, result.stderr) == (everything, b"")
    result = localbox("run", "--", "python3", "-c", write_all.format("stderr"))
    assert (result.stdout, result.stderr) == (b"", everything)


def test_words_reach_the_command_as_they_are():
    words = ["$HOME", "two words", "*", "~", "a;b", "'", '"', "--profile", "", "é"]
    result = localbox("run", "--", "printf", r"%s\n", *words)
    assert result.stdout.decode().split("\n")[:-1] == words


@pytest.mark.parametrize("word", ["if", "A=1", "!", "{"])
def test_the_first_word_is_a_program_and_never_the_shells(word):
    assert localbox("run", "--", word).returncode == 127


def test_options_after_the_first_word_are_the_commands():
    assert localbox("run", "printf", "%s", "--json").stdout == b"--json"


def test_env_and_cwd_are_the_commands():
    words = ("--env", "FLAVOUR=a=b", "-e", "EMPTY=", "--cwd", "/tmp")
    script = 'echo "$FLAVOUR,${EMPTY-unset},$PWD"'
    assert localbox("run", *words, "--", "sh", "-c", script).stdout == b"a=b,,/tmp\n"


def test_the_hosts_environment_stays_outside():
    result = localbox("run", "--", "env", env=environment(LOCALBOX_TEST_SECRET="hidden"))
    assert result.returncode == 0
    assert b"hidden" not in result.stdout


def test_json_is_one_object_and_the_exit_code_stays():
    result = localbox("run", "--json", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert result.returncode == 3
    assert json.loads(result.stdout) == {
        "stdout": "out\n",
        "stderr": "err\n",
        "exit_code": 3,
        "error": "exit status 3",
    }
    assert result.stderr == b""


def test_json_after_a_timeout_holds_what_was_printed():
    words = ("run", "--json", "--timeout", "0.5", "--", "sh", "-c", "echo out; sleep 1000")
    result = localbox(*words)
    printed = json.loads(result.stdout)
    assert (result.returncode, printed["exit_code"], printed["stdout"]) == (124, 124, "out\n")
    assert printed["error"] == "timeout: killed after 0.5 s"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--profile", "defualt"), 'did you mean "default"'),
        (("--profile", "./none.yaml"), "none.yaml"),
        (("--cwd", "/nowhere"), "cwd '/nowhere' does not exist"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_1(words, message):
    result = localbox("run", *words, "--", "true")
    assert result.returncode == 1
    assert complaint(result).startswith("localbox: ")
    assert message in complaint(result)


def test_a_bad_key_in_a_profile_is_one_line_with_the_place(tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("resources:\n  memroy: 1GiB\n")
    result = localbox("run", "-p", str(profile), "--", "true")
    assert result.returncode == 1
    assert "mine.yaml" in complaint(result)
    assert "memory" in complaint(result)


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "--"),
        ("run", "--env", "NAME", "--", "true"),
        ("run", "--timeout", "-1", "--", "true"),
        ("run", "--timeout", "nan", "--", "true"),
        ("run", "--timeout", "inf", "--", "true"),
        ("run", "--timeout", "soon", "--", "true"),
        ("run", "--no-such-option", "--", "true"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_is_exit_code_2_without_a_traceback(words):
    result = localbox(*words)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"Usage:" in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        ("<&-", b"out\n", b"err\n"),
        (">&-", b"", b"err\n"),
        ("2>&-", b"out\n", b""),
        ("<&- >&- 2>&-", b"", b""),
    ],
)
def test_closed_standard_streams_do_no_harm(closed, out, err):
    # Were a descriptor of ours to become 0, 1 or 2, the command's output would go into a socket.
    command = f"{shlex.join(ARGV)} run -- sh -c 'cat; echo out; echo err >&2; exit 9' {closed}"
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (9, out, err)


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(name):
    code = f"import sys; sys.modules[{name!r}] = None; from localbox.cli import main; main()"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment(), capture_output=True, check=False)
    assert result.returncode == 1
    assert 'pip install "localbox[cli]"' in complaint(result)


def test_version_and_profiles_are_told():
    import localbox as package

    assert localbox("--version").stdout.decode() == f"localbox {package.__version__}\n"
    lines = localbox("profiles").stdout.decode().splitlines()
    listed = dict(line.split(maxsplit=1) for line in lines)
    assert {"default", "strict", "data-analysis", "trusted"} <= set(listed)
    assert listed["strict"] == "For running what a stranger handed in"
