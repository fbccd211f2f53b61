"""Cells of other languages than Python: state, results, errors and interrupts are the same."""

from __future__ import annotations

import pytest

from localbox import AsyncSandbox, TimeoutException
from localbox.kernels import node
from tests.client._async.cells import PATIENCE_S, make_gate, open_gate

pytestmark = pytest.mark.anyio

_needs_node = pytest.mark.skipif(not node._find_nodes(), reason="there is no node here")
_NODE = [pytest.param(name, marks=_needs_node) for name in ("javascript", "typescript")]


async def test_bash_cells_keep_their_state(sandbox: AsyncSandbox) -> None:
    code = "kept=1\ndouble() { echo $(($1 * 2)); }\ncd /tmp"
    assert (await sandbox.run_code(code, language="bash")).error is None
    execution = await sandbox.run_code("double 21; echo $kept; pwd; echo err >&2", language="bash")
    assert "".join(execution.logs.stdout) == "42\n1\n/tmp\n"
    assert execution.logs.stderr == ["err\n"]
    assert (await sandbox.run_code("double 2", language="sh")).logs.stdout == ["4\n"]


async def test_a_bash_cell_that_fails_has_its_status_as_error(sandbox: AsyncSandbox) -> None:
    execution = await sandbox.run_code("echo said; (exit 3)", language="bash")
    assert execution.logs.stdout == ["said\n"]
    assert execution.error is not None
    assert execution.error.value == "3"


@pytest.mark.parametrize("language", _NODE)
async def test_node_cells_keep_their_state(sandbox: AsyncSandbox, language: str) -> None:
    code = "const kept = 20\nlet count = 1\nfunction add(x) { return x + kept }\nclass A {}"
    execution = await sandbox.run_code(code, language=language)
    assert execution.error is None
    assert (await sandbox.run_code("count += 1; add(count)", language=language)).text == "22"
    code = "console.log('out'); console.error('err'); let p = Promise.resolve('awaited'); await p"
    execution = await sandbox.run_code(code, language=language)
    assert execution.text == "awaited"
    assert execution.logs.stdout == ["out\n"]
    assert execution.logs.stderr == ["err\n"]


@_needs_node
async def test_typescript_may_have_types(sandbox: AsyncSandbox) -> None:
    code = "interface Point { x: number }\nconst point: Point = { x: 3 }\npoint.x as number"
    execution = await sandbox.run_code(code, language="ts")
    assert execution.error is None
    assert execution.text == "3"


@pytest.mark.parametrize("language", _NODE)
async def test_a_node_cell_that_throws_has_its_error(sandbox: AsyncSandbox, language: str) -> None:
    code = "globalThis.kept = 1\nconsole.log('said')\nthrow new TypeError('bad')"
    execution = await sandbox.run_code(code, language=language)
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("TypeError", "bad")
    assert execution.logs.stdout == ["said\n"]
    assert (await sandbox.run_code("kept", language=language)).text == "1"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", "echo first; read line < gate; echo went on"),
        pytest.param(
            "javascript",
            "console.log('first'); require('fs').readFileSync('gate'); 'went on'",
            marks=_needs_node,
        ),
    ],
)
async def test_output_of_every_language_comes_while_its_cell_runs(
    sandbox: AsyncSandbox, language: str, code: str
) -> None:
    await make_gate(sandbox, "gate")
    lines: list[str] = []

    async def go_on(message: object) -> None:
        lines.append(str(message))
        if len(lines) == 1:
            await open_gate(sandbox, "gate")

    execution = await sandbox.run_code(code, language=language, on_stdout=go_on, timeout=PATIENCE_S)
    assert lines[0] == "first\n"
    assert "went on" in "".join(lines) + str(execution.text)


_LOOPS = [
    ("bash", "kept=1", "while :; do :; done", "echo $kept"),
    ("bash", "kept=1", "sleep 1000", "echo $kept"),
    pytest.param(
        "javascript", "var kept = 1", "while (true) {}", "console.log(kept)", marks=_needs_node
    ),
    pytest.param(
        "typescript",
        "var kept = 1",
        "await new Promise(() => {})",
        "console.log(kept)",
        marks=_needs_node,
    ),
]


@pytest.mark.parametrize(("language", "before", "code", "after"), _LOOPS)
async def test_a_timeout_interrupts_every_language_and_keeps_its_state(
    sandbox: AsyncSandbox, language: str, before: str, code: str, after: str
) -> None:
    assert (await sandbox.run_code(before, language=language)).error is None
    with pytest.raises(TimeoutException) as caught:
        await sandbox.run_code(code, language=language, timeout=0.5)
    assert "killed" not in str(caught.value)
    execution = await sandbox.run_code(after, language=language, timeout=PATIENCE_S)
    assert execution.logs.stdout == ["1\n"]


@pytest.mark.parametrize(
    ("language", "code"),
    [("bash", "exit 3"), pytest.param("javascript", "process.exit(3)", marks=_needs_node)],
)
async def test_a_cell_that_ends_its_interpreter_says_so_and_the_next_works(
    sandbox: AsyncSandbox, language: str, code: str
) -> None:
    execution = await sandbox.run_code(code, language=language, timeout=PATIENCE_S)
    assert execution.error is not None
    assert "3" in execution.error.value
    say = {"bash": "echo works", "javascript": "console.log('works')"}[language]
    assert (await sandbox.run_code(say, language=language)).logs.stdout == ["works\n"]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", "echo $A; pwd"),
        pytest.param("javascript", "console.log(process.env.A); process.cwd()", marks=_needs_node),
    ],
)
async def test_envs_and_cwd_hold_in_every_language(
    sandbox: AsyncSandbox, language: str, code: str
) -> None:
    context = await sandbox.create_code_context(cwd="/tmp", language=language)
    execution = await sandbox.run_code(code, context=context, envs={"A": "cell"})
    said = "".join(execution.logs.stdout) + (execution.text or "")
    assert said.split() == ["cell", "/tmp"]
    execution = await sandbox.run_code(code, context=context)
    assert "cell" not in "".join(execution.logs.stdout)


@_needs_node
async def test_languages_have_contexts_of_their_own_side_by_side(sandbox: AsyncSandbox) -> None:
    await sandbox.run_code("kept = 'python'")
    await sandbox.run_code("kept=bash", language="bash")
    await sandbox.run_code("var kept = 'node'", language="js")
    assert (await sandbox.run_code("kept")).text == "python"
    assert (await sandbox.run_code("echo $kept", language="bash")).logs.stdout == ["bash\n"]
    assert (await sandbox.run_code("kept", language="javascript")).text == "node"
    languages = [context.language for context in await sandbox.list_code_contexts()]
    assert sorted(languages) == ["bash", "javascript", "python"]
