# generated from tests/client/_async/test_cells.py by scripts/unasync.py; edit that, not this
"""`run_code`: what a cell leaves behind, shows, prints and is given."""

from __future__ import annotations

import pytest

from localbox import (
    InvalidArgumentException,
    OutputMessage,
    Result,
    Sandbox,
    TimeoutException,
)
from tests.client._sync.cells import PATIENCE_S, make_gate, open_gate
from tests.client._sync.doing import all_at_once


def test_the_last_expression_is_the_main_result(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("x = 20\nx + 1")
    assert execution.text == "21"
    assert [result.is_main_result for result in execution.results] == [True]
    assert execution.error is None
    assert execution.execution_count == 1


def test_a_cell_without_a_last_expression_has_no_result(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("x = 1")
    assert execution.text is None
    assert execution.results == []
    assert sandbox.run_code("").error is None
    assert sandbox.run_code("1;").results == []


def test_state_is_kept_between_cells(sandbox: Sandbox) -> None:
    sandbox.run_code("import math\ndef area(r):\n    return math.floor(math.pi * r * r)")
    assert sandbox.run_code("area(10)").text == "314"
    assert sandbox.run_code("_ + 1").text == "315"


def test_state_is_kept_after_an_error(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("kept = 'yes'\nprint('before')\n1 / 0\nkept = 'no'")
    assert execution.error is not None
    assert execution.error.name == "ZeroDivisionError"
    assert execution.error.value == "division by zero"
    assert "----> 3 1 / 0" in execution.error.traceback
    assert execution.logs.stdout == ["before\n"]
    assert sandbox.run_code("kept").text == "yes"


def test_a_syntax_error_has_its_line_and_a_caret(sandbox: Sandbox) -> None:
    error = sandbox.run_code("fine = 1\nbroken = = 2").error
    assert error is not None
    assert error.name == "SyntaxError"
    assert error.value == "invalid syntax (Cell In[1], line 2)"
    lines = error.traceback.splitlines()
    marked = next(number for number, line in enumerate(lines) if "broken = = 2" in line)
    assert lines[marked + 1].index("^") == lines[marked].index("= 2")
    assert sandbox.run_code("'fine' in dir()").text == "False"


def test_top_level_await_and_magics_work(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("import asyncio\nawait asyncio.sleep(0, 'awaited')")
    assert execution.text == "awaited"
    execution = sandbox.run_code("%cd -q /tmp\nshown = !pwd\nshown[0]")
    assert execution.text == "/tmp"


def test_an_indented_cell_runs(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("""
        total = 0
        for number in range(4):
            total += number
        print("total", total)
        total
    """)
    assert execution.error is None
    assert execution.logs.stdout == ["total 6\n"]
    assert execution.text == "6"


def test_several_displays_come_in_order_with_the_output(sandbox: Sandbox) -> None:
    events: list[str | None] = []

    def note_result(result: Result) -> None:
        events.append(f"result {result.text}")

    execution = sandbox.run_code(
        "from IPython.display import HTML\n"
        "import os\n"
        "print('one')\ndisplay('two')\nos.system('echo three')\n"
        "display(HTML('<b>four</b>'))\nprint('five')\n'six'",
        on_stdout=lambda message: events.append(message.line),
        on_result=note_result,
    )
    html = "<IPython.core.display.HTML object>"
    expected = ["one\n", "result two", "three\n", f"result {html}", "five\n", "result six"]
    assert events == expected
    assert [result.text for result in execution.results] == ["two", html, "six"]
    assert execution.results[1].html == "<b>four</b>"
    assert [result.is_main_result for result in execution.results] == [False, False, True]
    assert execution.text == "six"


def test_envs_hold_for_their_cell_only(sandbox: Sandbox) -> None:
    show = "import os\nprint(os.environ.get('A'), os.environ['HOME'], flush=True)\n!echo $A"
    execution = sandbox.run_code(show, envs={"A": "cell", "HOME": "/tmp"})
    assert "".join(execution.logs.stdout) == "cell /tmp\ncell\n"
    execution = sandbox.run_code(show)
    assert "".join(execution.logs.stdout) == "None /home/user\n\n"


def test_envs_hold_until_the_end_of_a_cell_that_fails(sandbox: Sandbox) -> None:
    assert sandbox.run_code("1 / 0", envs={"A": "cell"}).error is not None
    assert sandbox.run_code("import os\n'A' in os.environ").text == "False"


def test_envs_of_the_sandbox_are_in_every_context() -> None:
    with Sandbox.create(envs={"A": "sandbox", "B": "sandbox"}) as sandbox:
        show = "import os\nos.environ['A'] + ' ' + os.environ['B']"
        assert sandbox.run_code(show).text == "sandbox sandbox"
        assert sandbox.run_code(show, envs={"B": "cell"}).text == "sandbox cell"
        context = sandbox.create_code_context()
        assert sandbox.run_code(show, context=context).text == "sandbox sandbox"


@pytest.mark.parametrize("envs", [{"A=B": "1"}, {"A": "x\0y"}, {"A": 1}])
def test_envs_that_no_environment_can_hold_are_refused(
    sandbox: Sandbox, envs: dict[str, str]
) -> None:
    with pytest.raises(InvalidArgumentException, match="envs"):
        sandbox.run_code("1", envs=envs)


def test_code_that_is_no_text_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="code must be a str, not bytes"):
        sandbox.run_code(b"1")  # type: ignore[arg-type]


def test_long_code_runs(sandbox: Sandbox) -> None:
    # More than one datagram holds.
    text = "ü" * 1_000_000
    assert sandbox.run_code(f"len('{text}')").text == "1000000"


def test_cells_and_commands_see_the_same_files(sandbox: Sandbox) -> None:
    sandbox.files.write("from-outside", "1")
    execution = sandbox.run_code(
        "open('from-inside', 'w').write('2')\nopen('/home/user/from-outside').read()"
    )
    assert execution.text == "1"
    assert sandbox.commands.run("cat from-inside; stat -c %U from-inside").stdout == ("2user\n")


def test_cells_of_one_context_that_are_asked_for_at_once_never_cross(
    sandbox: Sandbox,
) -> None:
    sandbox.run_code("import os\nran = []")

    def one(number: int) -> tuple[str | None, list[str], list[str | None]]:
        execution = sandbox.run_code(
            f"ran.append({number})\nos.write(1, b'{number}.')\ndisplay({number})\n"
            f"os.system('printf {number}')\nran[-1]",
            timeout=PATIENCE_S,
        )
        texts = [result.text for result in execution.results]
        return execution.text, ["".join(execution.logs.stdout)], texts

    results = all_at_once([lambda n=n: one(n) for n in range(24)])  # type: ignore[misc]
    for number, result in enumerate(results):
        assert result == (str(number), [f"{number}.{number}"], [str(number)] * 2)
    assert sandbox.run_code("sorted(ran) == list(range(24))").text == "True"


def test_a_cell_whose_turn_does_not_come_in_time_raises_and_the_other_goes_on(
    sandbox: Sandbox,
) -> None:
    make_gate(sandbox, "gate")

    def first() -> str | None:
        code = "print('runs', flush=True)\nopen('gate').read()"
        return sandbox.run_code(code, on_stdout=second, timeout=PATIENCE_S).text

    def second(_message: OutputMessage) -> None:
        with pytest.raises(TimeoutException, match=r"another cell of context .* still running"):
            sandbox.run_code("skipped = 1", timeout=0.1)
        open_gate(sandbox, "gate")

    assert first() == "open\\n"
    execution = sandbox.run_code("skipped")
    assert execution.error is not None
    assert execution.error.name == "NameError"


def test_many_sandboxes_run_cells_at_once_and_nothing_crosses() -> None:
    def one(number: int) -> list[str | None]:
        with Sandbox.create(envs={"NUMBER": str(number)}) as sandbox:
            sandbox.run_code(f"kept = {number}")
            first = sandbox.run_code("import os\nos.environ['NUMBER']")
            return [first.text, sandbox.run_code("kept").text]

    results = all_at_once([lambda n=n: one(n) for n in range(12)])  # type: ignore[misc]
    assert results == [[str(number)] * 2 for number in range(12)]
