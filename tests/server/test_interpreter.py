"""Cells and contexts through E2B's own code interpreter SDK, unmodified, and the wire under it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import e2b
import httpx
import pytest
from e2b_code_interpreter import AsyncSandbox, Sandbox

from localbox.server import cell_stream

pytestmark = pytest.mark.anyio

_FOREVER = "import time\nwhile True: time.sleep(0.01)"


@pytest.fixture
def interpreter(_leaves_no_sandbox_behind: None, _sdks_come_here: None) -> Iterator[Sandbox]:
    with Sandbox.create(timeout=60) as sandbox:
        yield sandbox


@pytest.fixture
async def async_interpreter(
    _leaves_no_sandbox_behind: None, _sdks_come_here: None
) -> AsyncIterator[AsyncSandbox]:
    sandbox = await AsyncSandbox.create(timeout=60)
    yield sandbox
    await sandbox.kill()


def wire(sandbox: Sandbox, **headers: str) -> httpx.Client:
    """What the SDK hides: requests to the interpreter's port."""
    assert sandbox._envd_access_token is not None
    return httpx.Client(
        base_url=sandbox._jupyter_url,
        headers={
            "E2b-Sandbox-Id": sandbox.sandbox_id,
            "E2b-Sandbox-Port": "49999",
            "X-Access-Token": sandbox._envd_access_token,
            **headers,
        },
        timeout=10,
    )


# Cells


def test_a_cell_gives_its_value_and_keeps_its_state(interpreter: Sandbox) -> None:
    interpreter.run_code("x = 40")
    execution = interpreter.run_code("x + 2")
    assert execution.text == "42"
    assert execution.execution_count == 2
    assert execution.error is None


def test_callbacks_get_everything_in_order_and_while_the_cell_runs(interpreter: Sandbox) -> None:
    seen: list[tuple[str, str]] = []
    code = """
import sys
from IPython.display import HTML
print("out", flush=True)
print("err", file=sys.stderr, flush=True)
display(HTML("<b>shown</b>"))
open("gate").read()
1 / 0
"""
    interpreter.commands.run("mkfifo gate")

    def on_result(result: Any) -> None:
        seen.append(("result", result.html))
        # The cell waits for this: had the server kept the line until the end, both would hang.
        interpreter.commands.run("echo > gate")

    execution = interpreter.run_code(
        code,
        on_stdout=lambda message: seen.append(("stdout", message.line)),
        on_stderr=lambda message: seen.append(("stderr", message.line)),
        on_result=on_result,
        on_error=lambda error: seen.append(("error", error.name)),
        timeout=10,
    )
    assert sorted(seen[:2]) == [("stderr", "err\n"), ("stdout", "out\n")]
    assert seen[2:] == [("result", "<b>shown</b>"), ("error", "ZeroDivisionError")]
    assert execution.error is not None
    assert execution.error.value == "division by zero"
    assert "1 / 0" in execution.error.traceback
    assert execution.logs.stdout == ["out\n"]


async def test_async_callbacks_are_called(async_interpreter: AsyncSandbox) -> None:
    lines = []

    async def on_stdout(message: Any) -> None:
        lines.append(message.line)

    execution = await async_interpreter.run_code("print('hello')\n'value'", on_stdout=on_stdout)
    assert lines == ["hello\n"]
    assert execution.text == "value"


def test_text_that_looks_like_the_end_of_a_line_is_no_end_of_a_line(interpreter: Sandbox) -> None:
    # The SDK splits the stream with str.splitlines, which takes all of these for line ends.
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    assert interpreter.run_code(f"print({text!a}, end='')").logs.stdout == [text]


def test_a_figure_is_a_picture_and_a_chart(interpreter: Sandbox) -> None:
    pytest.importorskip("matplotlib")
    code = """
import matplotlib.pyplot as plt
plt.plot([1, 2, 3], [4, float("nan"), 6], label="line")
plt.title("Title")
plt.show()
"""
    (result,) = interpreter.run_code(code).results
    assert result.png
    assert result.chart is not None
    assert result.chart.title == "Title"
    assert result.chart.type.value == "line"


def test_a_number_that_json_does_not_have_becomes_null() -> None:
    line = cell_stream.to_line({"data": {"a": [1.5, float("nan"), float("inf")]}})
    assert json.loads(line, parse_constant=pytest.fail) == {"data": {"a": [1.5, None, None]}}


def test_variables_are_set_for_one_cell_only(interpreter: Sandbox) -> None:
    code = "import os; os.environ.get('LB_ONE')"
    assert interpreter.run_code(code, envs={"LB_ONE": "1"}).text == "1"
    assert interpreter.run_code(code).text is None


@pytest.mark.parametrize(("language", "code"), [("bash", "echo $((6 * 7))"), ("js", "6 * 7")])
def test_other_languages_run(interpreter: Sandbox, language: str, code: str) -> None:
    execution = interpreter.run_code(code, language=language)
    assert execution.error is None
    assert "42" in (execution.text or "") + "".join(execution.logs.stdout)


def test_an_unknown_language_is_refused(interpreter: Sandbox) -> None:
    with pytest.raises(e2b.SandboxException, match=r"400 .*'cobol' is not known"):
        interpreter.run_code("1", language="cobol")


def test_much_output_arrives_whole(interpreter: Sandbox) -> None:
    execution = interpreter.run_code("for i in range(20_000): print(i)")
    assert "".join(execution.logs.stdout).split() == [str(number) for number in range(20_000)]


# Contexts


def test_contexts_are_made_listed_restarted_and_removed(interpreter: Sandbox) -> None:
    before = interpreter.list_code_contexts()
    assert sorted(context.language for context in before) == ["javascript", "python"]
    context = interpreter.create_code_context(cwd="/tmp")
    assert (context.language, context.cwd) == ("python", "/tmp")
    assert context.id in {listed.id for listed in interpreter.list_code_contexts()}

    interpreter.run_code("kept = 1", context=context)
    assert interpreter.run_code("import os; kept, os.getcwd()", context=context).text == (
        "(1, '/tmp')"
    )
    error = interpreter.run_code("kept").error
    assert error is not None
    assert error.name == "NameError"

    interpreter.restart_code_context(context)
    error = interpreter.run_code("kept", context=context).error
    assert error is not None
    assert error.name == "NameError"

    interpreter.remove_code_context(context)
    with pytest.raises(e2b.NotFoundException, match=f"Context {context.id} not found"):
        interpreter.run_code("1", context=context)
    for refused in (interpreter.remove_code_context, interpreter.restart_code_context):
        with pytest.raises(e2b.NotFoundException, match=f"Context {context.id} not found"):
            refused(context.id)


async def test_async_contexts_run_at_once(async_interpreter: AsyncSandbox) -> None:
    await async_interpreter.commands.run("mkfifo meet")
    context = await async_interpreter.create_code_context()
    # A pipe opens when both have come, so neither can have waited for the other's end.
    answers = await asyncio.gather(
        async_interpreter.run_code("open('meet').read()", timeout=10),
        async_interpreter.run_code("open('meet', 'w').write('hello')", context=context, timeout=10),
    )
    assert [answer.text for answer in answers] == ["hello", "5"]


def test_a_context_in_no_directory_is_refused(interpreter: Sandbox) -> None:
    with pytest.raises(e2b.SandboxException, match=r"400 .*/nowhere"):
        interpreter.create_code_context(cwd="/nowhere")
    assert len(interpreter.list_code_contexts()) == 2


# Clients that leave, and sandboxes that do


def test_a_timeout_interrupts_the_cell_and_the_context_keeps_its_state(
    interpreter: Sandbox,
) -> None:
    interpreter.run_code("kept = 7")
    began = time.monotonic()
    with pytest.raises(e2b.TimeoutException, match="Execution timed out"):
        interpreter.run_code(_FOREVER, timeout=0.3)
    assert interpreter.run_code("kept").text == "7"
    assert time.monotonic() - began < 5


def test_whoever_leaves_a_silent_cell_interrupts_it(interpreter: Sandbox) -> None:
    interpreter.commands.run("mkfifo interrupted")
    code = f"try:\n  exec({_FOREVER!r})\nexcept KeyboardInterrupt:\n  open('interrupted','w')"
    with pytest.raises(e2b.TimeoutException):
        interpreter.run_code(code, timeout=0.3)
    # No cell follows that could have done it: the cell itself tells.
    interpreter.commands.run("cat interrupted", timeout=5)


async def test_a_cancelled_task_leaves_its_context_usable(async_interpreter: AsyncSandbox) -> None:
    began = asyncio.Event()
    cell = asyncio.create_task(
        async_interpreter.run_code(
            f"kept = 7\nprint(1, flush=True)\n{_FOREVER}", on_stdout=lambda _: began.set()
        )
    )
    await began.wait()
    cell.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cell
    assert (await async_interpreter.run_code("kept", timeout=10)).text == "7"


def test_a_sandbox_that_is_killed_under_its_cell_ends_the_stream(interpreter: Sandbox) -> None:
    def kill(_message: Any) -> None:
        threading.Thread(target=interpreter.kill).start()

    with pytest.raises(e2b.TimeoutException, match="sandbox"):
        interpreter.run_code(f"print(1, flush=True)\n{_FOREVER}", on_stdout=kill, timeout=10)


def test_a_sandbox_that_is_gone_says_so(interpreter: Sandbox) -> None:
    interpreter.kill()
    with pytest.raises(e2b.TimeoutException, match="The sandbox was not found"):
        interpreter.run_code("1")
    with pytest.raises(e2b.TimeoutException, match="The sandbox was not found"):
        interpreter.create_code_context()


def test_a_silent_cell_sends_signs_of_life(
    interpreter: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_stream, "KEEPALIVE_S", 0.05)
    code = "import time; time.sleep(0.3)"
    with wire(interpreter) as client:
        answer = client.post("/execute", json={"code": code})
    kinds = [json.loads(line)["type"] for line in answer.text.splitlines()]
    assert kinds.count("keepalive") > 1
    assert kinds[-2:] == ["number_of_executions", "end_of_execution"]


# The wire


def test_health_of_the_interpreters_port_is_not_envds(interpreter: Sandbox) -> None:
    with wire(interpreter) as client:
        answer = client.get("/health")
        assert (answer.status_code, answer.text) == (200, "OK")
        answer = client.get("/health", headers={"E2b-Sandbox-Port": "49983"})
        assert answer.status_code == 204


def test_a_cell_needs_the_sandboxs_token(interpreter: Sandbox) -> None:
    with wire(interpreter, **{"X-Access-Token": "another"}) as client:
        assert client.post("/execute", json={"code": "1"}).status_code == 401


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "code must be a string"),
        ({"code": "1", "context_id": "x", "language": "python"}, "Only one of"),
        ({"code": "1", "context_id": 5}, "must be strings"),
        ({"code": "1", "env_vars": {"A": 1}}, "envs"),
        ([], "not a JSON object"),
    ],
)
def test_what_cannot_be_run_is_refused(interpreter: Sandbox, body: Any, says: str) -> None:
    with wire(interpreter) as client:
        answer = client.post("/execute", json=body)
    assert answer.status_code == 400
    assert says in answer.text
