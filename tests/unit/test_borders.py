"""Borders that name what may be imported; import-linter guards those that name what may not."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def imports(text: str, package: str) -> set[str]:
    """Every module the text imports, wherever in it; `from . import x` made absolute."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, node.module or ""]) if node.level else node.module or ""
            # What is imported from localbox itself may be one of its modules.
            if base.strip(".") == "localbox":
                found |= {f"localbox.{alias.name}" for alias in node.names}
            else:
                found.add(base.strip("."))
    return found


def foreign(module: str, allowed: tuple[str, ...]) -> bool:
    inside = any(module == name or module.startswith(f"{name}.") for name in allowed)
    return not inside and module.partition(".")[0] not in sys.stdlib_module_names


def offences(directory: str, allowed: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sorted((ROOT / directory).rglob("*.py"))
        for module in sorted(
            imports(path.read_text("utf-8"), ".".join(path.relative_to(ROOT).parent.parts))
        )
        if foreign(module, allowed)
    ]


def test_the_guest_imports_the_standard_library_and_the_protocol_only():
    assert offences("localbox/guest", ("localbox.guest", "localbox.protocol")) == []


def test_the_protocol_imports_the_standard_library_only():
    # The guest imports it, so whatever it imports runs beside hostile code too.
    assert offences("localbox/protocol", ("localbox.protocol",)) == []


def test_only_one_module_speaks_to_libc():
    speakers = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "localbox").rglob("*.py"))
        if {"ctypes", "_ctypes", "cffi"}
        & {module.partition(".")[0] for module in imports(path.read_text("utf-8"), "localbox")}
    ]
    assert speakers == ["localbox/confinement/syscalls.py"]


@pytest.mark.parametrize(
    "line",
    [
        "import localbox.policy",
        "from localbox import policy",
        "from localbox.policy import Policy",
        "from .. import policy",
        "from ..policy import Policy",
        "import yaml",
        "def f():\n    import yaml",
    ],
)
def test_a_forbidden_import_would_be_noticed(line: str):
    allowed = ("localbox.guest", "localbox.protocol")
    assert any(foreign(module, allowed) for module in imports(line, "localbox.guest"))


@pytest.mark.parametrize(
    "line", ["import os.path", "from . import files", "from localbox.protocol import frames"]
)
def test_a_permitted_import_is_let_through(line: str):
    allowed = ("localbox.guest", "localbox.protocol")
    assert not any(foreign(module, allowed) for module in imports(line, "localbox.guest"))
