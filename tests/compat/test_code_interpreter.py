"""localbox.execution and localbox.charts against e2b_code_interpreter: shape, then behaviour."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from enum import Enum
from typing import Any

import e2b_code_interpreter
import pytest
from e2b_code_interpreter import charts as their_charts
from e2b_code_interpreter import models as their_models
from hypothesis import given
from hypothesis import strategies as st

import localbox
from localbox import charts, execution
from tests.compat.introspection import (
    dataclass_shape,
    how_called,
    returned,
    signature,
    spelled,
    without_own_keywords,
)


def classes_of(module: Any) -> dict[str, type]:
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }


THEIRS = {**classes_of(their_models), **classes_of(their_charts)}
OURS = {**classes_of(execution), **classes_of(charts)}
ENUMS = [name for name, value in THEIRS.items() if issubclass(value, Enum)]
DATACLASSES = [name for name, value in THEIRS.items() if dataclasses.is_dataclass(value)]
PLAIN = sorted(set(THEIRS) - set(ENUMS))
# What E2B types as Optional[X] = None and localbox types more exactly.
NARROWED = {"dict": "dict[str, Any]"}
MEMBERS = [
    (name, member)
    for name in PLAIN
    for member, value in vars(THEIRS[name]).items()
    if (inspect.isfunction(value) or isinstance(value, property | classmethod))
    and (not member.startswith("__") or member in {"__init__", "__getitem__", "__str__"})
]


def own(name: str) -> type:
    return getattr(execution, name, None) or getattr(charts, name)


def narrowed(annotation: str) -> str:
    parts = annotation.split(" | ")
    return " | ".join(sorted(NARROWED.get(part, part) for part in parts))


def test_every_class_of_e2b_is_there_and_one_more():
    assert set(OURS) - set(THEIRS) == {"ExecutionBuilder"}
    assert set(THEIRS) <= set(OURS)


@pytest.mark.parametrize("name", sorted({*THEIRS, "RunCodeLanguage"}))
def test_class_is_reached_from_the_package(name: str):
    assert getattr(localbox, name) is own(name)


def test_the_package_lacks_no_name_of_e2b_code_interpreter_that_is_about_code():
    theirs = {
        name
        for name in dir(e2b_code_interpreter)
        if not name.startswith("_")
        and getattr(their_models, name, None) is getattr(e2b_code_interpreter, name)
    }
    assert {"Execution", "RunCodeLanguage"} <= theirs <= set(localbox.__all__)


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_class_has_the_parents_e2b_gives_it(name: str):
    assert [base.__name__ for base in own(name).__mro__] == [
        base.__name__ for base in THEIRS[name].__mro__
    ]


@pytest.mark.parametrize("name", ENUMS)
def test_enum_has_the_members_of_e2b(name: str):
    assert [(m.name, m.value, str(m)) for m in own(name)] == [
        (m.name, m.value, str(m)) for m in THEIRS[name]
    ]


@pytest.mark.parametrize("name", DATACLASSES)
def test_dataclass_has_the_fields_of_e2b_in_order(name: str):
    ours, theirs = dataclass_shape(own(name)), dataclass_shape(THEIRS[name])
    # Factories are compared by name: both have a Logs of their own.
    for shape in (ours, theirs):
        shape["fields"] = [
            (field, narrowed(kind), default, getattr(factory, "__name__", None), kw_only)
            for field, kind, default, factory, kw_only in typing.cast(Any, shape["fields"])
        ]
    assert ours == theirs


@pytest.mark.parametrize("name", sorted(set(PLAIN) - set(DATACLASSES)))
def test_plain_class_declares_the_attributes_of_e2b(name: str):
    def declared(owner: type) -> dict[str, str]:
        annotations = vars(owner).get("__annotations__", {}).items()
        return {attribute: spelled(kind) for attribute, kind in annotations}

    assert not dataclasses.is_dataclass(own(name))
    assert declared(own(name)) == declared(THEIRS[name])


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_member_is_called_as_in_e2b(name: str, member: str):
    assert how_called(own(name), member) == how_called(THEIRS[name], member)


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_member_takes_the_parameters_of_e2b(name: str, member: str):
    if how_called(THEIRS[name], member) == "property":
        return
    expected = signature(getattr(THEIRS[name], member))
    assert without_own_keywords(signature(getattr(own(name), member)), expected) == expected


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_member_returns_the_type_of_e2b(name: str, member: str):
    ours, theirs = (
        getattr(static, "fget", None) or getattr(owner, member)
        for owner in (own(name), THEIRS[name])
        for static in [inspect.getattr_static(owner, member)]
    )
    expected = returned(theirs)
    if expected is None:
        pytest.skip("E2B does not annotate it")
    assert narrowed(str(returned(ours))) == narrowed(expected)


def test_languages_are_those_of_e2b():
    ours, theirs = execution.RunCodeLanguage, e2b_code_interpreter.RunCodeLanguage
    assert spelled(ours) == spelled(theirs)


def test_chart_types_are_those_of_e2b():
    names = [kind.__name__ for kind in typing.get_args(charts.ChartTypes)]
    assert names == [kind.__name__ for kind in typing.get_args(their_charts.ChartTypes)]


TEXT = st.none() | st.text(max_size=6)
NUMBER = st.integers() | st.floats(allow_nan=False)
LABELS = dict.fromkeys(["x_label", "y_label", "x_unit", "y_unit"], TEXT)
SCALES = st.sampled_from([*(scale.value for scale in their_charts.ScaleType), "other"]) | TEXT


def chart_of(kind: str, element: st.SearchStrategy[Any], **fields: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "type": st.just(kind),
            "title": TEXT,
            "elements": st.lists(element, max_size=3),
            **fields,
        },
        optional={"news": st.integers()},
    )


def points(kind: str) -> st.SearchStrategy[Any]:
    pair = st.tuples(NUMBER | st.text(max_size=3), NUMBER).map(list)
    ticks = {
        f"{axis}_{part}": st.lists(NUMBER, max_size=3)
        for axis in "xy"
        for part in ["ticks", "tick_labels"]
    }
    series = st.fixed_dictionaries({"label": TEXT, "points": st.lists(pair, max_size=3)})
    scales = {"x_scale": SCALES, "y_scale": SCALES}
    return chart_of(kind, series, **LABELS, **ticks, **scales)


QUARTILES = ["min", "first_quartile", "median", "third_quartile", "max"]
SIMPLE_CHARTS = st.one_of(
    points("line"),
    points("scatter"),
    chart_of(
        "bar", st.fixed_dictionaries({"label": TEXT, "group": TEXT, "value": NUMBER}), **LABELS
    ),
    chart_of("pie", st.fixed_dictionaries({"label": TEXT, "angle": NUMBER, "radius": NUMBER})),
    chart_of(
        "box_and_whisker",
        st.fixed_dictionaries(
            {"label": TEXT, **dict.fromkeys(QUARTILES, NUMBER)},
            optional={"outliers": st.none() | st.lists(NUMBER, max_size=2)},
        ),
        **LABELS,
    ),
    chart_of("unknown", st.integers()),
    st.just({"type": "", "title": "empty", "elements": []}),
)
RAW_CHARTS = SIMPLE_CHARTS | chart_of("superchart", SIMPLE_CHARTS | st.none() | st.just({}))


def tree(value: object) -> object:
    """Class names and attributes all the way down, as far as there are objects."""
    if isinstance(value, Enum):
        return (type(value).__name__, value.name)
    if isinstance(value, list):
        return [tree(item) for item in value]
    if hasattr(value, "__dict__"):
        attributes = {name: tree(inner) for name, inner in vars(value).items()}
        return (type(value).__name__, attributes)
    return value


@given(RAW_CHARTS)
def test_chart_deserializes_to_the_attributes_of_e2b(raw: dict[str, Any]):
    ours, theirs = charts.deserialize_chart(raw), their_charts._deserialize_chart(raw)
    assert ours is not None
    assert theirs is not None
    assert tree(ours) == tree(theirs)
    assert ours.to_dict() == theirs.to_dict()


@pytest.mark.parametrize("raw", [None, {}])
def test_no_chart_is_none_in_both(raw: dict[str, Any] | None):
    assert charts.deserialize_chart(raw) is their_charts._deserialize_chart(raw) is None


@given(RAW_CHARTS, st.data())
def test_a_chart_that_lacks_something_is_left_out_where_e2b_leaves_it_out(
    raw: dict[str, Any], data: st.DataObject
):
    lacking = {**raw}
    del lacking[data.draw(st.sampled_from(sorted(raw)))]
    ours, theirs = execution.Result(chart=lacking), their_models.Result(chart=lacking)
    assert tree(ours.chart) == tree(theirs.chart)


@pytest.mark.parametrize("kind", ["heatmap", ["line"], {"line": 1}, 3, None, False])
def test_a_kind_of_chart_nobody_knows_is_treated_as_in_e2b(kind: object):
    raw: Any = {"type": kind, "title": "t", "elements": []}
    ours, theirs = execution.Result(chart=raw), their_models.Result(chart=raw)
    assert tree(ours.chart) == tree(theirs.chart)


ITEMS = st.none() | st.dictionaries(st.text(max_size=4), st.integers(), max_size=2)
EXTRA = st.none() | st.dictionaries(
    st.sampled_from(["application/geo+json", "text/x-new", "png"]), st.integers(), max_size=2
)
RESULTS = st.fixed_dictionaries(
    {},
    optional={
        **{
            name: st.just("") | TEXT
            for name in ["text", "html", "markdown", "svg", "png", "jpeg", "pdf", "latex"]
        },
        "json": ITEMS,
        "javascript": TEXT,
        "data": ITEMS,
        "chart": st.none() | RAW_CHARTS,
        "is_main_result": st.booleans(),
        "extra": EXTRA,
        "news": st.integers(),
    },
)
REPRS = [name for name in vars(their_models.Result) if name.startswith("_repr_")]


@given(RESULTS)
def test_result_has_the_formats_and_representations_of_e2b(contents: dict[str, Any]):
    ours, theirs = execution.Result(**contents), their_models.Result(**contents)
    assert list(ours.formats()) == list(theirs.formats())
    assert (str(ours), repr(ours)) == (str(theirs), repr(theirs))
    for name in REPRS:
        assert getattr(ours, name)() == getattr(theirs, name)()
    for field in dataclasses.fields(theirs):
        assert tree(ours[field.name]) == tree(theirs[field.name])


@given(
    st.lists(RESULTS.filter(lambda contents: not contents.get("extra")), max_size=3),
    st.lists(st.text(max_size=4), max_size=2),
    st.booleans(),
)
def test_execution_prints_and_serializes_as_in_e2b(
    results: list[dict[str, Any]], output: list[str], fails: bool
):
    def built(models: Any) -> Any:
        return models.Execution(
            results=[models.Result(**contents) for contents in results],
            logs=models.Logs(stdout=output, stderr=output[1:], news=1),
            error=models.ExecutionError("E", "v", "tb", news=1) if fails else None,
            execution_count=3,
            news=1,
        )

    ours, theirs = built(execution), built(their_models)
    assert ours.to_json() == theirs.to_json()
    assert ours.text == theirs.text
    assert repr(ours) == repr(theirs)
    assert ours.execution_count == theirs.execution_count
    # E2B has no way to serialize the formats in `extra`; test_execution.py says what ours does.
    with pytest.raises(AttributeError):
        their_models.Execution([their_models.Result(extra={"a/b": 1})]).to_json()


def test_values_are_equal_when_their_fields_are_and_cannot_be_hashed():
    for models in (execution, their_models):
        assert models.Result(text="a") == models.Result(text="a") != models.Result(text="b")
        assert models.Execution() == models.Execution()
        with pytest.raises(TypeError, match="unhashable"):
            hash(models.Result())


def test_empty_values_are_as_in_e2b():
    ours, theirs = execution.Execution(), their_models.Execution()
    assert repr(ours) == repr(theirs)
    assert json.loads(ours.to_json()) == json.loads(theirs.to_json())
    assert ours.text is theirs.text is None
    assert execution.MIMEType("a/b") == their_models.MIMEType("a/b") == "a/b"


def test_context_is_read_and_compared_as_in_e2b():
    data = {"id": "x1", "language": "python", "cwd": "/home/user", "news": "?"}
    ours, theirs = execution.Context.from_json(data), their_models.Context.from_json(data)
    assert repr(ours) == repr(theirs)
    assert ours == execution.Context("x1", "python", "/home/user", news=1)


def test_output_message_prints_as_its_line():
    for models in (execution, their_models):
        message = models.OutputMessage("line\n", 5)
        assert (str(message), message.timestamp, message.error) == ("line\n", 5, False)
