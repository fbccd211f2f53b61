"""Every promise in SECURITY.md names tests, and those tests are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECURITY = (ROOT / "SECURITY.md").read_text()


def promises() -> dict[int, str]:
    """The numbered list under "What is promised"."""
    section = SECURITY.split("## What is promised")[1].split("\n## ")[0]
    items = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |\Z)", section, re.MULTILINE | re.DOTALL)
    return {int(number): text for number, text in items}


def named_tests(text: str) -> list[tuple[str, str]]:
    """`file.py::test_name` in backquotes."""
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)


def test_promises_are_numbered_without_a_gap() -> None:
    assert list(promises()) == list(range(1, len(promises()) + 1))
    assert len(promises()) >= 10


@pytest.mark.parametrize("number", promises())
def test_a_promise_names_a_test(number: int) -> None:
    assert named_tests(promises()[number]), promises()[number]


@pytest.mark.parametrize(("file", "name"), sorted(set(named_tests(SECURITY))))
def test_a_named_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    functions = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions


def test_no_test_is_named_in_another_way() -> None:
    """A name that the pattern above does not see would not be checked."""
    mentioned = set(re.findall(r"\btest_\w+(?!\.py|\w)", SECURITY)) - {"test_security_claims"}
    assert mentioned == {name for _file, name in named_tests(SECURITY)}
