"""Contexts: states beside each other in one sandbox, from their creation to their removal."""

from __future__ import annotations

import re

import pytest

from localbox import (
    AsyncSandbox,
    Context,
    InvalidArgumentException,
    NotFoundException,
    SandboxNotRunningException,
)
from tests import leftovers
from tests.client._async.cells import PATIENCE_S, make_gate
from tests.client._async.doing import all_at_once

pytestmark = pytest.mark.anyio


async def test_contexts_have_states_of_their_own(sandbox: AsyncSandbox) -> None:
    one, two = await sandbox.create_code_context(), await sandbox.create_code_context()
    for context, value in ((one, "1"), (two, "2"), (None, "0")):
        await sandbox.run_code(f"kept = {value}", context=context)
    for context, value in ((one, "1"), (two, "2"), (None, "0")):
        assert (await sandbox.run_code("kept", context=context)).text == value


async def test_a_context_says_what_it_is(sandbox: AsyncSandbox) -> None:
    context = await sandbox.create_code_context()
    assert isinstance(context, Context)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", context.id)
    assert (context.language, context.cwd) == ("python", "/home/user")
    assert (await sandbox.create_code_context(cwd="/tmp")).cwd == "/tmp"


async def test_a_context_begins_in_its_cwd(sandbox: AsyncSandbox) -> None:
    await sandbox.files.make_dir("project")
    await sandbox.files.write("project/beside.py", "value = 7")
    context = await sandbox.create_code_context(cwd="/home/user/project")
    show = "import os\nos.getcwd()"
    assert (await sandbox.run_code(show, context=context)).text == "/home/user/project"
    assert (await sandbox.run_code(show)).text == "/home/user"
    assert (await sandbox.run_code("import beside\nbeside.value", context=context)).text == "7"


async def test_a_cwd_that_does_not_exist_is_refused_and_leaves_no_context(
    sandbox: AsyncSandbox,
) -> None:
    with pytest.raises(InvalidArgumentException, match="cwd '/no/such' does not exist"):
        await sandbox.create_code_context(cwd="/no/such")
    assert [context.cwd for context in await sandbox.list_code_contexts()] == ["/home/user"]


async def test_an_unknown_language_is_refused_with_a_hint(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match=r"'pyton' is not known.*mean 'python'\?"):
        await sandbox.run_code("1", language="pyton")
    with pytest.raises(InvalidArgumentException, match="'cobol' is not known; there is python,"):
        await sandbox.create_code_context(language="cobol")


async def test_a_language_and_a_context_together_are_refused(sandbox: AsyncSandbox) -> None:
    context = await sandbox.create_code_context()
    with pytest.raises(InvalidArgumentException, match="a language or a context, not both"):
        await sandbox.run_code("1", language="python", context=context)  # type: ignore[call-overload]


async def test_a_language_runs_in_its_default_context(sandbox: AsyncSandbox) -> None:
    await sandbox.run_code("kept = 1")
    assert (await sandbox.run_code("kept", language="python")).text == "1"
    assert (await sandbox.run_code("kept", language="Python")).text == "1"
    assert (await sandbox.run_code("kept", language="py")).text == "1"


async def test_the_list_has_every_context_and_the_default_one(sandbox: AsyncSandbox) -> None:
    (default,) = await sandbox.list_code_contexts()
    context = await sandbox.create_code_context(cwd="/tmp")
    assert await sandbox.list_code_contexts() == [default, context]
    await sandbox.run_code("kept = 'default'", context=default)
    assert (await sandbox.run_code("kept")).text == "default"
    await sandbox.remove_code_context(context)
    assert await sandbox.list_code_contexts() == [default]


async def test_a_removed_context_is_not_found(sandbox: AsyncSandbox) -> None:
    context = await sandbox.create_code_context()
    await sandbox.remove_code_context(context)
    calls = [
        lambda: sandbox.run_code("1", context=context),
        lambda: sandbox.restart_code_context(context),
        lambda: sandbox.remove_code_context(context.id),
    ]
    for call in calls:
        with pytest.raises(NotFoundException, match=f"Context {context.id} not found"):
            await call()


async def test_a_removed_context_has_no_process_any_more(sandbox: AsyncSandbox) -> None:
    contexts = [await sandbox.create_code_context() for _ in range(3)]
    show = "import os\nos.getpid()"
    pids = [(await sandbox.run_code(show, context=context)).text for context in contexts]
    for context in contexts:
        await sandbox.remove_code_context(context.id)
    seen = (await sandbox.run_code("import os\nos.listdir('/proc')")).text or ""
    assert not [pid for pid in pids if f"'{pid}'" in seen]


async def test_a_restarted_context_is_clean_and_says_nothing_of_it(sandbox: AsyncSandbox) -> None:
    context = await sandbox.create_code_context(cwd="/tmp")
    await sandbox.run_code("import os\nos.chdir('/')\nkept = 1", context=context)
    await sandbox.restart_code_context(context)
    execution = await sandbox.run_code("import os\nos.getcwd(), 'kept' in dir()", context=context)
    assert execution.text == "('/tmp', False)"
    assert execution.execution_count == 1
    assert execution.logs.stderr == []


async def test_contexts_run_cells_at_the_same_time(sandbox: AsyncSandbox) -> None:
    contexts = [await sandbox.create_code_context() for _ in range(2)]
    for name in ("left", "right"):
        await make_gate(sandbox, name)
    # Either end of a FIFO waits for the other: neither cell can end before the other has begun.
    codes = [
        "open('left', 'w').write('from one')\nopen('right').read()",
        "read = open('left').read()\nopen('right', 'w').write('from two')\nread",
    ]

    async def run(number: int) -> str | None:
        context = contexts[number]
        return (await sandbox.run_code(codes[number], context=context, timeout=PATIENCE_S)).text

    assert await all_at_once([lambda: run(0), lambda: run(1)]) == ["from two", "from one"]


async def test_many_contexts_at_once_never_cross(sandbox: AsyncSandbox) -> None:
    async def one(number: int) -> list[str | None]:
        context = await sandbox.create_code_context()
        await sandbox.run_code(f"kept = {number}", context=context)
        execution = await sandbox.run_code("print(kept)\nkept", context=context)
        await sandbox.remove_code_context(context)
        return [execution.text, *execution.logs.stdout]

    results = await all_at_once([lambda n=n: one(n) for n in range(8)])  # type: ignore[misc]
    assert results == [[str(number), f"{number}\n"] for number in range(8)]
    assert len(await sandbox.list_code_contexts()) == 1


async def test_the_context_of_another_sandbox_is_not_found(sandbox: AsyncSandbox) -> None:
    context = await sandbox.create_code_context()
    async with await AsyncSandbox.create(timeout=60) as other:
        await other.run_code("1")
        with pytest.raises(NotFoundException, match=context.id):
            await other.run_code("1", context=context)


async def test_every_call_in_a_killed_sandbox_says_that_it_does_not_run(
    sandbox: AsyncSandbox,
) -> None:
    context = await sandbox.create_code_context()
    await sandbox.run_code("kept = 1")
    await sandbox.kill()
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
            await call()


async def test_a_cell_whose_sandbox_is_killed_says_so(sandbox: AsyncSandbox) -> None:
    await make_gate(sandbox, "gate")

    async def kill(_message: object) -> None:
        await sandbox.kill()

    with pytest.raises(SandboxNotRunningException, match=f"{sandbox.sandbox_id}.*killed"):
        await sandbox.run_code("print('runs', flush=True)\nopen('gate').read()", on_stdout=kill)


async def test_nothing_is_left_of_the_contexts_of_a_killed_sandbox() -> None:
    async with await AsyncSandbox.create(timeout=60) as first:
        await first.run_code("1")  # starts the zygote of kernels, which stays
    before = leftovers.holdings()
    async with await AsyncSandbox.create(timeout=60) as sandbox:
        contexts = [None, *[await sandbox.create_code_context() for _ in range(3)]]
        for context in contexts:
            await sandbox.run_code(
                "import subprocess\np = subprocess.Popen(['sleep', '1000'])", context=context
            )
        assert len(leftovers.holdings().beyond(before)["processes"]) > 2 * len(contexts)
    leftovers.check_nothing_new(before)


async def test_a_cell_whose_context_is_removed_ends(sandbox: AsyncSandbox) -> None:
    context = await sandbox.create_code_context()
    await make_gate(sandbox, "gate")

    async def remove(_message: object) -> None:
        await sandbox.remove_code_context(context)

    execution = await sandbox.run_code(
        "print('runs', flush=True)\nopen('gate').read()",
        context=context,
        on_stdout=remove,
        timeout=PATIENCE_S,
    )
    assert execution.error is not None
    assert execution.error.name == "KernelDied"
    with pytest.raises(NotFoundException):
        await sandbox.run_code("1", context=context)
