"""The founding document's Python blocks, run as written; README.md says which and why not all."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from localbox import CodeInterpreter
from tests.founding.conftest import SNIPPETS, Sandbox

RunBlock = Callable[..., dict[str, Any]]

SALES = [("Product", "Sales", "Profit"), ("A", 100, 20), ("B", 150, 35), ("C", 200, None)]
STAFF = [("Name", "Age"), ("Ann", 31), ("Bob", 44)]
PNG = b"\x89PNG\r\n"
README = (Path(__file__).parent / "README.md").read_text("utf-8")
NAMES = sorted(path.stem for path in SNIPPETS.glob("*.py"))


class Model:
    """The `llm_client` of the document's own executor: always the same program."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.prompts: list[str] = []

    def generate(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self.code


class NotebookCli:
    """The local program that the document compares E2B with."""

    async def execute_code(self, code: str) -> str:
        return f"ran locally: {code}"


def workbook(path: Path, **sheets: list[tuple[Any, ...]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.fixture
def xlsx(tmp_path: Path) -> Path:
    return workbook(tmp_path / "local_data.xlsx", Sales=SALES, Staff=STAFF)


@pytest.mark.parametrize("name", NAMES)
def test_block_is_python_and_is_accounted_for(name: str):
    ast.parse((SNIPPETS / f"{name}.py").read_text("utf-8"))
    assert f"| `{name}` |" in README


def test_every_block_of_the_document_is_here():
    assert len(NAMES) == 18
    assert set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == set(NAMES)


def test_authentication_needs_no_key(run_block: RunBlock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("E2B_API_KEY", "put back after the test")
    assert run_block("authentication")["sandbox"].is_open


def test_sandbox_management(run_block: RunBlock):
    result = run_block("sandbox_management")["result"]
    assert result.exit_code == 2
    assert "script.py" in result.stderr


def test_code_execution_reports_the_error_that_the_blocks_quoting_makes(
    run_block: RunBlock, sandbox: Sandbox, xlsx: Path, capsys: pytest.CaptureFixture[str]
):
    # Its single quotes end those of the shell, so that Python sees no string there at all.
    proc = run_block("code_execution", sandbox=sandbox)["proc"]
    assert proc.exit_code == 1
    printed = capsys.readouterr().out
    assert "pd.read_excel(/tmp/data.xlsx)" in printed
    assert "SyntaxError" in printed


def test_code_of_the_code_execution_block_runs_when_quoted_right(
    run_block: RunBlock, sandbox: Sandbox, xlsx: Path
):
    code = run_block("code_execution", sandbox=sandbox)["python_code"]
    with xlsx.open("rb") as file:
        sandbox.upload_file(file, "/tmp/data.xlsx")
    proc = sandbox.process.start_and_wait(f"python - <<'END'\n{code}\nEND", timeout=30)
    assert (proc.stdout, proc.exit_code) == ("Loaded 3 rows", 0), proc.stderr
    assert sandbox.download_file("/tmp/output.png").startswith(PNG)


def test_file_operations(
    run_block: RunBlock, sandbox: Sandbox, xlsx: Path, capsys: pytest.CaptureFixture[str]
):
    sandbox.files.write("/tmp/output.png", PNG)
    run_block("file_operations", sandbox=sandbox)
    assert (xlsx.parent / "local_output.png").read_bytes() == PNG
    assert sandbox.download_file("/tmp/data.xlsx") == xlsx.read_bytes()
    printed = capsys.readouterr().out.splitlines()
    assert f"data.xlsx - {xlsx.stat().st_size} bytes" in printed
    assert f"output.png - {len(PNG)} bytes" in printed


def test_code_interpreter(run_block: RunBlock, capsys: pytest.CaptureFixture[str]):
    result = run_block("code_interpreter")["result"]
    assert result.error is None
    # The table that the cell prints is in the logs, the one it ends with is the result.
    assert "175" in "".join(result.logs.stdout)
    assert set(result.data) == {"Sales", "Profit"}
    text, data = capsys.readouterr().out.rsplit("{", 1)
    assert "mean   156.25" in text
    assert data.startswith("'Sales': [4.0, 156.25")


def test_excel_analysis(run_block: RunBlock, xlsx: Path, tmp_path: Path):
    block = run_block("excel_analysis", CodeInterpreter=CodeInterpreter)
    analyzer = block["E2BExcelAnalyzer"](api_key="none")
    analysis = asyncio.run(analyzer.analyze_excel(xlsx))
    assert analysis["data"] == {
        "Sales": {"rows": 3, "columns": 3, "numeric_columns": 2, "missing_values": 1},
        "Staff": {"rows": 2, "columns": 2, "numeric_columns": 1, "missing_values": 0},
    }
    assert "'numeric_columns': 2" in analysis["output"]
    (picture,) = analysis["files"]
    assert (tmp_path / picture).read_bytes().startswith(PNG)


def test_langchain_tool_runs_what_it_is_given(run_block: RunBlock):
    (tool,) = run_block("langchain")["tools"]
    assert tool.name == "e2b_executor"
    assert tool.invoke("{'a': 1}") == "Output: {'a': 1}\nData: {'a': 1}"
    assert asyncio.run(tool.ainvoke("1 + 1")) == "Output: 2\nData: None"


def test_langchain_agent_answers_with_what_the_tool_computed(run_block: RunBlock):
    answer = run_block("langchain")["agent"].run("What is 6 times 7?")
    assert answer == "Output: 42\nData: None"


def test_custom_llm(run_block: RunBlock):
    model = Model(
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2])\nplt.savefig('/tmp/output.png')\n{'points': 2}"
    )
    block = run_block("custom_llm", CodeInterpreter=CodeInterpreter)
    executor = block["E2BCodeExecutor"](model, "none")
    answer = asyncio.run(executor.analyze_with_code("draw a line"))
    assert "Write Python code to: draw a line" in model.prompts[0]
    assert (answer["code"], answer["output"]) == (model.code, "{'points': 2}")
    assert answer["data"] == {"points": 2}
    ((kind, picture),) = answer["files"]
    assert kind == "plot"
    assert picture.startswith(PNG)


def test_notebook_session(run_block: RunBlock):
    nbformat = pytest.importorskip("nbformat")
    block = run_block("notebook_session", CodeInterpreter=CodeInterpreter)
    session = block["E2BNotebookSession"]().start()
    try:
        session.add_cell("# Title", cell_type="markdown")
        session.add_cell("x = 20")
        assert session.add_cell("x + 1")["output"]["text"] == "21"
        assert session.add_cell("1 / 0")["output"]["error"].name == "ZeroDivisionError"
        notebook = session.to_notebook()
    finally:
        session.close()
    nbformat.validate(notebook)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "code", "code"]
    assert notebook.cells[2].outputs[0].text == "21"
    assert not session.sandbox.is_open


def test_resource_management(run_block: RunBlock):
    manager = run_block("resource_management", Sandbox=Sandbox)["E2BResourceManager"](2)
    first, second = manager.get_sandbox(), manager.get_sandbox()
    with pytest.raises(Exception, match="Maximum sandbox limit reached"):
        manager.get_sandbox()
    first.files.write("/tmp/mine", "x")
    first.run_code("x = 1")
    first.commands.run("sleep 1000", background=True, timeout=0)
    manager.release_sandbox(first)
    again = manager.get_sandbox()
    assert again is first
    assert again.commands.list() == []
    assert not again.exists("/tmp/mine")
    assert again.run_code("x").error.name == "NameError"
    manager.release_sandbox(again)
    # Which closes this one twice.
    manager.cleanup()
    assert not first.is_open
    assert not second.is_open


@pytest.mark.parametrize(
    ("code", "expected"),
    [("1 + 1", "ran locally: 1 + 1"), ("import subprocess\n'inside'", "inside")],
)
def test_hybrid(run_block: RunBlock, xlsx: Path, code: str, expected: str):
    block = run_block("hybrid", CodeInterpreter=CodeInterpreter)
    executor = block["HybridExecutor"](NotebookCli(), "none")
    result = asyncio.run(executor.execute_based_on_security(code, xlsx))
    assert getattr(result, "text", result) == expected


def test_error_handling_tries_again_with_corrected_code(run_block: RunBlock):
    seen: list[object] = []

    def fix_common_errors(code: str, error: Any) -> str:
        seen.append(error.name)
        return code.replace("valeu", "value")

    names = {"CodeInterpreter": CodeInterpreter, "fix_common_errors": fix_common_errors}
    block = run_block("error_handling", asyncio=asyncio, **names)
    result = asyncio.run(block["robust_e2b_execution"]("value = 3\nvaleu"))
    assert (seen, result.text) == (["NameError"], "3")
    with pytest.raises(Exception, match=r"Execution failed: .*ZeroDivisionError"):
        asyncio.run(block["robust_e2b_execution"]("1 / 0", max_retries=1))


def test_connection_pool(run_block: RunBlock):
    block = run_block("connection_pool", CodeInterpreter=CodeInterpreter, asyncio=asyncio)
    pool = block["E2BConnectionPool"](pool_size=1)

    async def use() -> tuple[Any, Any]:
        first = await pool.acquire()
        first.notebook.exec_cell("x = 1")
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)  # so that it finds the pool empty
        pool.release(first)
        return first, await waiting

    first, second = asyncio.run(use())
    assert second is first
    assert second.notebook.exec_cell("x").error.name == "NameError"
    assert second.notebook.exec_cell("print(1)\n2").text == "2"


def test_security_comments_out_what_it_blocks(run_block: RunBlock):
    executor = run_block("security")["SecureE2BExecutor"]()
    sanitized = executor.sanitize_code("import os\nx = 1\neval('x')")
    assert sanitized == "# BLOCKED: import os\nx = 1\n# BLOCKED: eval('x')"


def test_security(run_block: RunBlock):
    executor = run_block("security", CodeInterpreter=CodeInterpreter)["SecureE2BExecutor"]()
    result = executor.execute_safely("import os\n6 * 7")
    assert (result.text, result.error) == ("42", None)


def test_multi_tenant(run_block: RunBlock, xlsx: Path):
    block = run_block("multi_tenant", CodeInterpreter=CodeInterpreter)
    analyzer = block["MultiTenantExcelAnalyzer"]("none")
    results = [asyncio.run(analyzer.analyze_for_tenant(tenant, xlsx)) for tenant in ["a", "b", "a"]]
    assert [result.error for result in results] == [None] * 3
    sandboxes = analyzer.tenant_sandboxes
    assert set(sandboxes) == {"tenant_a", "tenant_b"}
    assert sandboxes["tenant_b"].get_info().metadata == {"tenant_id": "b"}
    assert not sandboxes["tenant_b"].exists("/tmp/a_data.xlsx")
    assert sandboxes["tenant_a"].notebook.exec_cell("len(df)").text == "3"


def test_untrusted_code(run_block: RunBlock):
    block = run_block("untrusted_code", CodeInterpreter=CodeInterpreter)
    execute = block["execute_user_provided_code"]
    result = asyncio.run(execute("import json; print(json.dumps([1]))"))
    assert json.loads("".join(result.logs.stdout)) == [1]
    result = asyncio.run(execute("while True: pass", timeout=1))
    assert (result.error.name, result.error.value) == ("TimeoutError", "Execution timed out")
