"""DataFrames on a terminal: what fits is shown, and how much there is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from localbox import Result
from localbox.cli.tables import table_of


def shown(result, width=80):
    parts = table_of(result, width)
    assert parts is not None
    console = Console(file=io.StringIO(), width=width)
    for part in parts:
        console.print(part)
    return console.file.getvalue().splitlines()


def result_of(table):
    return Result(html=table.to_html(notebook=True), data=table.to_dict("list"))


def cells(line):
    return [part.strip() for part in line.replace("┃", "│").split("│")]


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


def test_a_small_table_is_shown_whole_with_its_index(pd):
    lines = shown(result_of(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=["i", "j"])))
    assert cells(lines[0]) == ["", "a", "b"]
    assert [cells(line) for line in lines[2:]] == [["i", "1", "x"], ["j", "2", "y"]]


def test_of_many_rows_the_first_and_the_last_are_shown_and_how_many_there_are(pd):
    lines = shown(result_of(pd.DataFrame({"a": range(50)})))
    assert [cells(line)[0] for line in lines[2:-1]] == [
        *map(str, range(10)),
        "…",
        *map(str, range(40, 50)),
    ]
    assert lines[-1] == "50 rows x 1 columns"


def test_rows_that_pandas_left_out_are_counted_too(pd):
    lines = shown(
        Result(html=pd.DataFrame({"a": range(1000)})._repr_html_(), data={"a": [0] * 1000})
    )
    assert lines[-1] == "1000 rows x 1 columns"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_columns_that_do_not_fit_are_left_out_in_the_middle(pd, width):
    table = pd.DataFrame({f"column{number}": ["text" * 3] for number in range(15)})
    lines = shown(result_of(table), width)
    titles = cells(lines[0])
    assert (titles[1], titles[-1]) == ("column0", "column14")
    assert "…" in titles
    assert max(map(len, lines)) <= width
    assert lines[-1] == "1 rows x 15 columns"


def test_an_index_of_two_levels_keeps_its_places(pd):
    table = pd.DataFrame({"g": list("aab"), "h": list("xyx"), "v": [1, 2, 3]})
    lines = shown(result_of(table.groupby(["g", "h"]).sum()))
    assert [cells(line) for line in lines if "━" not in line][-3:] == [
        ["a", "x", "1"],
        ["", "y", "2"],
        ["b", "x", "3"],
    ]


def test_a_cell_cannot_move_the_cursor():
    html = "<table><tr><td>0</td><td>\x1b[2Jone\ntwo</td></tr></table>"
    (line,) = shown(Result(html=html, data={"a": ["x"]}))[2:]
    assert cells(line) == ["0", "\N{REPLACEMENT CHARACTER}[2Jone two"]


@pytest.mark.parametrize(
    ("html", "data"),
    [
        ("<p>no table</p>", {"a": [1]}),
        ("<table></table>", {"a": [1]}),
        ("<table><tr><td>1</td></tr></table>", {}),
        ("<table><tr><td>1</td></tr></table>", {"a": 7}),
        ("<table><tr><td>1</td></tr></table>", None),
        (None, {"a": [1]}),
    ],
)
def test_what_is_no_table_is_left_to_others(html, data):
    assert table_of(Result(text="text", html=html, data=data), 80) is None


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td colspan=999999999 rowspan=999999999>1</td></tr><tr><td>2",
        "<table>" + "<tr><td>1</td></tr>" * 5000,
        "</td></tr><tr><td>1</td></table><table><tr><td>2</td></tr></table>",
        "<table><tr><td colspan=-1 rowspan=x>1</td></tr></table>",
        "<table><thead><tr><th>a</th></tr><tr><td>1</td><td>2</td></tr></table>",
        "<table><tr></tr><tr><td>1</td></tr></table>",
        "<table><tr><td>" * 500_000,
    ],
)
def test_a_table_that_is_not_what_pandas_writes_is_no_crash(html):
    parts = table_of(Result(html=html, data={"a": [1]}), 80)
    if parts is not None:
        Console(file=io.StringIO(), width=80).print(*parts)
