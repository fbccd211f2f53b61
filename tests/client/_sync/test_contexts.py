# generated from tests/client/_async/test_contexts.py by scripts/unasync.py; edit that, not this
"""Contexts: states beside each other in one sandbox, from their creation to their removal."""

from __future__ import annotations

import re

import pytest

from localbox import (
    Context,
    InvalidArgumentException,
    NotFoundException,
    Sandbox,
    SandboxNotRunningException,
)
from tests import leftovers
from tests.client._sync.cells import PATIENCE_S, make_gate
from tests.client._sync.doing import all_at_once


def test_contexts_have_states_of_their_own(sandbox: Sandbox) -> None:
    one, two = sandbox.create_code_context(), sandbox.create_code_context()
    for context, value in ((one, "1"), (two, "2"), (None, "0")):
        sandbox.run_code(f"kept = {value}", context=context)
    for context, value in ((one, "1"), (two, "2"), (None, "0")):
        assert sandbox.run_code("kept", context=context).text == value


def test_a_context_says_what_it_is(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    assert isinstance(context, Context)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", context.id)
    assert (context.language, context.cwd) == ("python", "/home/user")
    assert sandbox.create_code_context(cwd="/tmp").cwd == "/tmp"


def test_a_context_begins_in_its_cwd(sandbox: Sandbox) -> None:
    sandbox.files.make_dir("project")
    sandbox.files.write("project/beside.py", "value = 7")
    context = sandbox.create_code_context(cwd="/home/user/project")
    show = "import os\nos.getcwd()"
    assert sandbox.run_code(show, context=context).text == "/home/user/project"
    assert sandbox.run_code(show).text == "/home/user"
    assert sandbox.run_code("import beside\nbeside.value", context=context).text == "7"


def test_a_cwd_that_does_not_exist_is_refused_and_leaves_no_context(
    sandbox: Sandbox,
) -> None:
    with pytest.raises(InvalidArgumentException, match="cwd '/no/such' does not exist"):
        sandbox.create_code_context(cwd="/no/such")
    assert [context.cwd for context in sandbox.list_code_contexts()] == ["/home/user"]


def test_an_unknown_language_is_refused_with_a_hint(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match=r"'pyton' is not known.*mean 'python'\?"):
        sandbox.run_code("1", language="pyton")
    with pytest.raises(InvalidArgumentException, match="'cobol' is not known; there is python,"):
        sandbox.create_code_context(language="cobol")


def test_a_language_and_a_context_together_are_refused(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    with pytest.raises(InvalidArgumentException, match="a language or a context, not both"):
        sandbox.run_code("1", language="python", context=context)  # type: ignore[call-overload]


def test_a_language_runs_in_its_default_context(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 1")
    assert sandbox.run_code("kept", language="python").text == "1"
    assert sandbox.run_code("kept", language="Python").text == "1"
    assert sandbox.run_code("kept", language="py").text == "1"


def test_the_list_has_every_context_and_the_default_one(sandbox: Sandbox) -> None:
    (default,) = sandbox.list_code_contexts()
    context = sandbox.create_code_context(cwd="/tmp")
    assert sandbox.list_code_contexts() == [default, context]
    sandbox.run_code("kept = 'default'", context=default)
    assert sandbox.run_code("kept").text == "default"
    sandbox.remove_code_context(context)
    assert sandbox.list_code_contexts() == [default]


def test_a_removed_context_is_not_found(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    sandbox.remove_code_context(context)
    calls = [
        lambda: sandbox.run_code("1", context=context),
        lambda: sandbox.restart_code_context(context),
        lambda: sandbox.remove_code_context(context.id),
    ]
    for call in calls:
        with pytest.raises(NotFoundException, match=f"Context {context.id} not found"):
            call()


def test_a_removed_context_has_no_process_any_more(sandbox: Sandbox) -> None:
    contexts = [sandbox.create_code_context() for _ in range(3)]
    show = "import os\nos.getpid()"
    pids = [sandbox.run_code(show, context=context).text for context in contexts]
    for context in contexts:
        sandbox.remove_code_context(context.id)
    seen = sandbox.run_code("import os\nos.listdir('/proc')").text or ""
    assert not [pid for pid in pids if f"'{pid}'" in seen]


def test_a_restarted_context_is_clean_and_says_nothing_of_it(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context(cwd="/tmp")
    sandbox.run_code("import os\nos.chdir('/')\nkept = 1", context=context)
    sandbox.restart_code_context(context)
    execution = sandbox.run_code("import os\nos.getcwd(), 'kept' in dir()", context=context)
    assert execution.text == "('/tmp', False)"
    assert execution.execution_count == 1
    assert execution.logs.stderr == []


def test_contexts_run_cells_at_the_same_time(sandbox: Sandbox) -> None:
    contexts = [sandbox.create_code_context() for _ in range(2)]
    for name in ("left", "right"):
        make_gate(sandbox, name)
    # Either end of a FIFO waits for the other: neither cell can end before the other has begun.
    codes = [
        "open('left', 'w').write('from one')\nopen('right').read()",
        "read = open('left').read()\nopen('right', 'w').write('from two')\nread",
    ]

    def run(number: int) -> str | None:
        context = contexts[number]
        return sandbox.run_code(codes[number], context=context, timeout=PATIENCE_S).text

    assert all_at_once([lambda: run(0), lambda: run(1)]) == ["from two", "from one"]


def test_many_contexts_at_once_never_cross(sandbox: Sandbox) -> None:
    def one(number: int) -> list[str | None]:
        context = sandbox.create_code_context()
        sandbox.run_code(f"kept = {number}", context=context)
        execution = sandbox.run_code("print(kept)\nkept", context=context)
        sandbox.remove_code_context(context)
        return [execution.text, *execution.logs.stdout]

    results = all_at_once([lambda n=n: one(n) for n in range(8)])  # type: ignore[misc]
    assert results == [[str(number), f"{number}\n"] for number in range(8)]
    assert len(sandbox.list_code_contexts()) == 1


def test_the_context_of_another_sandbox_is_not_found(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    with Sandbox.create(timeout=60) as other:
        other.run_code("1")
        with pytest.raises(NotFoundException, match=context.id):
            other.run_code("1", context=context)


def test_every_call_in_a_killed_sandbox_says_that_it_does_not_run(
    sandbox: Sandbox,
) -> None:
    context = sandbox.create_code_context()
    sandbox.run_code("kept = 1")
    sandbox.kill()
    calls = [
        lambda: sandbox.run_code("1"),
        sandbox.create_code_context,
        sandbox.list_code_contexts,
        lambda: sandbox.run_code("1", context=context),
        lambda: sandbox.restart_code_context(context),
        lambda: sandbox.remove_code_context(context),
    ]
    for call in calls:
        with pytest.raises(SandboxNotRunningException, match=f"{sandbox.sandbox_id}.*killed"):
            call()


def test_a_cell_whose_sandbox_is_killed_says_so(sandbox: Sandbox) -> None:
    make_gate(sandbox, "gate")

    def kill(_message: object) -> None:
        sandbox.kill()

    with pytest.raises(SandboxNotRunningException, match=f"{sandbox.sandbox_id}.*killed"):
        sandbox.run_code("print('runs', flush=True)\nopen('gate').read()", on_stdout=kill)


def test_nothing_is_left_of_the_contexts_of_a_killed_sandbox() -> None:
    with Sandbox.create(timeout=60) as first:
        first.run_code("1")  # starts the zygote of kernels, which stays
    before = leftovers.holdings()
    with Sandbox.create(timeout=60) as sandbox:
        contexts = [None, *[sandbox.create_code_context() for _ in range(3)]]
        for context in contexts:
            sandbox.run_code(
                "import subprocess\np = subprocess.Popen(['sleep', '1000'])", context=context
            )
        assert len(leftovers.holdings().beyond(before)["processes"]) > 2 * len(contexts)
    leftovers.check_nothing_new(before)


def test_a_cell_whose_context_is_removed_ends(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    make_gate(sandbox, "gate")

    def remove(_message: object) -> None:
        sandbox.remove_code_context(context)

    execution = sandbox.run_code(
        "print('runs', flush=True)\nopen('gate').read()",
        context=context,
        on_stdout=remove,
        timeout=PATIENCE_S,
    )
    assert execution.error is not None
    assert execution.error.name == "KernelDied"
    with pytest.raises(NotFoundException):
        sandbox.run_code("1", context=context)
