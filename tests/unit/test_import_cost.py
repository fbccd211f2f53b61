"""What `import localbox` drags in. Time is measured in benchmarks/; here the modules are."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import localbox

ROOT = Path(__file__).resolve().parents[2]
EXPENSIVE = {
    "IPython",
    "anyio",
    "asyncio",
    "ctypes",
    "http.client",
    "httpcore",
    "httpx",
    "numpy",
    "pyseccomp",
    "requests",
    "rich",
    "seccomp",
    "ssl",
    "typer",
    "urllib.request",
    "yaml",
}
# The client reaches these through a socket.
OTHER_SIDE = {"localbox.confinement", "localbox.guest", "localbox.zygote"}

client_exists = importlib.util.find_spec("localbox._sync.sandbox") is not None
needs_client = pytest.mark.skipif(not client_exists, reason="the client is not written yet")


def modules_loaded_by(statement: str) -> set[str]:
    """The modules a bare Python has loaded after the statement and not before."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
before = set(sys.modules)
{statement}
print(*set(sys.modules) - before)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_localbox_loads_nothing_but_itself():
    assert modules_loaded_by("import localbox") == {"localbox", "localbox._version"}


@pytest.mark.parametrize(
    "name",
    [
        "SandboxException",
        "CommandResult",
        pytest.param("Sandbox", marks=needs_client),
        pytest.param("CommandHandle", marks=needs_client),
    ],
)
def test_a_public_name_loads_nothing_expensive(name: str):
    loaded = modules_loaded_by(f"import localbox; localbox.{name}")
    assert loaded & EXPENSIVE == set()
    assert loaded & OTHER_SIDE == set()


def test_the_measurement_sees_an_expensive_module():
    assert "asyncio" in modules_loaded_by("import asyncio") & EXPENSIVE


def declared_for_type_checkers() -> dict[str, str]:
    tree = ast.parse((ROOT / "localbox/__init__.py").read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_and_the_interpreter_are_told_the_same_names():
    assert declared_for_type_checkers() == localbox._HOME


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'localbox' has no attribute 'Sandbocks'"):
        _ = localbox.Sandbocks


def test_dir_lists_names_not_loaded_yet():
    loaded = modules_loaded_by("import localbox; assert 'Sandbox' in dir(localbox)")
    assert loaded == {"localbox", "localbox._version"}


def test_a_name_is_looked_up_once():
    first = localbox.CommandResult
    assert vars(localbox)["CommandResult"] is first
