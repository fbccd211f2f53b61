"""`localbox code --cells` and `--language`: the parts of a file in one context, for people."""

from __future__ import annotations

import json
import shutil

import pytest

from localbox.cli.cells import split_cells
from tests.cli.command import PATIENCE_S, complaint, localbox, start

pytest.importorskip("IPython")


@pytest.fixture
def script(tmp_path):
    def write(source, name="analysis.py"):
        file = tmp_path / name
        file.write_text(source)
        return str(file)

    return write


def test_cells_begin_at_their_markers_and_text_is_no_code():
    source = (
        "import os\n# %% First\na\n#%%\n\n# %% [markdown]\n# Text\n# %%time is no marker? It is\nb"
    )
    cells = [(cell.line, cell.code) for cell in split_cells(source, "python")]
    assert cells == [(1, "import os\n"), (3, "a\n"), (9, "b\n")]
    assert [cell.code for cell in split_cells("a\n// %%\nb", "javascript")] == ["a\n", "b\n"]


def test_results_of_every_cell_are_shown_between_the_output(script):
    result = localbox("code", "--cells", script("x = 6\nx\n# %%\nprint('hi')\nx * 7\n"))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"6\nhi\n42\n", b"")


def test_without_cells_a_file_with_markers_is_a_program(script):
    source = "# %%\nimport sys; sys.argv\n# %%\nprint(__name__)\n"
    assert localbox("code", script(source)).stdout == b"__main__\n"


def test_the_first_failure_is_the_end_and_says_where(script):
    file = script("print('one')\n# %%\n\n1 / 0\n# %%\nprint('three')\n")
    result = localbox("code", "--cells", file)
    assert (result.returncode, result.stdout) == (1, b"one\n")
    lines = result.stderr.decode().splitlines()
    assert lines[-2] == "ZeroDivisionError: division by zero"
    assert lines[-1].startswith(
        f"localbox: cell 2 of 3, which begins on line 3 of {file}, failed: ZeroDivisionError"
    )
    result = localbox("code", "--cells", "-k", file)
    assert (result.returncode, result.stdout) == (1, b"one\nthree\n")


def test_input_and_c_can_be_cells_too():
    assert localbox("code", "--cells", stdin=b"6 * 7").stdout == b"42\n"
    assert localbox("code", "--cells", "-c", "6 * 7").stdout == b"42\n"


def test_other_languages_run_as_one_cell(script):
    file = script("x=6\necho $((x * 7))\n", "sum.sh")
    assert localbox("code", "--language", "bash", file).stdout == b"42\n"
    assert localbox("code", "-l", "sh", stdin=b"echo hi >&2").stderr == b"hi\n"
    result = localbox("code", "-l", "bash", "-c", "false")
    assert result.returncode == 1
    assert b"status 1" in result.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize(
    ("language", "code"),
    [("javascript", "[6 * 7][0]"), ("typescript", "const x: number = 6; x * 7")],
)
def test_javascript_is_a_language_too(language, code):
    assert localbox("code", "-l", language, "-c", code).stdout == b"42\n"


def test_an_unknown_language_is_wrong_usage():
    result = localbox("code", "-l", "cobol", "-c", "1")
    assert result.returncode == 2
    assert b"python, javascript" in result.stderr


def test_output_comes_while_the_cell_runs():
    code = "import time; print('first', flush=True); time.sleep(1000)"
    with start("code", "--cells", "-c", code) as process:
        assert process.stdout.readline() == b"first\n"
        process.terminate()
        assert process.wait(PATIENCE_S) == 128 + 15


def test_it_ends_quietly_when_nobody_reads_its_output():
    with start("code", "--cells", "-c", "while True: print('y')") as process:
        assert process.stdout.read(2) == b"y\n"
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 128 + 13
        assert process.stderr.read() == b""


def test_a_timeout_is_124():
    result = localbox("code", "--cells", "--timeout", "0.5", "-c", "while True: pass")
    assert result.returncode == 124
    assert b"the cell was interrupted after 0.5 s" in result.stderr


def test_the_profiles_wall_time_is_124_too(tmp_path):
    profile = tmp_path / "short.yaml"
    profile.write_text("resources: {wall_time: 2s}\n")
    words = ("--profile", str(profile), "--cells", "-c", "import time; time.sleep(1000)")
    result = localbox("code", *words)
    assert result.returncode == 124
    assert complaint(result).endswith("resources.wall_time of profile short is 2 s")


def test_env_and_cwd_are_the_cells():
    words = ("-e", "FLAVOUR=a=b", "--cwd", "/tmp", "--cells")
    code = "import os; print(os.environ['FLAVOUR'], os.getcwd())"
    assert localbox("code", *words, "-c", code).stdout == b"a=b /tmp\n"


def test_figures_are_saved_beside_the_script_and_nothing_is_overwritten(script, tmp_path):
    pytest.importorskip("matplotlib")
    file = script("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\n")
    (tmp_path / "analysis-1.png").write_text("the user's")
    result = localbox("code", "--cells", file)
    assert result.stdout.decode() == f"{tmp_path}/analysis-2.png\n"
    assert (tmp_path / "analysis-2.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "analysis-1.png").read_text() == "the user's"


def test_svg_and_jpeg_are_figures_too(tmp_path):
    code = (
        "from IPython.display import SVG, Image, display\n"
        "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))\n"
        "display(Image(b'\\xff\\xd8\\xff', format='jpeg'))"
    )
    result = localbox("code", "--figures", str(tmp_path), "--cells", "-c", code)
    assert result.stdout.decode() == f"{tmp_path}/figure-1.svg\n{tmp_path}/figure-1.jpg\n"
    assert (tmp_path / "figure-1.svg").read_text().startswith("<svg")
    assert (tmp_path / "figure-1.jpg").read_bytes() == b"\xff\xd8\xff"


def test_a_figure_that_cannot_be_saved_costs_only_itself(tmp_path):
    pytest.importorskip("matplotlib")
    code = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show(); print('on')"
    words = ("--figures", str(tmp_path / "none"), "--cells", "-c", code)
    result = localbox("code", *words)
    assert (result.returncode, result.stdout) == (0, b"<Figure size 640x480 with 1 Axes>\non\n")
    assert "a figure was not saved" in complaint(result)


def test_a_table_is_a_table():
    pytest.importorskip("pandas")
    code = (
        "import pandas as pd\n"
        "pd.DataFrame({'city': ['Rome', 'Oslo'], 'sales': [10, 30]}, index=['a', 'b'])"
    )
    lines = localbox("code", "--cells", "-c", code).stdout.decode().splitlines()
    assert [line.split() for line in lines if "━" not in line] == [
        ["┃", "city", "┃", "sales"],
        ["a", "│", "Rome", "│", "10"],
        ["b", "│", "Oslo", "│", "30"],
    ]


def test_json_has_what_each_cell_gave(script):
    file = script("import sys\nprint('hi'); print('oh', file=sys.stderr)\n6 * 7\n# %%\n1 / 0\n")
    result = localbox("code", "--cells", "--json", file)
    said = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (1, b"")
    assert said["exit_code"] == 1
    first, second = said["cells"]
    assert first == {
        "execution_count": 1,
        "stdout": "hi\n",
        "stderr": "oh\n",
        "results": [{"text": "42", "is_main_result": True}],
        "error": None,
    }
    assert (second["error"]["name"], second["execution_count"]) == ("ZeroDivisionError", 2)


def test_json_of_a_program_is_that_of_run():
    code = "print('hi'); raise SystemExit(3)"
    result = localbox("code", "--json", "-c", code)
    assert result.returncode == 3
    expected = localbox("run", "--json", "--", "python3", "-c", code)
    assert json.loads(result.stdout) == json.loads(expected.stdout)
    assert json.loads(result.stdout)["stdout"] == "hi\n"


@pytest.mark.parametrize(
    "words", [("--cells", "-c", "1", "argument"), ("-k", "-c", "1"), ("--figures", ".", "-c", "1")]
)
def test_what_does_not_go_together_is_wrong_usage(words):
    assert localbox("code", *words).returncode == 2


def test_help_shows_examples():
    said = localbox("code", "--help").stdout.decode()
    for example in ("localbox code report.ipynb", "localbox code --cells analysis.py"):
        assert example in said
