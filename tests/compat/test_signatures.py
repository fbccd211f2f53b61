"""The client's methods against E2B's: parameters, defaults, sync or async, return types.

COVERED lists what is implemented; a name that lands in the client belongs in it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect

import e2b
import e2b_code_interpreter
import pytest
from e2b.sandbox_async.commands.command import Commands as TheirAsyncCommands
from e2b.sandbox_async.filesystem.filesystem import Filesystem as TheirAsyncFilesystem
from e2b.sandbox_sync.commands.command import Commands as TheirCommands
from e2b.sandbox_sync.filesystem.filesystem import Filesystem as TheirFilesystem

from tests.compat.introspection import how_called, returned, signature, without_own_keywords

SANDBOX = [
    "beta_pause",
    "connect",
    "pause",
    "commands",
    "create",
    "files",
    "get_info",
    "is_running",
    "kill",
    "sandbox_id",
    "set_timeout",
    "run_code",
    "create_code_context",
    "list_code_contexts",
    "remove_code_context",
    "restart_code_context",
]
COMMANDS = ["close_stdin", "connect", "kill", "list", "run", "send_stdin"]
FILES = [
    "exists",
    "get_info",
    "list",
    "make_dir",
    "read",
    "remove",
    "rename",
    "write",
    "write_files",
]
HANDLE = ["close_stdin", "disconnect", "kill", "pid", "send_stdin", "wait"]

# The code interpreter's Sandbox is E2B's with cells; ours is one class.
# Where ours is, E2B's class, and the members compared. `__init__` is not: E2B's Sandbox()
# takes the parts of a connection, localbox's creates a sandbox, as E2B's first versions did.
COVERED = {
    "Sandbox": (
        "localbox._sync.sandbox",
        e2b_code_interpreter.Sandbox,
        [*SANDBOX, "__enter__", "__exit__"],
    ),
    "AsyncSandbox": (
        "localbox._async.sandbox",
        e2b_code_interpreter.AsyncSandbox,
        [*SANDBOX, "__aenter__", "__aexit__"],
    ),
    "CommandHandle": (
        "localbox._sync.command_handle",
        e2b.CommandHandle,
        [*HANDLE, "__iter__"],
    ),
    "AsyncCommandHandle": (
        "localbox._async.command_handle",
        e2b.AsyncCommandHandle,
        [*HANDLE, "error", "exit_code", "stderr", "stdout"],
    ),
    "Commands": ("localbox._sync.commands", TheirCommands, COMMANDS),
    "Commands (async)": ("localbox._async.commands", TheirAsyncCommands, COMMANDS),
    "Filesystem": ("localbox._sync.filesystem", TheirFilesystem, FILES),
    "Filesystem (async)": ("localbox._async.filesystem", TheirAsyncFilesystem, FILES),
}
MEMBERS = [(name, member) for name, (_, _, members) in COVERED.items() for member in members]

client_exists = importlib.util.find_spec("localbox._sync.sandbox") is not None
needs_client = pytest.mark.skipif(not client_exists, reason="the client is not written yet")


def ours_and_theirs(name: str) -> tuple[type, type]:
    module, theirs, _ = COVERED[name]
    return getattr(importlib.import_module(module), theirs.__name__), theirs


@needs_client
@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_member_is_called_as_in_e2b(name: str, member: str):
    ours, theirs = ours_and_theirs(name)
    assert how_called(ours, member) == how_called(theirs, member)


@needs_client
@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_member_takes_the_parameters_of_e2b(name: str, member: str):
    ours, theirs = ours_and_theirs(name)
    if how_called(theirs, member) == "property":
        assert isinstance(inspect.getattr_static(ours, member), property)
        return
    expected = signature(getattr(theirs, member))
    assert without_own_keywords(signature(getattr(ours, member)), expected) == expected


@needs_client
@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_member_returns_the_type_of_e2b(name: str, member: str):
    ours, theirs = (
        getattr(static, "fget", None) or getattr(owner, member)
        for owner in ours_and_theirs(name)
        for static in [inspect.getattr_static(owner, member)]
    )
    expected = returned(theirs)
    if expected is None:
        pytest.skip("E2B does not annotate it")
    assert returned(ours) == expected


@needs_client
@pytest.mark.parametrize("name", ["Sandbox", "AsyncSandbox"])
def test_default_template_and_timeout_are_those_of_e2b(name: str):
    ours, theirs = ours_and_theirs(name)
    assert ours.default_sandbox_timeout == theirs.default_sandbox_timeout
    # The base sandbox's: what the interpreter's has more is not imported unasked.
    assert ours.default_template == getattr(e2b, name).default_template


@needs_client
@pytest.mark.parametrize("name", ["Sandbox", "AsyncSandbox"])
@pytest.mark.parametrize("member", ["get_info", "kill", "set_timeout"])
def test_member_also_works_on_the_class_with_an_id(name: str, member: str):
    ours, theirs = ours_and_theirs(name)
    # E2B keeps the class's form under another name and chooses between them in a descriptor.
    for owner in (ours, theirs):
        assert not inspect.isfunction(inspect.getattr_static(owner, member))


def test_a_shorter_signature_would_be_noticed():
    def theirs(self, a, b=1, **opts): ...
    def ours(self, a, *, b=1, profile=None, **opts): ...

    expected = signature(theirs)
    assert without_own_keywords(signature(ours), expected) != expected


def test_own_keywords_need_a_default():
    def theirs(self, a, **opts): ...
    def with_default(self, a, *, profile=None, **opts): ...
    def without_default(self, a, *, profile, **opts): ...

    expected = signature(theirs)
    assert without_own_keywords(signature(with_default), expected) == expected
    assert without_own_keywords(signature(without_default), expected) != expected
