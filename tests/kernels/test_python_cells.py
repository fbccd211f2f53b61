"""How cells of the Python kernel run: magics, programs, errors, interrupts, the environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.fake_host import Context, Zygote

pytest.importorskip("IPython")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote("localbox.kernels.python") as zygote:
        yield zygote


@pytest.fixture
def context(zygote: Zygote, tmp_path: Path) -> Iterator[Context]:
    with zygote.context(cwd=tmp_path) as context:
        yield context


def test_magics_work(context: Context, tmp_path: Path) -> None:
    assert context.run("%pwd").text == str(tmp_path)
    context.run("%%writefile a.py\nb = 5\nprint(__name__)")
    assert context.run("%run a.py").stdout == "__main__\n"
    assert context.run("b").text == "5"
    assert "Wall time" in context.run("%%time\n1").stdout
    assert context.run("%%capture out\nprint('a')").events == []
    assert context.run("out.stdout").text == "a\\n"
    assert "number of items" in context.run("len?").stdout
    assert "loop" in context.run("%timeit -n1 -r1 1").stdout


def test_a_shell_command_writes_straight_to_the_streams(context: Context) -> None:
    ran = context.run(
        "print('before')\nx = 'a b'\n!echo {x} && echo e >&2 && exit 3\nprint(_exit_code)"
    )
    assert ran.stdout == "before\na b\n3\n"
    assert ran.stderr == "e\n"
    assert ran.error is None


def test_what_a_shell_command_writes_can_be_assigned(context: Context) -> None:
    ran = context.run("x = !echo a; echo b >&2\nx")
    assert ran.main["text"] == "['a', 'b']"
    assert ran.stdout == ""


def test_a_bash_cell_runs_and_its_failure_is_the_cells(context: Context) -> None:
    ran = context.run("%%bash\nx=5\necho $((x + 1))\nexit 4")
    assert ran.stdout == "6\n"
    assert ran.error["name"] == "CalledProcessError"


def test_pip_is_the_interpreters_own(context: Context) -> None:
    assert context.run("%pip --version").stdout.startswith("pip ")


def test_await_works_at_the_top_of_a_cell(context: Context) -> None:
    code = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nawait f()"
    assert context.run(code).text == "5"
    assert context.run("asyncio.run(f())").text == "5"


def test_an_error_has_name_value_and_the_users_frames_only(context: Context) -> None:
    context.run("def f(x):\n    return 1 / x")
    error = context.run("f(0)").error
    assert (error["name"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert "Cell In[1], line 2" in error["traceback"]
    assert "Cell In[2], line 1" in error["traceback"]
    assert "\x1b" not in error["traceback"]
    assert "/IPython/" not in error["traceback"]
    assert "/localbox/" not in error["traceback"]


@pytest.mark.parametrize(
    "code",
    [
        "await f()",
        "get_ipython().run_line_magic('run', 'missing.py')",
        "%no_such_magic",
        "display(A())",
        "import IPython.display; IPython.display.Image('missing.png')",
        "input()",
    ],
)
def test_no_frame_of_the_shell_is_in_what_a_cell_tells(context: Context, code: str) -> None:
    context.run("async def f():\n    raise ValueError\nclass A:\n    def __repr__(self): 1 / 0\n")
    ran = context.run(code)
    told = ran.stderr + str(ran.error)
    assert "Error" in told
    assert "/IPython/" not in told
    assert "/localbox/" not in told


def test_a_syntax_error_names_the_line_and_points_at_the_place(context: Context) -> None:
    error = context.run("x = 1\ny = = 2").error
    assert error["name"] == "SyntaxError"
    assert error["value"] == "invalid syntax (Cell In[1], line 2)"
    assert error["traceback"].splitlines()[:3] == [
        "  Cell In[1], line 2",
        "    y = = 2",
        "        ^",
    ]


@pytest.mark.parametrize("code", ["if x:", "%%bash", "(", "'abc", "return 5", "\x00", "  x\n y"])
def test_code_that_is_none_fails_and_the_next_cell_runs(context: Context, code: str) -> None:
    context.run(code)
    assert context.run("1 + 1").text == "2"


def test_errors_in_a_group_are_all_told(context: Context) -> None:
    error = context.run("raise ExceptionGroup('g', [ValueError('one'), KeyError('two')])").error
    assert error["name"] == "ExceptionGroup"
    assert "ValueError: one" in error["traceback"]
    assert "/IPython/" not in error["traceback"]


def test_an_error_without_readable_text_is_still_told(context: Context) -> None:
    ran = context.run("class E(Exception):\n    def __str__(self): 1 / 0\nraise E")
    assert ran.error["name"] == "E"
    assert context.run("1").text == "1"


def test_an_error_the_cell_shows_itself_does_not_end_it(context: Context) -> None:
    code = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()\n5"
    ran = context.run(code)
    assert (ran.text, ran.error) == ("5", None)
    assert "ZeroDivisionError" in ran.stderr


@pytest.mark.parametrize(
    ("code", "value"),
    [("exit", ""), ("quit()", ""), ("exit(3)", "3"), ("import sys; sys.exit('a')", "a")],
)
def test_ending_the_interpreter_asks_for_a_restart(context: Context, code: str, value: str) -> None:
    ran = context.run(code)
    assert (ran.error["name"], ran.error["value"]) == ("SystemExit", value)
    assert ran.restart == "the cell ended the interpreter (SystemExit)"
    assert ran.stderr == ""


INTERRUPTIBLE = {
    "a loop": "print('on')\nwhile True: pass",
    "a sleep": "import time\nprint('on')\ntime.sleep(60)",
    "an await": "import asyncio\nprint('on')\nawait asyncio.sleep(60)",
    "a command": "!echo on; sleep 61; echo survived",
    "a captured command": "print('on')\nx = !sleep 61; echo survived",
    "a bash cell": "%%bash\necho on; sleep 61; echo survived",
    "a handler of its own": "import signal, time\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\nprint('on')\ntime.sleep(60)",
}


@pytest.mark.parametrize("what", INTERRUPTIBLE)
def test_an_interrupt_ends_the_cell_and_keeps_the_state(context: Context, what: str) -> None:
    context.run("x = 5")
    ran = context.run(INTERRUPTIBLE[what], interrupt_at="on")
    assert (ran.error["name"], ran.error["value"]) == ("KeyboardInterrupt", "")
    assert "/IPython/" not in ran.error["traceback"]
    after = context.run("await __import__('asyncio').sleep(0)\nx")
    assert (after.text, after.stdout) == ("5", "")
    assert context.run("!pgrep -s 0 -r R,S,D -x sleep").stdout == ""


def test_an_ignored_interrupt_is_taken_back_for_the_next_cell(context: Context) -> None:
    context.run("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);")
    ran = context.run("print('on')\nimport time; time.sleep(60)", interrupt_at="on")
    assert ran.error["name"] == "KeyboardInterrupt"


def test_reading_input_says_what_to_do_instead(context: Context) -> None:
    for code in ("input('name?')", "import sys; sys.stdin.readline()", "next(iter(sys.stdin))"):
        error = context.run(code).error
        assert error["name"] == "StdinNotImplementedError"
        assert "not supported in a cell" in error["value"]


def test_variables_of_the_environment_hold_for_one_cell(context: Context) -> None:
    context.run("import os\nos.environ['KEPT'] = 'old'")
    code = "os.environ['KEPT'] + os.environ['NEW']"
    assert context.run(code, {"KEPT": "a", "NEW": "b"}).text == "ab"
    assert context.run("!echo $NEW", {"NEW": "b"}).stdout == "b\n"
    assert context.run("os.environ['KEPT'], 'NEW' in os.environ").text == "('old', False)"
    context.run("1 / 0", {"NEW": "b"})
    assert context.run("'NEW' in os.environ").text == "False"


def test_an_impossible_variable_fails_the_cell(context: Context) -> None:
    assert context.run("1", {"A": "\x00"}).error["name"] == "ValueError"
    assert context.run("1").text == "1"
