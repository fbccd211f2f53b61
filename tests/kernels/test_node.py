"""Cells of JavaScript and TypeScript: what they say, what they keep, how they end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox.kernels import node as kernel
from tests.kernels.fake_host import Context, Ran, Zygote
from tests.leftovers import wait_until

if not kernel._find_nodes():
    pytest.skip("there is no node here", allow_module_level=True)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote("localbox.kernels.node") as zygote:
        yield zygote


@pytest.fixture
def context(zygote: Zygote, tmp_path: Path) -> Iterator[Context]:
    with zygote.context("javascript", tmp_path) as context:
        yield context


@pytest.fixture(scope="module")
def shared(zygote: Zygote) -> Iterator[Context]:
    """A context for tests that leave nothing in it."""
    with zygote.context("javascript") as context:
        yield context


@pytest.fixture(scope="module")
def typescript(zygote: Zygote) -> Iterator[Context]:
    with zygote.context("typescript") as context:
        yield context


def _error(ran: Ran) -> dict[str, str]:
    assert ran.error is not None, ran
    return ran.error


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1 + 1", "2"),
        ("'it\\n'", "it\\n"),
        ("'line of some length\\n'.repeat(9)", "line of some length\\n" * 9),
        ("'x'.repeat(300_000)", "x" * 300_000),
        ("null", "null"),
        ("10n", "10n"),
        ("-0", "-0"),
        ("Symbol('s')", "Symbol(s)"),
        ("[1, [2]]", "[ 1, [ 2 ] ]"),
        ("new Map([['a', 1]])", "Map(1) { 'a' => 1 }"),
        ("(function named() {})", "[Function: named]"),
        ("await Promise.resolve(3)", "3"),
        ("undefined", None),
        ("if (true) { var ignored = 1 }", None),
        ("// nothing", None),
    ],
)
def test_the_last_expression_is_the_main_result(
    shared: Context, code: str, text: str | None
) -> None:
    ran = shared.run(code)
    assert (ran.text, ran.error) == (text, None)


def test_plain_objects_and_arrays_are_json_too(shared: Context) -> None:
    main = shared.run("({a: [1, null, 'x'], b: {c: true}})").main
    assert main is not None
    assert main["json"] == {"a": [1, None, "x"], "b": {"c": True}}
    for code in ("[() => 1]", "[NaN]", "const loop = []; loop.push(loop); loop", "new Date(0)"):
        main = shared.run(code).main
        assert main is not None
        assert "json" not in main, code


def test_declarations_are_kept_and_may_be_repeated(context: Context) -> None:
    context.run("const a = 1; let b = 2; class K { m() { return a } }; function f() { return b }")
    assert context.run("new K().m() + f()").text == "3"
    context.run("const a = 10; let b = await Promise.resolve(20);")
    assert context.run("`${a} ${b} ${f()}`").text == "10 20 20"
    assert context.run("1").count == 5


def test_output_and_results_keep_the_order_of_the_cell(shared: Context) -> None:
    ran = shared.run(
        "console.log('a'); console.error('b'); console.log('c');"
        "await display('shown'); process.stdout.write('d'); 'main'"
    )
    told = [(kind, what["text"] if kind == "result" else what) for kind, what in ran.events]
    assert told == [
        ("stdout", "a\n"),
        ("stderr", "b\n"),
        ("stdout", "c\n"),
        ("result", "shown"),
        ("stdout", "d"),
        ("result", "main"),
    ]


def test_output_of_any_size_and_of_subprocesses_is_complete(shared: Context) -> None:
    ran = shared.run("console.log('x'.repeat(3_000_000)); process.exitCode")
    assert len(ran.stdout) == 3_000_001
    code = "require('child_process').execSync('echo sub; cat', {stdio: 'inherit'}); 0"
    assert shared.run(code).stdout == "sub\n"


def test_imports_of_modules_work_as_statements_and_as_calls(
    context: Context, tmp_path: Path
) -> None:
    package = tmp_path / "node_modules" / "mine"
    package.mkdir(parents=True)
    (package / "index.mjs").write_text("export default 'whole'; export const part = 'part';")
    (package / "package.json").write_text('{"name": "mine", "exports": "./index.mjs"}')
    (tmp_path / "old.cjs").write_text("module.exports = {value: 7};")
    context.run(
        "import whole, { part, part as renamed } from 'mine';\n"
        "import * as fs from 'node:fs'\n"
        "import os from 'os'\nimport 'node:path'"
    )
    assert context.run("[whole, part, renamed].join()").text == "whole,part,part"
    assert context.run("fs.existsSync(os.tmpdir())").text == "true"
    assert context.run("(await import('mine')).part").text == "part"
    assert context.run("(await import('./old.cjs')).default.value").text == "7"
    assert context.run("require('./old.cjs').value").text == "7"
    assert context.run("import.meta.dirname").text == str(tmp_path)
    assert context.run("export const given = 1;\nexport default given").text == "1"
    assert context.run("await import('mine'); 0").stderr == ""
    assert "nowhere" in _error(context.run("import x from 'nowhere'"))["value"]


def test_import_in_strings_comments_and_names_is_left_alone(shared: Context) -> None:
    code = """const text = "import x from 'y'"; /* import('z') */
// import fs from 'fs'
const o = {import: (name) => name + `import('q')`}
o.import("it ") + /import(1)/.source + text"""
    assert shared.run(code).text == "it import('q')import(1)import x from 'y'"


def test_an_error_has_name_value_and_the_cells_own_frames(shared: Context) -> None:
    ran = shared.run("function f() { null.x }\n\nf()")
    error = _error(ran)
    assert error["name"] == "TypeError"
    assert error["value"] == "Cannot read properties of null (reading 'x')"
    frames = error["traceback"].splitlines()[1:]
    assert len(frames) == 2
    assert f"f (cell-{ran.count}.js:1:21)" in frames[0]
    assert f"cell-{ran.count}.js:3:1" in frames[1]
    thrown = _error(shared.run("throw {code: 5}"))
    assert (thrown["name"], thrown["value"]) == ("Uncaught", "{ code: 5 }")


def test_a_syntax_error_shows_line_and_caret_and_runs_nothing(shared: Context) -> None:
    ran = shared.run("console.log('ran');\nlet bad = ;")
    error = _error(ran)
    assert (ran.stdout, error["name"]) == ("", "SyntaxError")
    place, source, caret = error["traceback"].splitlines()[:3]
    assert (place, source, caret) == (f"cell-{ran.count}.js:2:11", "let bad = ;", " " * 10 + "^")


@pytest.mark.parametrize(
    "code",
    [
        "Promise.reject(new RangeError('late')); 1",
        "setTimeout(() => { throw new RangeError('late') }, 1); await new Promise(() => {})",
        "await Promise.reject(new RangeError('late'))",
    ],
)
def test_errors_that_nobody_catches_are_the_cells(shared: Context, code: str) -> None:
    error = _error(shared.run(code))
    assert (error["name"], error["value"]) == ("RangeError", "late")
    assert shared.run("1").text == "1"


def test_env_holds_for_its_cell_only(shared: Context) -> None:
    ran = shared.run(
        "await null; [process.env.A, require('child_process').execSync('printf $A') + '']",
        env={"A": "x"},
    )
    assert ran.main is not None
    assert ran.main["json"] == ["x", "x"]
    assert shared.run("'A' in process.env").text == "false"


def test_a_result_too_large_to_send_is_dropped_with_its_size(shared: Context) -> None:
    ran = shared.run("await display('x'.repeat(90_000_000)); 'y'.repeat(90_000_000)")
    text = "[localbox: this result has 90.0 MB and was dropped]"
    assert [result["text"] for result in ran.results] == [text, text]
    assert (
        "circular"
        in _error(
            shared.run("const o = {}; o.o = o; await display({'text/plain': o}, {raw: true})")
        )["value"]
    )


def test_objects_say_themselves_how_they_are_shown(shared: Context) -> None:
    code = """const shown = {[Symbol.for("Jupyter.display")]: async () =>
  ({"text/html": "<b>x</b>", "application/x-mine": {a: 1}})};
await display(shown); await display({"text/markdown": "*m*"}, {raw: true}); shown"""
    html = {"html": "<b>x</b>", "extra": {"application/x-mine": {"a": 1}}}
    assert shared.run(code).results == [
        {**html, "is_main_result": False},
        {"markdown": "*m*", "is_main_result": False},
        {**html, "is_main_result": True},
    ]
    main = shared.run("Buffer.from('89504e470d0a1a0a', 'hex')").main
    assert main == {"png": "iVBORw0KGgo=", "is_main_result": True}


@pytest.mark.parametrize(
    "code",
    [
        "console.log('go'); while (true) {}",
        "await null; console.log('go'); while (true) {}",
        "await new Promise(r => setTimeout(r, 1)); console.log('go'); for (;;) {}",
        "setTimeout(() => { console.log('go'); for (;;) {} }, 1); await new Promise(() => {})",
        "console.log('go'); await new Promise(() => {})",
        "console.log('go'); while (true) { try { JSON.parse('{') } catch {} }",
        "require('child_process').execSync('echo go; exec sleep 60', {stdio: 'inherit'})",
    ],
)
def test_an_interrupt_ends_the_cell_and_keeps_the_state(context: Context, code: str) -> None:
    context.run("let kept = 'kept'")
    ran = context.run(code, interrupt_at="go")
    assert _error(ran)["name"] in {"KeyboardInterrupt", "Error"}
    assert ran.restart is None
    for _ in range(3):
        assert context.run("await null; kept").text == "kept"
    again = context.run("console.log('go'); for (;;) {}", interrupt_at="go")
    assert _error(again)["name"] == "KeyboardInterrupt"


def test_an_interrupt_between_cells_changes_nothing(context: Context) -> None:
    context.run("0")
    for _ in range(20):
        context.interrupt()
        assert context.run("1").text == "1"


def test_exit_says_its_status_and_asks_for_a_restart(context: Context) -> None:
    ran = context.run("console.log('bye'); process.exit(4)")
    assert (ran.stdout, ran.stderr) == ("bye\n", "")
    assert _error(ran)["name"] == "SystemExit"
    assert _error(ran)["value"] == ran.restart == "node exited with status 4"


def test_a_killed_node_is_the_cells_error(context: Context) -> None:
    ran = context.run("process.kill(process.pid, 'SIGKILL'); for (;;) {}")
    assert _error(ran)["name"] == "KernelDied"
    assert ran.restart == "node was killed by SIGKILL"


def test_programs_of_a_cell_inherit_the_standard_streams_only(shared: Context) -> None:
    # 3 is the directory that ls reads.
    assert shared.run("require('child_process').execSync('ls /proc/self/fd') + ''").text == (
        "0\\n1\\n2\\n3\\n"
    )


def test_a_background_process_keeps_no_cell_from_ending(context: Context) -> None:
    code = "const p = require('child_process').spawn('sleep', ['60'], {stdio: 'inherit'}); 'on'"
    assert context.run(code).text == "on"
    assert context.run("p.kill()").text == "true"


def test_garbage_on_every_descriptor_breaks_nobody_else(zygote: Zygote, shared: Context) -> None:
    code = (
        "const fs = require('fs'); for (let fd = 3; fd < 60; fd++) "
        "try { fs.writeSync(fd, 'garbage\\n{\"end\":99}\\n') } catch {}; 'alive'"
    )
    with zygote.context("javascript") as context:
        ran = context.run(code)
        assert ran.text == "alive" or ran.restart is not None
    assert shared.run("1").text == "1"


def test_a_killed_kernel_takes_its_node_along(zygote: Zygote) -> None:
    context = zygote.context("javascript")
    pids: list[int] = []

    def kill_when_it_runs(ran: Ran) -> None:
        if ran.stdout.endswith("\n") and not pids:
            pids.append(int(ran.stdout))
            os.kill(context.pid, 9)

    assert context.run("console.log(process.pid); for (;;) {}", on_output=kill_when_it_runs).died
    assert len(pids) == 1
    wait_until(lambda: not Path(f"/proc/{pids[0]}/fd/0").exists(), "node lives on")
    context.close()


def test_three_hundred_cells_leave_no_descriptor_and_no_thread(context: Context) -> None:
    node = int(context.run("process.pid").text or "")

    def held() -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (context.pid, node))

    before = held()
    for number in range(300):
        assert context.run(f"const x = {number}; console.log('o'); x").text == str(number)
    # A descriptor or two may be closed just after the host learns of a cell's end.
    assert held() <= before + 5
    assert len(os.listdir(f"/proc/{context.pid}/task")) == 1


def test_typescript_loses_its_types_and_keeps_its_state(typescript: Context) -> None:
    code = """interface Point { x: number; y: number }
import type { Stats } from 'fs';
import { sep } from 'path';
enum Colour { Red, Green }
const p: Point = { x: 1, y: 2 };
function add<T extends number>(a: T, b: T): number { return a + b; }
add(p.x, await Promise.resolve(p.y as number))"""
    ran = typescript.run(code)
    assert (ran.text, ran.stderr, ran.error) == ("3", "", None)
    ran = typescript.run("const p: number = Colour.Green; [p, sep]")
    assert (ran.text, ran.stderr) == ("[ 1, '/' ]", "")


def test_a_syntax_error_in_typescript_is_shown_with_its_line(typescript: Context) -> None:
    error = _error(typescript.run("const fine: number = 1\nlet bad: = ;"))
    assert error["name"] == "SyntaxError"
    assert "let bad: = ;" in error["traceback"]
