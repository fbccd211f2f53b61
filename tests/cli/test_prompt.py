"""`localbox code` on a terminal: cells are typed, run and shown one by one."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.cli.command import start, without_module
from tests.cli.terminal import Terminal

pytest.importorskip("IPython")

ENTER, CTRL_C, CTRL_D = "\r", "\x03", "\x04"


@pytest.fixture(params=["xterm", "dumb"])
def prompt(request, tmp_path):
    """A prompt, on a terminal that can be drawn on and on one that cannot."""
    with Terminal("code", cwd=tmp_path, term=request.param) as terminal:
        terminal.expect("In [1]: ")
        yield terminal


def test_a_result_is_shown_and_its_state_is_kept(prompt):
    prompt.type("x = 6" + ENTER)
    assert "Out[" not in prompt.expect("In [2]: ")
    prompt.type("x * 7" + ENTER)
    prompt.expect("Out[2]: 42")
    prompt.expect("In [3]: ")


def test_a_block_goes_on_until_an_empty_line(prompt):
    # The dumb terminal indents nothing; the other one does, and takes back what is too much.
    prompt.type("for i in range(2): print('line', i * 10)" + ENTER)
    prompt.expect("line 10")
    prompt.expect("In [2]: ")
    prompt.type("if True:" + ENTER)
    prompt.expect("...:")
    prompt.type(" print(6 * 7)" + ENTER)
    prompt.expect("...:")
    prompt.type(ENTER)
    prompt.expect("42")
    prompt.expect("In [3]: ")


def test_output_comes_while_the_cell_runs(prompt):
    prompt.type("!echo first | tr a-z A-Z; sleep 1000" + ENTER)
    prompt.expect("FIRST")
    prompt.type(CTRL_C)
    prompt.expect("In [2]: ")


def test_ctrl_c_interrupts_the_cell_and_not_the_session(prompt):
    prompt.type("x = 6" + ENTER)
    prompt.expect("In [2]: ")
    prompt.type("print('run' + 'ning'); import time; time.sleep(1000)" + ENTER)
    prompt.expect("running")
    prompt.type(CTRL_C)
    prompt.expect("KeyboardInterrupt")
    prompt.expect("In [3]: ")
    prompt.type("x * 7" + ENTER)
    prompt.expect("Out[3]: 42")


def test_ctrl_c_stops_a_flood_of_output(prompt):
    prompt.type("while True: print('water')" + ENTER)
    prompt.expect("water\nwater\n")
    prompt.type(CTRL_C)
    prompt.expect("KeyboardInterrupt")
    prompt.expect("In [2]: ")
    prompt.type("6 * 7" + ENTER)
    prompt.expect("Out[2]: 42")


def test_a_signal_ends_it(prompt):
    prompt.send_signal(signal.SIGTERM)
    assert prompt.wait() == 128 + signal.SIGTERM


def test_it_ends_when_its_terminal_is_closed(prompt):
    prompt.hang_up()
    assert prompt.wait() != 0


def test_ctrl_c_drops_what_was_typed(prompt):
    prompt.type("print('dropped')" + CTRL_C)
    prompt.expect("In [1]: ")
    prompt.type("6 * 7" + ENTER)
    assert "Out[1]: 42" in prompt.expect("In [2]: ")


def test_an_error_shows_its_traceback_and_the_session_goes_on(prompt):
    prompt.type("1 / 0" + ENTER)
    prompt.expect("Cell In[1], line 1")
    prompt.expect("ZeroDivisionError: division by zero")
    prompt.expect("In [2]: ")
    prompt.type("6 * 7" + ENTER)
    prompt.expect("Out[2]: 42")


@pytest.mark.parametrize("farewell", [CTRL_D, "exit" + ENTER, "quit()" + ENTER])
def test_it_ends_with_0(tmp_path, farewell):
    with Terminal("code", cwd=tmp_path) as prompt:
        prompt.expect("In [1]: ")
        prompt.type(farewell)
        assert prompt.wait() == 0


def test_enter_on_the_last_line_of_what_was_recalled_runs_it_again(tmp_path):
    with Terminal("code", cwd=tmp_path) as prompt:
        prompt.expect("In [1]: ")
        prompt.type("6 * 7" + ENTER)
        prompt.expect("Out[1]: 42")
        prompt.expect("In [2]: ")
        prompt.type("\x1b[A" + ENTER)  # the arrow up
        prompt.expect("Out[2]: 42")


def test_without_prompt_toolkit_lines_are_read_one_by_one(tmp_path):
    hidden = without_module("prompt_toolkit", tmp_path)
    with Terminal("code", "-l", "bash", cwd=tmp_path, **hidden) as prompt:
        prompt.expect("In [1]: ")
        prompt.type("for i in 1 2; do" + ENTER)
        prompt.expect("...:")
        prompt.type("echo n$((i * 10)); done" + ENTER)
        prompt.expect("n20")
        prompt.expect("In [2]: ")


def test_a_timeout_interrupts_the_cell_and_not_the_session(tmp_path):
    with Terminal("code", "--timeout", "0.5", cwd=tmp_path) as prompt:
        prompt.expect("In [1]: ")
        prompt.type("while True: pass" + ENTER)
        prompt.expect("the cell was interrupted after 0.5 s")
        prompt.expect("In [2]: ")
        prompt.type("6 * 7" + ENTER)
        prompt.expect("Out[2]: 42")


def test_a_dead_kernel_is_told_and_the_session_goes_on(tmp_path):
    with Terminal("code", cwd=tmp_path) as prompt:
        prompt.expect("In [1]: ")
        prompt.type("import os; os._exit(3)" + ENTER)
        prompt.expect("KernelDied")
        prompt.expect("In [2]: ")
        prompt.type("6 * 7" + ENTER)
        prompt.expect(": 42")


def test_bash_is_spoken_too(tmp_path):
    with Terminal("code", "-l", "bash", cwd=tmp_path) as prompt:
        prompt.expect("In [1]: ")
        prompt.type("for i in 1 2; do" + ENTER)
        prompt.expect("...:")
        prompt.type("echo n$((i * 10))" + ENTER + "done" + ENTER)
        prompt.expect("n20")
        prompt.expect("In [2]: ")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("language", ["javascript", "typescript"])
def test_javascript_is_spoken_too(tmp_path, language):
    with Terminal("code", "-l", language, cwd=tmp_path) as prompt:
        prompt.expect("In [1]: ")
        prompt.type("function f(x) {" + ENTER)
        prompt.expect("...:")
        prompt.type("return x * 7" + ENTER + "}" + ENTER)
        prompt.expect("In [2]: ")
        prompt.type("f(6)" + ENTER)
        prompt.expect("Out[2]: 42")


def test_figures_are_saved_where_it_was_started(tmp_path):
    pytest.importorskip("matplotlib")
    with Terminal("code", cwd=tmp_path) as prompt:
        prompt.expect("In [1]: ")
        prompt.type("import matplotlib.pyplot as plt; _ = plt.plot([1, 2])" + ENTER)
        prompt.expect("figure-1.png")
        prompt.expect("In [2]: ")
    assert (tmp_path / "figure-1.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_not_for_the_prompt(tmp_path):
    with Terminal("code", "--json", cwd=tmp_path) as prompt:
        prompt.expect("not at the prompt")
        assert prompt.wait() == 2


def test_without_a_terminal_there_is_no_prompt():
    with start("code") as process:
        out, err = process.communicate(b"print(6 * 7)")
    assert (out, err, process.returncode) == (b"42\n", b"", 0)
