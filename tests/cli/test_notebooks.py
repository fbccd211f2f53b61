"""`localbox code FILE.ipynb`: every cell is run, and the notebook written with what came."""

from __future__ import annotations

import base64
import json
import shutil
import signal

import pytest

from tests.cli.command import PATIENCE_S, complaint, environment, localbox, start, without_module

pytest.importorskip("IPython")
pytest.importorskip("nbformat")
from tests.cli import notebooks
from tests.cli.notebooks import make, outputs, read, v4
from tests.cli.terminal import Terminal
from tests.leftovers import wait_until

PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}
WAIT = "import time\nwith open('mark', 'w') as file: _ = file.write('running')\ntime.sleep(1000)"


def cell(source):
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": [source],
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "report.ipynb"


@pytest.fixture
def written(tmp_path):
    """Where a notebook is written unless somebody says otherwise."""
    return tmp_path / "report.out.ipynb"


def test_cells_share_their_state_and_the_source_stays_as_it_is(path, written):
    before = make(path, "x = 6", "x * 7").read_bytes()
    result = localbox("code", str(path))
    assert (result.returncode, result.stdout) == (0, b"")
    assert result.stderr.decode() == f"wrote {written}\n"
    assert path.read_bytes() == before
    assert outputs(written) == [[], [("execute_result", "42")]]
    assert [cell.execution_count for cell in read(written).cells] == [1, 2]
    assert read(written).cells[1].outputs[0].execution_count == 2


def test_streams_are_merged_run_by_run_and_keep_their_order(path, written):
    make(
        path,
        "import sys\nprint('one')\nprint('two')\nprint('error', file=sys.stderr)\n"
        "print('three')\n!echo four\n'five'",
    )
    assert localbox("code", str(path)).returncode == 0
    assert outputs(written) == [
        [
            ("stdout", "one\ntwo\n"),
            ("stderr", "error\n"),
            ("stdout", "three\nfour\n"),
            ("execute_result", "five"),
        ]
    ]


def test_all_that_is_no_output_is_kept(path, written):
    notebook = v4.new_notebook(metadata={"mine": {"kept": [1]}, "kernelspec": PYTHON})
    notebook.cells = [
        v4.new_markdown_cell("# Title", id="title", metadata={"a": 1}),
        v4.new_code_cell("1", id="one", metadata={"tags": ["parameters"], "b": 2}),
        v4.new_raw_cell("raw", id="raw"),
        v4.new_code_cell("", id="empty"),
    ]
    notebooks.nbformat.write(notebook, path)
    assert localbox("code", str(path)).returncode == 0
    after = read(written)
    after.cells[1].outputs, after.cells[1].execution_count = [], None
    assert after == read(path)


def test_pandas_and_matplotlib_give_tables_and_pictures(path, written):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    make(
        path,
        "import pandas as pd\nimport matplotlib.pyplot as plt",
        "table = pd.DataFrame({'year': [2023, 2024], 'sales': [10, 30]})\ntable",
        "plt.bar(table.year, table.sales)\nplt.show()\nprint('done')",
    )
    assert localbox("code", str(path)).returncode == 0
    _imports, table, figure = read(written).cells
    assert table.outputs[0].output_type == "execute_result"
    assert "<table" in table.outputs[0].data["text/html"]
    picture, done = figure.outputs
    assert picture.output_type == "display_data"
    assert base64.b64decode(picture.data["image/png"]).startswith(b"\x89PNG")
    assert done.text == "done\n"
    # They are in the notebook; files are for those who ask.
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, written.name]


def test_figures_are_saved_besides_where_asked(path, tmp_path):
    pytest.importorskip("matplotlib")
    make(path, "import matplotlib.pyplot as plt; _ = plt.plot([1, 2])")
    folder = tmp_path / "figures"
    folder.mkdir()
    assert localbox("code", str(path), "--figures", str(folder)).returncode == 0
    assert (folder / "report-1.png").read_bytes().startswith(b"\x89PNG")


def test_a_list_shows_its_text_and_not_a_tree(path, written):
    make(path, "[1, 2]", "from IPython.display import JSON; JSON({'a': 1})")
    assert localbox("code", str(path)).returncode == 0
    plain, asked = (cell.outputs[0].data for cell in read(written).cells)
    assert plain == {"text/plain": "[1, 2]"}
    assert asked["application/json"] == {"a": 1}


def test_the_first_failure_is_the_end_and_is_written(path, written):
    make(path, "print('one')", "1 / 0", "print('three')")
    result = localbox("code", str(path))
    assert result.returncode == 1
    assert outputs(written) == [
        [("stdout", "one\n")],
        [("error", "ZeroDivisionError", "division by zero")],
        [],
    ]
    traceback = read(written).cells[1].outputs[0].traceback
    assert traceback[-1] == "ZeroDivisionError: division by zero"
    assert all("\n" not in line for line in traceback)
    said = result.stderr.decode()
    assert "localbox: cell 2 of 3 failed: ZeroDivisionError: division by zero\n" in said
    assert said.endswith(f"wrote {written}\n")


def test_keep_going_runs_the_rest_and_still_fails(path, written):
    make(path, "1 / 0", "print('two')")
    assert localbox("code", str(path), "--keep-going").returncode == 1
    assert outputs(written)[1] == [("stdout", "two\n")]


def test_a_cell_that_may_fail_is_no_failure(path, written):
    notebook = v4.new_notebook()
    tags = {"tags": ["raises-exception"]}
    notebook.cells = [v4.new_code_cell("1 / 0", metadata=tags), v4.new_code_cell("print('two')")]
    notebooks.nbformat.write(notebook, path)
    assert localbox("code", str(path)).returncode == 0
    assert outputs(written) == [
        [("error", "ZeroDivisionError", "division by zero")],
        [("stdout", "two\n")],
    ]


def test_a_cell_that_takes_too_long_is_124_and_only_that_one(path, written):
    make(path, "x = 1", "print('before', flush=True)\nwhile True: pass", "print(x)")
    result = localbox("code", str(path), "--timeout", "1", "-k")
    assert result.returncode == 124
    assert outputs(written)[1:] == [
        [("stdout", "before\n"), ("error", "TimeoutError", "the cell was interrupted after 1 s")],
        [("stdout", "1\n")],
    ]


def test_old_outputs_of_cells_that_did_not_run_are_gone(path, written):
    make(path, "print('one')", "print('two')")
    assert localbox("code", str(path), "-o", str(path)).returncode == 0
    notebook = read(path)
    notebook.cells[0].source = "1 / 0"
    notebooks.nbformat.write(notebook, path)
    assert localbox("code", str(path), "-o", str(path)).returncode == 1
    assert outputs(path)[1] == []


def test_o_may_be_the_notebook_itself_and_its_mode_stays(path, written):
    make(path, "6 * 7").chmod(0o640)
    assert localbox("code", "-o", str(path), str(path)).returncode == 0
    assert outputs(path) == [[("execute_result", "42")]]
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_two_runs_write_the_same_bytes(path, written):
    make(path, "print('hi')", "{'b': 1, 'a': 2}")
    assert localbox("code", str(path)).returncode == 0
    first = written.read_bytes()
    assert localbox("code", str(path)).returncode == 0
    assert written.read_bytes() == first


def test_bash_cells_of_a_bash_notebook(path, written):
    kernelspec = {"name": "bash", "display_name": "Bash", "language": "bash"}
    make(path, "x=6", "echo $((x * 7))", metadata={"kernelspec": kernelspec})
    assert localbox("code", str(path)).returncode == 0
    assert outputs(written)[1] == [("stdout", "42\n")]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_javascript_cells_of_a_javascript_notebook(path, written):
    make(path, "let x = 6", "x * 7", metadata={"language_info": {"name": "javascript"}})
    assert localbox("code", str(path)).returncode == 0
    assert outputs(written)[1] == [("execute_result", "42")]


def test_a_language_that_no_context_has_is_one_line(path):
    kernelspec = {"name": "julia-1.10", "display_name": "Julia", "language": "julia"}
    make(path, "1", metadata={"kernelspec": kernelspec})
    result = localbox("code", str(path))
    assert result.returncode == 2
    assert "its language is 'julia'" in complaint(result)
    assert localbox("code", str(path), "--language", "python").returncode == 0


def test_files_beside_it_are_reached_as_a_programs_are(open_directory):
    path = make(open_directory / "report.ipynb", "print(open('data.txt').read())")
    (open_directory / "data.txt").write_text("from the host")
    (open_directory / "data.txt").chmod(0o644)
    written = open_directory / "report.out.ipynb"
    assert localbox("code", str(path)).returncode == 1
    assert outputs(written)[0][0][:2] == ("error", "FileNotFoundError")
    words = ("--ro", str(open_directory), "--cwd", str(open_directory))
    assert localbox("code", *words, str(path)).returncode == 0
    assert outputs(written) == [[("stdout", "from the host\n")]]


def test_json_has_the_cells_and_where_the_notebook_is(path, written):
    make(path, "print('hi')\n6 * 7", "1 / 0")
    result = localbox("code", str(path), "--json")
    said = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (1, b"")
    assert (said["output"], said["exit_code"]) == (str(written), 1)
    first, second = said["cells"]
    assert (first["stdout"], first["results"][0]["text"]) == ("hi\n", "42")
    assert second["error"]["name"] == "ZeroDivisionError"


def test_a_notebook_from_before_ids_gets_none(path, written):
    notebook = {
        "cells": [cell("1 + 1")],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 2,
    }
    path.write_text(json.dumps(notebook))
    assert localbox("code", str(path)).returncode == 0
    after = json.loads(written.read_text())
    assert "id" not in after["cells"][0]
    assert after["nbformat_minor"] == 2


@pytest.mark.parametrize("version", [3, 4])
def test_missing_ids_are_the_same_in_every_run(path, written, version):
    cells = [cell("1 + 1"), cell("2 + 2")]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    if version == 3:
        old = [{"cell_type": "code", "input": "1 + 1", "language": "python", "outputs": []}] * 2
        notebook = {
            "worksheets": [{"cells": old, "metadata": {}}],
            "metadata": {"name": ""},
            "nbformat": 3,
            "nbformat_minor": 0,
        }
    path.write_text(json.dumps(notebook))
    result = localbox("code", str(path))
    assert (result.returncode, result.stderr.decode()) == (0, f"wrote {written}\n")
    assert [cell.id for cell in read(written).cells] == ["cell-1", "cell-2"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"print('hi')", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "without `nbformat`"),
        (b"{}", "without `nbformat`"),
        (b'{"nbformat": 4, "nbformat_minor": 5}', "is not a valid notebook"),
        (b'{"nbformat": 99, "nbformat_minor": 0, "cells": []}', "is not a valid notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "cells": 7, "metadata": {}}', "is not a valid"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "cells": [7], "metadata": []}', "is not a valid"),
        (b'{"nbformat": 4, "nbformat_minor": "x", "cells": [], "metadata": {}}', "is not a valid"),
        (b'{"nbformat": 3, "nbformat_minor": 0, "worksheets": 7}', "is not a valid"),
        (b'{"nbformat": true, "nbformat_minor": 0, "worksheets": 7}', "is not a valid"),
    ],
)
def test_what_is_no_notebook_is_one_line_and_2(path, written, content, reason):
    path.write_bytes(content)
    result = localbox("code", str(path))
    assert result.returncode == 2
    assert reason in complaint(result)
    assert not written.exists()


def test_a_missing_notebook_is_one_line_and_2(tmp_path):
    result = localbox("code", str(tmp_path / "none.ipynb"))
    assert result.returncode == 2
    assert complaint(result).endswith("none.ipynb: No such file or directory")


def test_without_nbformat_it_says_what_to_install(path, tmp_path):
    make(path, "1")
    result = localbox("code", str(path), env=environment(**without_module("nbformat", tmp_path)))
    assert result.returncode == 1
    assert "notebooks need nbformat" in complaint(result)


def test_an_output_that_cannot_be_is_told_before_a_cell_runs(path, tmp_path):
    make(path, "print('hi')")
    for output, reason in ((tmp_path, "it is a directory"), (tmp_path / "no/x", "no directory")):
        result = localbox("code", str(path), "-o", str(output))
        assert result.returncode == 2
        assert reason in complaint(result)


def test_a_pipe_gets_the_notebook_as_well(path):
    make(path, "6 * 7")
    result = localbox("code", str(path), "-o", "/dev/stdout")
    assert json.loads(result.stdout)["cells"][0]["outputs"][0]["data"]["text/plain"] == ["42"]


@pytest.mark.parametrize(
    "words", [("extra",), ("--cells",), ("-o",)], ids=["argument", "cells", "o without a file"]
)
def test_what_a_notebook_does_not_take_is_wrong_usage(path, words):
    make(path, "1")
    assert localbox("code", str(path), *words).returncode == 2


def test_only_a_notebook_has_an_output():
    assert localbox("code", "-o", "out.ipynb", "-c", "1").returncode == 2


def test_a_program_keeps_its_arguments_even_if_one_is_a_notebook():
    result = localbox("code", "-c", "import sys; print(sys.argv)", "a.ipynb", "-o", "b")
    assert result.stdout == b"['-c', 'a.ipynb', '-o', 'b']\n"


def test_a_signal_ends_it_and_what_there_was_is_written(open_directory):
    path = make(open_directory / "long.ipynb", "print('one')", WAIT, "print('three')")
    (open_directory / "mark").touch()
    (open_directory / "mark").chmod(0o666)
    words = ("--rw", str(open_directory), "--cwd", str(open_directory))
    with start("code", *words, str(path)) as process:
        mark = open_directory / "mark"
        wait_until(lambda: mark.stat().st_size > 0, "the cell does not run")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    assert outputs(open_directory / "long.out.ipynb") == [
        [("stdout", "one\n")],
        [("error", "KeyboardInterrupt", "")],
        [],
    ]


def test_progress_is_for_terminals(path, tmp_path):
    make(path, "1", "2")
    with Terminal("code", str(path), cwd=tmp_path) as terminal:
        terminal.expect("cell 1 of 2")
        terminal.expect("cell 2 of 2")
        terminal.expect("wrote ")
        assert terminal.wait() == 0
