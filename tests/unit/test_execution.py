"""A kernel's words become an Execution, whatever they are."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbox.errors import ProtocolError
from localbox.execution import Execution, ExecutionBuilder, ExecutionError, OutputMessage, Result
from localbox.protocol.frames import MAX_MESSAGE_BYTES

BAR = {
    "type": "bar",
    "title": "Sales",
    "x_label": "product",
    "y_label": "sold",
    "x_unit": None,
    "y_unit": None,
    "elements": [{"label": "A", "group": "", "value": 3}],
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["text", "html", "png", "json", "data", "chart", "extra", "javascript", "is_main_result"]
HOSTILE_CHART = st.fixed_dictionaries(
    {"type": st.sampled_from(["line", "bar", "pie", "box_and_whisker", "superchart", "?"]) | JSON},
    optional={
        key: JSON | st.lists(st.just(BAR)) for key in ["title", "elements", "x_label", "y_label"]
    },
)
HOSTILE_RESULT = st.dictionaries(st.sampled_from(KEYS), JSON | HOSTILE_CHART)


def built(*messages: dict[str, Any], limit_bytes: int = 1000) -> Execution:
    builder = ExecutionBuilder(limit_bytes)
    for message in messages:
        builder.take_message(message)
    return builder.execution


def lines(messages: Iterable[OutputMessage | None]) -> list[str]:
    return [message.line for message in messages if message is not None]


def test_a_cell_that_shows_prints_and_fails_is_an_execution_with_all_three():
    builder = ExecutionBuilder(1000)
    assert builder.take_message({"count": 7}) is None
    builder.take_output(b"out\n", error=False)
    builder.take_output(b"err\n", error=True)
    result = builder.take_message({"result": {"text": "3", "is_main_result": True}})
    failure = {"name": "ValueError", "value": "no", "traceback": "Traceback"}
    error = builder.take_message({"failure": failure})
    assert not builder.ended
    builder.take_message({"end": {"restart": None}})
    assert builder.finish() == []
    assert (builder.ended, builder.restart) == (True, None)
    execution = builder.execution
    assert execution.execution_count == 7
    assert (execution.logs.stdout, execution.logs.stderr) == (["out\n"], ["err\n"])
    assert execution.results == [result]
    assert execution.error is error
    assert error == ExecutionError("ValueError", "no", "Traceback")
    assert execution.text == "3"
    assert not execution.truncated


def test_the_end_says_why_a_context_restarts():
    builder = ExecutionBuilder(1000)
    builder.take_message({"end": {"restart": "the cell called os._exit(3)"}})
    assert builder.restart == "the cell called os._exit(3)"


def test_output_carries_the_time_at_which_it_came():
    before = time.time_ns()
    message = ExecutionBuilder(1000).take_output(b"x", error=True)
    assert message is not None
    assert before <= message.timestamp <= time.time_ns()
    assert (message.line, message.error, str(message)) == ("x", True, "x")


def test_a_character_that_comes_in_two_pieces_is_one_character_per_stream():
    builder = ExecutionBuilder(1000)
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert builder.take_output(first, error=False) is None
    assert builder.take_output(b"other", error=True) is not None
    assert lines([builder.take_output(second, error=False)]) == ["é"]
    assert builder.execution.logs.stdout == ["é"]


def test_bytes_that_are_no_text_become_replacement_characters_at_the_latest_at_the_end():
    builder = ExecutionBuilder(1000)
    assert lines([builder.take_output(b"a\xffb", error=False)]) == ["a�b"]
    assert builder.take_output("é".encode()[:1], error=False) is None
    assert lines(builder.finish()) == ["�"]
    assert builder.execution.logs.stdout == ["a�b", "�"]
    assert not builder.execution.truncated


@given(st.lists(st.tuples(st.binary(max_size=30), st.booleans())), st.integers(0, 60))
def test_output_over_the_limit_is_counted_and_reported_once(pieces, limit: int):
    builder = ExecutionBuilder(limit)
    told = [builder.take_output(chunk, error) for chunk, error in pieces]
    told += builder.finish()
    logs = builder.execution.logs
    assert lines(m for m in told if m and not m.error) == logs.stdout
    assert lines(m for m in told if m and m.error) == logs.stderr
    dropped = sum(len(chunk) for chunk, _ in pieces) - limit
    assert builder.execution.truncated == (dropped > 0)
    if dropped > 0:
        note = logs.stderr.pop()
        assert f"{dropped} bytes of output dropped" in note
        assert f"resources.output allows {limit} bytes" in note
    kept = "".join(logs.stdout + logs.stderr)
    # Only invalid bytes count for more in the text than they did on the way.
    assert len(kept.replace("�", "").encode()) <= limit
    assert builder.finish() == []


def test_the_note_on_dropped_output_has_a_line_of_its_own():
    builder = ExecutionBuilder(3)
    builder.take_output(b"abcdef", error=True)
    (note,) = builder.finish()
    assert note.error
    assert builder.execution.logs.stderr == ["abc", note.line]
    assert note.line == (
        "\n[localbox: 3 bytes of output dropped; the profile's resources.output allows 3 bytes]\n"
    )


def test_results_cannot_fill_the_memory_of_the_host():
    builder = ExecutionBuilder(1000)
    page = {"result": {"html": "x" * (MAX_MESSAGE_BYTES // 2)}}
    assert builder.take_message(page) is not None
    assert [builder.take_message(page) for _ in range(3)] == [None] * 3
    (note,) = builder.finish()
    assert "3 results dropped" in note.line
    assert builder.execution.truncated
    assert len(builder.execution.results) == 1


def test_the_small_main_result_outlives_large_pictures():
    builder = ExecutionBuilder(1000)
    for _ in range(3):
        builder.take_message({"result": {"html": "x" * (MAX_MESSAGE_BYTES // 2)}})
    builder.take_message({"result": {"text": "1", "is_main_result": True}})
    assert builder.execution.text == "1"
    assert builder.execution.truncated


def test_many_small_results_are_too_many_at_some_point():
    builder = ExecutionBuilder(1000)
    small = {"result": {"text": "x"}}
    taken = sum(builder.take_message(small) is not None for _ in range(MAX_MESSAGE_BYTES // 128))
    assert 1000 < taken < MAX_MESSAGE_BYTES // 128


def test_many_small_parts_of_a_result_weigh_too():
    builder = ExecutionBuilder(1000)
    numbers = {"result": {"data": {"a": [0] * (MAX_MESSAGE_BYTES // 64)}}}
    builder.take_message(numbers)
    assert builder.take_message(numbers) is None


def test_a_single_result_is_never_too_much():
    # The frame it came in was capped; dropping the only answer would help nobody.
    html = "x" * (MAX_MESSAGE_BYTES - 100)
    assert built({"result": {"html": html}}, limit_bytes=1).results[0].html == html


@pytest.mark.parametrize("count", [True, "3", 3.0, None, [], {}])
def test_a_count_that_is_no_number_is_dropped(count: object):
    assert built({"count": count}).execution_count is None


@pytest.mark.parametrize("message", [{"result": []}, {"failure": "x"}, {"end": None}, [], "x"])
def test_what_is_no_message_ends_the_conversation(message: Any):
    with pytest.raises(ProtocolError, match="a kernel"):
        ExecutionBuilder(1000).take_message(message)


@pytest.mark.parametrize("message", [{}, {"settle": True}, {"news": 1}])
def test_messages_for_somebody_else_change_nothing(message: dict[str, Any]):
    builder = ExecutionBuilder(1000)
    assert builder.take_message(message) is None
    assert (builder.execution, builder.ended) == (Execution(), False)


def test_fields_of_the_wrong_type_are_dropped_and_the_others_kept():
    contents = {
        "text": 3,
        "html": ["<p>"],
        "png": None,
        "svg": "<svg/>",
        "json": "not an object",
        "data": [1],
        "extra": "x",
        "chart": "line",
        "is_main_result": "yes",
        "__class__": "x",
        "formats": "x",
    }
    (result,) = built({"result": contents}).results
    assert result == Result(svg="<svg/>")
    assert list(result.formats()) == ["svg"]


def test_a_list_is_json():
    assert built({"result": {"json": [1, 2]}}).results[0]["json"] == [1, 2]


def test_a_failure_without_its_parts_is_still_an_error():
    error = built({"failure": {"name": ["x"], "traceback": None}}).error
    assert error == ExecutionError("", "", "")


def test_text_from_a_guest_can_always_be_printed():
    message = json.loads('{"result": {"text": "\\ud800 é"}, "count": 1}')
    (result,) = built(message).results
    assert result.text == "? é"
    assert result.text.encode()


def test_a_chart_that_cannot_be_read_costs_only_itself(caplog: pytest.LogCaptureFixture):
    contents = {"png": "aGk=", "chart": {"type": "x" * 5000, "title": "", "elements": []}}
    with caplog.at_level(logging.ERROR, logger="localbox"):
        (result,) = built({"result": contents}).results
    assert (result.png, result.chart) == ("aGk=", None)
    (record,) = caplog.records
    assert record.name == "localbox"
    assert len(record.getMessage()) < 500


def test_a_chart_becomes_an_object():
    (result,) = built({"result": {"chart": BAR}}).results
    assert result.chart is not None
    assert result.chart.elements[0].value == 3
    assert json.loads(Execution([result]).to_json())["results"][0]["chart"] == BAR


def test_a_deeply_nested_chart_is_left_out():
    chart: dict[str, Any] = {"type": "superchart", "title": "", "elements": []}
    for _ in range(5000):
        chart = {"type": "superchart", "title": "", "elements": [chart]}
    assert Result(chart=chart, text="x").chart is None


@given(JSON | st.dictionaries(st.sampled_from(["count", "result", "failure", "end"]), JSON))
def test_nothing_a_kernel_says_is_more_than_a_protocol_error(message: Any):
    try:
        execution = built(message)
    except ProtocolError:
        return
    repr(execution)
    assert isinstance(execution.to_json(), str)


@given(HOSTILE_RESULT)
def test_every_object_is_a_result_with_fields_of_their_types(contents: dict[str, Any]):
    (result,) = built({"result": contents}).results
    assert all(isinstance(name, str) for name in result.formats())
    for name in ("text", "html", "png", "javascript"):
        content = getattr(result, name)
        assert content is None or content.encode() is not None
    assert isinstance(result.is_main_result, bool)
    assert str(result).startswith("Result(")
    Execution([result]).to_json()


def test_truncation_is_not_part_of_what_an_execution_equals():
    assert Execution(truncated=True) == Execution()
    assert Execution(truncated=True).truncated
    assert not Execution().truncated


def test_formats_beyond_e2b_are_in_the_json_of_an_execution():
    result = Result(text="x", extra={"application/x": "y"})
    assert json.loads(Execution([result]).to_json())["results"] == [
        {"text": "x", "application/x": "y"}
    ]
