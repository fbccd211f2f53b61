"""Cells that take their process down, or mean to: what the caller hears and the next cell finds."""

from __future__ import annotations

import pytest

from localbox import AsyncSandbox, Execution, OutputMessage, TimeoutException
from localbox.policy import load_profile, merge_overrides
from tests.client._async.cells import PATIENCE_S, make_gate, open_gate
from tests.client._async.doing import all_at_once, until

pytestmark = pytest.mark.anyio


async def _expect_fresh(sandbox: AsyncSandbox) -> Execution:
    """The next cell works, in a new process."""
    execution = await sandbox.run_code("print('works')\n'kept' in dir()")
    assert execution.logs.stdout == ["works\n"]
    assert execution.text == "False"
    assert execution.execution_count == 1
    return execution


@pytest.mark.parametrize(
    ("code", "name", "value"),
    [
        ("raise SystemExit(3)", "SystemExit", "3"),
        ("exit()", "SystemExit", ""),
        ("import os\nos._exit(3)", "KernelDied", "ended with exit status 3"),
        ("import ctypes\nctypes.string_at(0)", "KernelDied", "killed by SIGSEGV"),
        ("import os\nos.abort()", "KernelDied", "killed by SIGABRT"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "KernelDied", "by SIGKILL"),
        ("import os\nos.kill(os.getpid(), 40)", "KernelDied", "killed by signal 40"),
    ],
)
async def test_the_death_of_a_cell_is_its_error_and_the_context_starts_afresh(
    sandbox: AsyncSandbox, code: str, name: str, value: str
) -> None:
    execution = await sandbox.run_code(f"kept = 1\nprint('said')\ndisplay('shown')\n{code}")
    assert execution.error is not None
    assert execution.error.name == name
    assert value in execution.error.value
    assert execution.logs.stdout == ["said\n"]
    assert [result.text for result in execution.results] == ["shown"]
    await _expect_fresh(sandbox)


async def test_a_cell_killed_for_its_memory_says_so() -> None:
    policy = merge_overrides(load_profile("default"), memory=256 << 20)
    async with await AsyncSandbox.create(timeout=120, profile=policy) as sandbox:
        # Shared memory counts against no rlimit: it takes the watchdog to notice it.
        execution = await sandbox.run_code(
            "import mmap\nkept = mmap.mmap(-1, 1 << 30)\nwhile True: kept.write(b'x' * (1 << 20))",
            timeout=PATIENCE_S,
        )
        assert execution.error is not None
        assert execution.error.name == "KernelDied"
        assert "resources.memory of its profile allows (256 MiB)" in execution.error.value
        await _expect_fresh(sandbox)


async def test_the_death_of_a_cell_is_noticed_though_a_fork_of_it_lives_on(
    sandbox: AsyncSandbox,
) -> None:
    code = "import os, signal\nif os.fork() == 0: signal.pause()\nos._exit(3)"
    execution = await sandbox.run_code(code, timeout=PATIENCE_S)
    assert execution.error is not None
    assert "exit status 3" in execution.error.value
    await _expect_fresh(sandbox)


async def test_a_context_that_dies_between_two_cells_starts_afresh(sandbox: AsyncSandbox) -> None:
    await make_gate(sandbox, "gate")
    code = (
        "kept = 1\nimport os, subprocess\npid = os.getpid()\n"
        "p = subprocess.Popen(f'read line < gate; kill -KILL {pid}', shell=True)\npid"
    )
    pid = (await sandbox.run_code(code)).text
    await open_gate(sandbox, "gate")

    async def is_gone() -> bool:
        return not await sandbox.files.exists(f"/proc/{pid}")

    await until(is_gone)
    execution = await _expect_fresh(sandbox)
    told = "".join(execution.logs.stderr)
    assert "its variables are gone" in told
    assert "killed by SIGKILL" in told


# What a cell does with each of its descriptors, whichever it may be.
_GARBAGE = {
    "garbage": "os.write(fd, os.urandom(1 << 16))",
    "zeros": "os.write(fd, bytes(1 << 16))",
    "a frame of 4 GB": "os.write(fd, b'\\x01' + b'\\xff' * 4 + b'x' * 100)",
    "messages": "os.write(fd, frame)",
    "nothing, and reads it all": "os.read(fd, 1 << 16)",
    "nothing, and closes it": "os.close(fd)",
}


@pytest.mark.parametrize("what", _GARBAGE)
async def test_a_cell_that_writes_garbage_to_every_descriptor_harms_only_itself(
    sandbox: AsyncSandbox, what: str
) -> None:
    other = await sandbox.create_code_context()
    await make_gate(sandbox, "gate")
    attack = (
        "import os, struct, json\n"
        "messages = [[], {'end': 1}, {'result': {'png': 1, 'json': '{'}}, {'failure': []}]\n"
        "texts = [json.dumps(m).encode() for m in messages]\n"
        "frame = b''.join(struct.pack('>BI', 1, len(t)) + t for t in texts)\n"
        "for fd in map(int, os.listdir('/proc/self/fd')):\n"
        "    try:\n"
        "        os.set_blocking(fd, False)\n"
        f"        {_GARBAGE[what]}\n"
        "    except OSError: pass\n"
        "for fd in range(3, 300):\n"
        "    try: os.write(fd, b'x')\n"
        "    except OSError: pass\n"
    )

    async def bystander() -> str | None:
        code = "print('runs', flush=True)\nopen('gate').read()\n'unharmed'"
        execution = await sandbox.run_code(
            code, context=other, on_stdout=attack_now, timeout=PATIENCE_S
        )
        assert execution.logs.stdout == ["runs\n"]
        return execution.text

    async def attack_now(_message: OutputMessage) -> None:
        # Whatever comes of it, it ends: as a result, an error, or an interrupt.
        try:
            await sandbox.run_code(attack, timeout=1)
        except TimeoutException:
            pass
        await open_gate(sandbox, "gate")

    assert await bystander() == "unharmed"
    assert (await sandbox.run_code("print('fine')\n1 + 1")).text == "2"
    assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"


async def test_the_death_of_one_context_is_nothing_to_another(sandbox: AsyncSandbox) -> None:
    contexts = [await sandbox.create_code_context() for _ in range(4)]

    async def one(number: int) -> str | None:
        for round_number in range(5):
            code = f"kept = {round_number}" if number % 2 else "import os\nos._exit(1)"
            await sandbox.run_code(code, context=contexts[number], timeout=PATIENCE_S)
        return (await sandbox.run_code("kept", context=contexts[number])).text

    texts = await all_at_once([lambda n=n: one(n) for n in range(4)])  # type: ignore[misc]
    assert texts == [None, "4", None, "4"]
