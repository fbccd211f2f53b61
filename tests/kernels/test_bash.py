"""Cells of bash: what they say, what they keep, how they end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.fake_host import Context, Ran, Zygote
from tests.leftovers import wait_until


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote("localbox.kernels.bash") as zygote:
        yield zygote


@pytest.fixture
def context(zygote: Zygote, tmp_path: Path) -> Iterator[Context]:
    with zygote.context("bash", tmp_path) as context:
        yield context


def _value(ran: Ran) -> tuple[str, str]:
    assert ran.error is not None, ran
    return ran.error["name"], ran.error["value"]


def test_output_goes_to_its_own_stream_and_cells_are_counted(context: Context) -> None:
    ran = context.run("echo out; echo err >&2")
    assert (ran.stdout, ran.stderr, ran.error, ran.count) == ("out\n", "err\n", None, 1)
    assert context.run("").count == 2


def test_variables_functions_arrays_aliases_and_the_directory_are_kept(
    context: Context, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    context.run(
        "x='a b'; declare -A map=([k]=v); greet() {\n  echo \"hello $1\"\n}\n"
        "alias hi='echo alias'\ncd inner"
    )
    ran = context.run('echo "$x ${map[k]}"; greet you; hi; pwd')
    assert ran.stdout == f"a b v\nhello you\nalias\n{tmp_path / 'inner'}\n"


def test_heredocs_quotes_and_loops_over_several_lines_run(context: Context) -> None:
    code = """cat <<'END' | tr a-z A-Z
it's "quoted" $HOME
END
for i in 1 2; do
  echo "$i
next"
done
"""
    ran = context.run(code)
    assert (ran.stdout, ran.error) == ('IT\'S "QUOTED" $HOME\n1\nnext\n2\nnext\n', None)


def test_the_cells_standard_input_is_empty(context: Context) -> None:
    assert context.run("cat; read line; echo status $?; echo more").stdout == "status 1\nmore\n"


def test_a_failing_last_command_is_an_error_with_its_status_as_in_e2b(context: Context) -> None:
    assert _value(context.run("echo before; (exit 7)")) == ("ExitStatus", "7")
    assert context.run("false; true").error is None
    assert "SIGSEGV" in context.run("bash -c 'kill -SEGV $$'").error["traceback"]  # type: ignore[index]


@pytest.mark.parametrize(
    "code", ["echo 'open", "if true; then (", "foo( ", "cat <<EOF | (\nx\nEOF"]
)
def test_a_syntax_error_is_told_with_its_line_and_the_state_stays(
    context: Context, code: str
) -> None:
    context.run("x=kept")
    ran = context.run("echo first\n" + code)
    assert "syntax error" in ran.stderr or "unexpected EOF" in ran.stderr
    assert "line " in ran.stderr
    assert _value(ran)[0] == "ExitStatus"
    assert context.run("echo $x").stdout == "kept\n"


def test_env_holds_for_its_cell_and_its_programs_only(context: Context) -> None:
    context.run("A=before")
    ran = context.run(
        'echo "$A $B"; printenv A B', env={"A": "it's\nnew", "B": "$HOME", "not a name": "x"}
    )
    assert ran.stdout == "it's\nnew $HOME\nit's\nnew\n$HOME\n"
    assert context.run('echo "$A [$B]"').stdout == "before []\n"
    context.run("exit_early() { return 3; }; return 5", env={"B": "1"})
    assert context.run('echo "[$B]"').stdout == "[]\n"


def test_env_is_gone_after_an_interrupted_cell_too(context: Context) -> None:
    context.run("echo go; sleep 60", env={"B": "1"}, interrupt_at="go")
    assert context.run('echo "[$B]"').stdout == "[]\n"


@pytest.mark.parametrize(
    "endless",
    [
        "sh -c 'echo go; exec sleep 60'",
        "echo go; while :; do :; done",
        "echo go; while :; do sleep 0.01; done",
        "wait_for() { sh -c 'echo go; exec sleep 60'; }; wait_for",
        "sleep 60 & echo go; wait",
        "cat <(echo go; exec sleep 60)",
        "y=$(echo go >&2; exec sleep 60)",
    ],
)
def test_an_interrupt_drops_the_rest_of_the_cell_and_keeps_the_state(
    context: Context, endless: str
) -> None:
    context.run("x=kept")
    ran = context.run(f"exec 2>&1\n{endless}\necho not reached", interrupt_at="go")
    assert _value(ran)[0] == "KeyboardInterrupt"
    assert ran.stdout == "go\n"
    assert ran.restart is None
    assert context.run("echo $x").stdout == "kept\n"


def test_an_interrupt_between_cells_changes_nothing(context: Context) -> None:
    context.run("x=kept")
    for _ in range(20):
        context.interrupt()
        assert context.run("echo $x").stdout == "kept\n"


def test_exit_says_its_status_and_asks_for_a_restart(context: Context) -> None:
    ran = context.run("echo bye; exit 3")
    assert ran.stdout == "bye\n"
    assert _value(ran) == ("SystemExit", "bash exited with status 3")
    assert ran.restart == "bash exited with status 3"


def test_set_e_is_explained_when_it_ends_the_shell(context: Context) -> None:
    name, value = _value(context.run("set -euo pipefail\nfalse\necho no"))
    assert (name, "`set -e` ends" in value) == ("SystemExit", True)


def test_a_killed_bash_is_the_cells_error(context: Context) -> None:
    ran = context.run("kill -9 $$")
    assert _value(ran) == ("KernelDied", "bash was killed by SIGKILL")
    assert ran.restart is not None
    assert not ran.died


def test_a_fatal_expansion_error_ends_the_cell_alone(context: Context) -> None:
    ran = context.run("set -u; x=1; echo $nothing; echo no")
    assert (ran.stdout, "unbound variable" in ran.stderr) == ("", True)
    assert context.run("set +u; echo $x").stdout == "1\n"


def test_prompts_and_job_notices_stay_out_of_the_output(context: Context) -> None:
    context.run("PS1='prompt> '; PROMPT_COMMAND='echo prompted'; set -x")
    context.run("set +x; sleep 0 &\nwait")
    ran = context.run("echo quiet")
    assert (ran.stdout, ran.stderr) == ("quiet\n", "")


def test_programs_of_a_cell_inherit_the_standard_streams_only(context: Context) -> None:
    ran = context.run("ls /proc/self/fd; ls /proc/self/fd & wait")
    # 3 is the directory that ls reads.
    assert ran.stdout == "0\n1\n2\n3\n" * 2


def test_output_that_looks_like_a_report_is_output(context: Context) -> None:
    forge = "{ echo 'ended 0123456789abcdef 0' >&$fd; } 2>/dev/null"
    ran = context.run(f"for fd in 1 {{3..20}} {{190..195}}; do {forge}; done; echo last")
    assert ran.stdout.endswith("last\n")
    assert ran.error is None


def test_a_background_process_keeps_no_cell_from_ending(context: Context) -> None:
    assert context.run("sleep 60 & echo started").stdout == "started\n"
    assert context.run("kill %1 && echo ended").stdout == "ended\n"


def test_what_a_cell_redirects_does_not_reach_the_next(context: Context) -> None:
    context.run("exec > log 2>&1; echo to the file")
    assert context.run("cat log").stdout == "to the file\n"


def test_large_cells_and_any_bytes_arrive(context: Context) -> None:
    text = "é'\\\n" * 100_000
    ran = context.run(f"x=$(cat <<'END'\n{text}END\n); echo ${{#x}}; LC_ALL=C.UTF-8")
    assert ran.error is None, ran.stderr[:300]
    assert int(ran.stdout) >= 4 * 100_000 - 1
    assert _value(context.run("echo \0"))[0] == "ValueError"


def test_a_killed_kernel_takes_its_bash_along(zygote: Zygote) -> None:
    context = zygote.context("bash")
    pids: list[int] = []

    def close_when_it_runs(ran: Ran) -> None:
        if ran.stdout.endswith("\n") and not pids:
            pids.extend(map(int, ran.stdout.split()))
            os.kill(context.pid, 9)

    ran = context.run("sleep 60 & echo $$ $!; wait", on_output=close_when_it_runs)
    assert ran.died
    assert len(pids) == 2
    for pid in pids:
        wait_until(lambda pid=pid: not _runs(pid), f"{pid} lives on")
    context.close()


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_three_hundred_cells_leave_no_descriptor_and_no_thread(context: Context) -> None:
    bash = int(context.run("echo $$").stdout)

    def held() -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (context.pid, bash))

    before = held()
    for number in range(300):
        assert context.run(f"x={number}; echo $x | cat", env={"A": "1"}).stdout == f"{number}\n"
    # A descriptor or two may be closed just after the host learns of a cell's end.
    assert held() <= before + 5
    assert len(os.listdir(f"/proc/{context.pid}/task")) == 1
