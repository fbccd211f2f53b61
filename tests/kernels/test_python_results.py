"""What a cell of the Python kernel shows: results, their formats, and their order."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.kernels.fake_host import Context, Zygote

pytest.importorskip("IPython")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    for name in ("pandas", "matplotlib", "PIL"):
        pytest.importorskip(name)
    with Zygote("localbox.kernels.python", ["numpy", "pandas", "matplotlib.pyplot"]) as zygote:
        yield zygote


@pytest.fixture
def context(zygote: Zygote) -> Iterator[Context]:
    with zygote.context() as context:
        yield context


def test_last_expression_is_the_main_result(context: Context) -> None:
    ran = context.run("1\n2\nx = 3\nx + 1")
    assert ran.events == [("result", {"text": "4", "is_main_result": True})]


def test_a_semicolon_keeps_the_result_back_and_one_in_a_string_does_not(context: Context) -> None:
    assert context.run("1 + 1;").results == []
    assert context.run("'a;'").text == "a;"


def test_state_is_kept_between_cells(context: Context) -> None:
    context.run("x = 20\ndef f(y):\n    return x + y")
    assert context.run("f(1)").text == "21"


def test_contexts_know_nothing_of_each_other(zygote: Zygote, context: Context) -> None:
    context.run("x = 1")
    other = zygote.context()
    assert other.run("'x' in globals(), __name__").text == "(False, '__main__')"


def test_a_new_context_has_only_what_a_new_interpreter_has(context: Context) -> None:
    names = "sorted(n for n in globals() if not n.startswith('_'))"
    assert context.run(names).main["json"] == ["In", "Out", "exit", "get_ipython", "open", "quit"]
    assert context.run("import sys; sys.argv, sys.modules['__main__'].__dict__ is globals()").text
    assert context.run("_").text == "([''], True)"


def test_cells_are_counted_from_one(context: Context) -> None:
    assert [context.run(code).count for code in ("1", "1/0", "x = ", "2")] == [1, 2, 3, 4]


def test_random_numbers_differ_between_contexts(zygote: Zygote) -> None:
    code = "import random, numpy; (random.random(), numpy.random.random())"
    assert zygote.context().run(code).text != zygote.context().run(code).text


def test_an_indented_cell_runs(context: Context) -> None:
    assert context.run(
        "\n        x = 1\n        for i in range(3):\n            x += i\n        x\n    "
    )
    assert context.run("\n        x").text == "4"


def test_a_string_loses_its_outer_quotes(context: Context) -> None:
    assert context.run("'it is'").text == "it is"
    assert context.run('"it\'s"').text == "it's"
    assert context.run("repr('a')").text == "'a'"


def test_lists_and_dicts_come_as_json_too(context: Context) -> None:
    ran = context.run("{'a': [1, float('nan'), None], 2: (True,)}")
    assert ran.main["json"] == {"a": [1, None, None], "2": [True]}
    assert "json" not in context.run("[object()]").main
    assert "json" not in context.run("x = []; x.append(x); x").main


def test_display_shows_several_results_in_the_order_of_the_output(context: Context) -> None:
    code = "print('a')\ndisplay(1)\nprint('b')\ndisplay('two', [3])\n4"
    kinds = [
        (kind, what if kind == "stdout" else what["text"])
        for kind, what in context.run(code).events
    ]
    assert kinds == [
        ("stdout", "a\n"),
        ("result", "1"),
        ("stdout", "b\n"),
        ("result", "two"),
        ("result", "[3]"),
        ("result", "4"),
    ]


@pytest.mark.parametrize(
    ("method", "name", "content"),
    [
        ("html", "html", "<b>a</b>"),
        ("markdown", "markdown", "*a*"),
        ("svg", "svg", "<svg/>"),
        ("latex", "latex", "$a$"),
        ("javascript", "javascript", "a()"),
    ],
)
def test_repr_methods_give_their_format(
    context: Context, method: str, name: str, content: str
) -> None:
    code = f"class A:\n    def _repr_{method}_(self):\n        return {content!r}\nA()"
    assert context.run(code).main[name] == content


def test_a_mime_bundle_is_taken_apart_and_unknown_types_are_extra(context: Context) -> None:
    ran = context.run(
        "class A:\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None):\n"
        "        return {'text/plain': 'a', 'application/pdf': b'%', 'application/x-b': {'c': 1}}\n"
        "A()"
    )
    assert ran.main == {
        "text": "a",
        "pdf": base64.b64encode(b"%").decode(),
        "extra": {"application/x-b": {"c": 1}},
        "is_main_result": True,
    }


def test_a_display_hook_that_raises_loses_no_other_result(context: Context) -> None:
    ran = context.run(
        "class A:\n"
        "    def _repr_html_(self):\n"
        "        raise ValueError('no html')\n"
        "    def __repr__(self):\n"
        "        return 'an A'\n"
        "display(1)\nA()"
    )
    assert [result["text"] for result in ran.results] == ["1", "an A"]
    assert "ValueError: no html" in ran.stderr
    assert "IPython" not in ran.stderr
    assert ran.error is None


def test_a_table_comes_as_text_html_and_data(context: Context) -> None:
    ran = context.run(
        "import pandas as pd, numpy as np\n"
        "pd.DataFrame({'n': [1, 2], 'f': [.5, np.nan], 's': ['a', None],\n"
        "              't': [pd.Timestamp('2024-01-02'), pd.NaT], 3: [np.int8(1), [np.nan]],\n"
        "              'i': pd.array([None, 2], 'Int8'), 'F': pd.array([.5, None], 'Float64')})"
    )
    assert ran.main["data"] == {
        "n": [1, 2],
        "f": [0.5, None],
        "s": ["a", None],
        "t": ["2024-01-02T00:00:00", None],
        "3": [1, [None]],
        "i": [None, 2],
        "F": [0.5, None],
    }
    assert "<table" in ran.main["html"]
    assert "2024-01-02" in ran.main["text"]


def test_a_picture_comes_as_png(context: Context) -> None:
    ran = context.run("from PIL import Image\nImage.new('RGB', (2, 2))")
    assert base64.b64decode(ran.main["png"]).startswith(b"\x89PNG")


PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4], label='l')\nplt.title('T');\n"


def is_png(result: dict[str, str]) -> bool:
    return base64.b64decode(result["png"]).startswith(b"\x89PNG")


def test_an_open_figure_is_shown_when_the_cell_ends_and_closed(context: Context) -> None:
    ran = context.run(PLOT + "print('end')")
    assert [kind for kind, _ in ran.events] == ["stdout", "result"]
    assert is_png(ran.results[0])
    assert context.run("plt.get_fignums()").text == "[]"


def test_a_figure_comes_with_its_chart(context: Context) -> None:
    pytest.importorskip("e2b_charts")
    chart = context.run(PLOT).results[0]["chart"]
    assert (chart["type"], chart["title"]) == ("line", "T")
    assert chart["elements"][0]["points"] == [[1, 3], [2, 4]]


def test_show_shows_figures_where_it_is_called(context: Context) -> None:
    ran = context.run(PLOT + "plt.show()\nprint('end')")
    assert [kind for kind, _ in ran.events] == ["result", "stdout"]


def test_a_figure_may_be_the_main_result(context: Context) -> None:
    ran = context.run(
        "from matplotlib.figure import Figure\nf = Figure()\nf.subplots().plot([1])\nf"
    )
    assert is_png(ran.main)
    assert "Figure" in ran.main["text"]


def test_a_figure_that_cannot_be_drawn_loses_no_other(context: Context) -> None:
    ran = context.run(
        "import matplotlib.pyplot as plt\n"
        "plt.figure(); plt.plot([1]); plt.title('$\\\\frac{$')\n"
        "plt.figure(); plt.plot([2]);"
    )
    assert [("png" in result) for result in ran.results] == [False, True]
    assert "ParseException" in ran.stderr or "ValueError" in ran.stderr
    assert ran.error is None


def test_the_matplotlib_magic_is_accepted_and_its_format_can_be_set(context: Context) -> None:
    assert context.run("%matplotlib inline").events == []
    assert context.run("%config InlineBackend.figure_format = 'svg'").events == []
    assert context.run(PLOT).results[0]["svg"].lstrip().startswith("<?xml")


def test_pyplot_imported_by_the_cell_itself_is_shown_too() -> None:
    pytest.importorskip("matplotlib")
    with Zygote("localbox.kernels.python") as zygote, zygote.context() as context:
        assert context.run("import sys; 'matplotlib' in sys.modules").text == "False"
        ran = context.run(PLOT + "plt.show()\nprint('end')")
        assert [kind for kind, _ in ran.events] == ["result", "stdout"]
        assert is_png(ran.results[0])


def test_a_table_that_cannot_be_converted_still_has_its_text(context: Context) -> None:
    ran = context.run(
        "import pandas as pd\n"
        "class T(pd.DataFrame):\n"
        "    @property\n"
        "    def iloc(self): raise LookupError('no rows')\n"
        "    def __repr__(self): return 'a T'\n"
        "    def _repr_html_(self): return '<p>'\n"
        "T({'a': [1]})"
    )
    assert ran.main == {"text": "a T", "html": "<p>", "is_main_result": True}
    assert "LookupError: no rows" in ran.stderr


def test_charts_are_found_in_the_usual_figures(context: Context) -> None:
    pytest.importorskip("e2b_charts")
    code = (
        "import matplotlib.pyplot as plt\n"
        "plt.figure(); plt.bar(['a', 'b'], [1, 2])\n"
        "plt.figure(); plt.scatter([1, 2], [3, 4])\n"
        "plt.figure(); plt.pie([1, 3], labels=['x', 'y'])\n"
        "plt.figure(); plt.boxplot([[1, 2, 3, 4, 7], [2, 3, 5, 8, 9]], patch_artist=True)\n"
        "_, both = plt.subplots(2); both[0].plot([1]); both[1].bar(['a', 'b'], [1, 2]);"
    )
    kinds = [result["chart"]["type"] for result in context.run(code).results]
    assert kinds == ["bar", "scatter", "pie", "box_and_whisker", "superchart"]


def test_a_figure_whose_chart_cannot_be_made_still_comes_as_png(context: Context) -> None:
    # With an outlier here, e2b_charts 1.0 loses the box's whisker and raises.
    code = "import matplotlib.pyplot as plt\nplt.boxplot([1, 2, 3, 4, 9], patch_artist=True);"
    ran = context.run(code)
    assert is_png(ran.results[0])
    assert "chart" not in ran.results[0]
    assert ran.stderr == ""
