"""YAML with lines, and without the ways in which YAML can hurt its reader."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from localbox.errors import PolicyError
from localbox.policy.document import MAX_FILE_BYTES, Node, parse_document, read_text


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def parse(text: str) -> Node:
    return parse_document(text, "p.yaml")


def test_scalars_stay_as_they_were_written() -> None:
    node = parse("a: no\nb: 0755\nc: 1:30\nd: none\ne: '5'\nf: [1_000, ~]\n")
    assert plain(node) == {"a": "no", "b": "0755", "c": "1:30", "d": "none", "e": "5",
                           "f": ["1_000", "~"]}  # fmt: skip


def test_nodes_know_their_line_and_key_path() -> None:
    node = parse("a:\n  b:\n    - x\n    - y: 1\n")
    item = node.value["a"].value["b"].value[1].value["y"]  # type: ignore[index,call-overload,union-attr]
    assert (item.line, item.path) == (4, "a.b[1].y")


def test_an_empty_value_is_null_and_an_empty_text_is_not() -> None:
    values = parse("a:\nb: ~\nc: ''\nd: null\ne: 'null'\n").value
    assert isinstance(values, dict)
    assert [values[key].is_null for key in "abcde"] == [True, True, False, True, False]


def test_an_anchor_can_be_used_again() -> None:
    node = parse("a: &list [x, y]\nb: *list\n")
    assert plain(node) == {"a": ["x", "y"], "b": ["x", "y"]}
    assert node.value["b"].value[1].path == "b[1]"  # type: ignore[index,call-overload,union-attr]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "~\n"])
def test_an_empty_document_is_an_empty_mapping(text: str) -> None:
    assert parse(text).value == {}


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a: this key was set above already"),
        ("x:\n  a: 1\n  a: 2\n", 3, "x.a: this key was set above already"),
        ("a: [1\n", 2, "not YAML"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: *nowhere\n", 1, "names no anchor"),
        ("a: &a [*a]\n", 1, "names no anchor"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "tag"),
        ("a: !!int 5\n", 1, "tag"),
        ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: \x01\n", 1, "not YAML"),
        ("[" * 40 + "]" * 40, 1, "nested deeper"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, where: int, problem: str) -> None:
    with pytest.raises(PolicyError) as info:
        parse(text)
    assert str(info.value).startswith(f"p.yaml:{where}: ")
    assert problem in str(info.value)


def test_a_billion_laughs_are_cut_short() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(PolicyError, match="aliases counted"):
        parse("\n".join(lines))


def test_a_ladder_of_aliases_is_not_deeper_than_the_limit() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]
    with pytest.raises(PolicyError, match="nested deeper"):
        parse("\n".join(lines))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_endless_nesting_neither_crashes_nor_takes_long(opening: str) -> None:
    begin = time.monotonic()
    with pytest.raises(PolicyError):
        parse(opening * (300_000 // len(opening)))
    assert time.monotonic() - begin < 20  # it would be minutes, or a segmentation fault


def test_no_text_raises_anything_but_policy_error() -> None:
    dice = random.Random(2)
    pieces = ["a", "b:", ": ", "- ", "\n", "  ", "[", "]", "{", "}", "&x ", "*x", "!!", "'", '"',
              "#", "|", ">", "%", "---", "...", "? ", "\t", "\0", "\u2028", "\ufeff", "é", "~",
              ","]  # fmt: skip
    for _ in range(3000):
        try:
            parse("".join(dice.choices(pieces, k=dice.randint(1, 25))))
        except PolicyError as error:
            assert str(error).startswith("p.yaml:")  # noqa: PT017


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(PolicyError, match=r"not a regular file|directory"):
            read_text(name)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="No such file"):
        read_text(tmp_path / "missing.yaml")
    with pytest.raises(PolicyError, match="null"):
        read_text(tmp_path / "a\0b.yaml")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(PolicyError, match="larger than"):
        read_text(file)


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"a: caf\xe9\n")
    with pytest.raises(PolicyError, match="not UTF-8"):
        read_text(file)
