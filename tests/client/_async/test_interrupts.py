"""Cells that do not end by themselves: timeouts, callbacks that raise, tasks that are cancelled."""

from __future__ import annotations

# unasync: async
import asyncio

# unasync: sync
# unasync: end
import time

import pytest

from localbox import AsyncSandbox, OutputMessage, TimeoutException
from tests.client._async.cells import PATIENCE_S, make_gate, open_gate

pytestmark = pytest.mark.anyio

_FOREVER = "print('runs', flush=True)\nwhile True: pass"
_RESTARTED = "this context was restarted, its variables are gone"


async def test_a_timeout_interrupts_the_cell_and_keeps_the_state(sandbox: AsyncSandbox) -> None:
    await sandbox.run_code("kept = 1")
    lines: list[str] = []
    with pytest.raises(TimeoutException, match="did not end within its timeout"):
        await sandbox.run_code(
            _FOREVER, timeout=0.5, on_stdout=lambda message: lines.append(message.line)
        )
    assert lines == ["runs\n"]
    execution = await sandbox.run_code("kept")
    assert execution.text == "1"
    assert execution.logs.stderr == []


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(1000)",
        "import os\nos.system('sleep 1000')",
        "import subprocess\nsubprocess.run(['sleep', '1000'])",
        "!sleep 1000",
        "%%bash\nsleep 1000",
        "import asyncio\nawait asyncio.sleep(1000)",
        "open('gate').read()",
        "import threading\nthreading.Event().wait()",
    ],
)
async def test_a_timeout_interrupts_whatever_the_cell_waits_for(
    sandbox: AsyncSandbox, code: str
) -> None:
    await make_gate(sandbox, "gate")
    await sandbox.run_code("kept = 1")
    with pytest.raises(TimeoutException) as caught:
        await sandbox.run_code(code, timeout=0.2)
    assert "killed" not in str(caught.value)
    assert (await sandbox.run_code("kept")).text == "1"
    assert "sleep" not in (await sandbox.commands.run("cat /proc/[0-9]*/comm 2>&- || true")).stdout


async def test_a_timeout_of_0_is_none(
    sandbox: AsyncSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is waited without a timeout is shown by how long it may take in this test's place.
    # unasync: async
    monkeypatch.setattr("localbox._async.sandbox_cells.DEFAULT_CELL_TIMEOUT_S", 0.1)
    # unasync: sync
    # monkeypatch.setattr("localbox._sync.sandbox_cells.DEFAULT_CELL_TIMEOUT_S", 0.1)
    # unasync: end
    wait = "import time\nend = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass"
    with pytest.raises(TimeoutException):
        await sandbox.run_code(wait)
    execution = await sandbox.run_code(f"{wait}\n'done'", timeout=0)
    assert execution.text == "done"


async def test_a_cell_that_ignores_the_interrupt_is_killed_and_the_next_one_is_told(
    sandbox: AsyncSandbox,
) -> None:
    ignore = "import signal\nkept = 1\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with pytest.raises(TimeoutException, match="did not react, so its context was killed"):
        await sandbox.run_code(ignore + _FOREVER, timeout=0.2)
    told: list[str] = []
    execution = await sandbox.run_code(
        "'kept' in dir()", on_stderr=lambda message: told.append(message.line)
    )
    assert execution.text == "False"
    assert execution.logs.stderr == told
    assert _RESTARTED in told[0]
    assert (await sandbox.run_code("1")).logs.stderr == []


async def test_a_cell_that_catches_the_interrupt_and_goes_on_is_killed(
    sandbox: AsyncSandbox,
) -> None:
    code = "import time\nwhile True:\n    try: time.sleep(1000)\n    except BaseException: pass"
    with pytest.raises(TimeoutException, match="did not react"):
        await sandbox.run_code(code, timeout=0.2)
    assert (await sandbox.run_code("1")).text == "1"


async def test_a_callback_that_raises_interrupts_its_cell_and_the_context_is_usable(
    sandbox: AsyncSandbox,
) -> None:
    def refuse(message: OutputMessage) -> None:
        raise LookupError(message.line)

    await sandbox.run_code("kept = 1")
    with pytest.raises(LookupError, match="runs"):
        await sandbox.run_code(_FOREVER, on_stdout=refuse, timeout=0)
    execution = await sandbox.run_code("print('next')\nkept", timeout=PATIENCE_S)
    assert execution.text == "1"
    assert execution.logs.stdout == ["next\n"]
    assert execution.error is None


async def test_a_callback_that_raises_at_each_kind_of_news_leaves_the_context_usable(
    sandbox: AsyncSandbox,
) -> None:
    def refuse(_news: object) -> None:
        raise LookupError

    await sandbox.run_code("kept = 1")
    cases = [
        ("on_stderr", "import sys\nprint('x', file=sys.stderr)"),
        ("on_result", "display(1)"),
        ("on_result", "1"),
        ("on_error", "1 / 0"),
    ]
    # Often, for it takes luck to raise just before the cell's end.
    for name, code in cases * 20:
        with pytest.raises(LookupError):
            await sandbox.run_code(code, **{name: refuse})  # type: ignore[call-overload]
        execution = await sandbox.run_code("kept", timeout=PATIENCE_S)
        assert (execution.text, len(execution.results)) == ("1", 1)


async def test_an_abandoned_cell_that_ignores_the_interrupt_is_killed_by_the_next(
    sandbox: AsyncSandbox,
) -> None:
    def refuse(_message: OutputMessage) -> None:
        raise LookupError

    ignore = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with pytest.raises(LookupError):
        await sandbox.run_code(ignore + _FOREVER, on_stdout=refuse, timeout=0)
    execution = await sandbox.run_code("1", timeout=PATIENCE_S)
    assert execution.text == "1"
    assert _RESTARTED in execution.logs.stderr[0]


# unasync: async
async def test_a_cancelled_cell_is_interrupted_and_the_context_is_usable(
    sandbox: AsyncSandbox,
) -> None:
    runs = asyncio.Event()
    await sandbox.run_code("kept = 1")
    task = asyncio.create_task(
        sandbox.run_code(_FOREVER, on_stdout=lambda _message: runs.set(), timeout=0)
    )
    await runs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    execution = await sandbox.run_code("print('next')\nkept", timeout=PATIENCE_S)
    assert execution.text == "1"
    assert execution.logs.stdout == ["next\n"]


async def test_cells_that_are_cancelled_while_they_wait_their_turn_never_run(
    sandbox: AsyncSandbox,
) -> None:
    await make_gate(sandbox, "gate")
    runs = asyncio.Event()
    code = "ran = []\nprint('runs', flush=True)\nopen('gate').read()"
    first = asyncio.create_task(sandbox.run_code(code, on_stdout=lambda _message: runs.set()))
    await runs.wait()
    waiting = [asyncio.create_task(sandbox.run_code("ran.append(1)")) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await open_gate(sandbox, "gate")
    assert (await first).error is None
    assert (await sandbox.run_code("ran", timeout=PATIENCE_S)).text == "[]"


# unasync: sync
# unasync: end


async def test_a_timeout_is_kept_under_a_flood_of_output(sandbox: AsyncSandbox) -> None:
    await sandbox.run_code("kept = 1")
    began = time.monotonic()
    with pytest.raises(TimeoutException):
        await sandbox.run_code("while True: print('flood')", timeout=0.5)
    assert time.monotonic() - began < 5
    execution = await sandbox.run_code("kept", timeout=PATIENCE_S)
    assert execution.text == "1"


async def test_timeouts_at_the_very_moment_a_cell_ends_cost_no_state(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.run_code("kept = 1")
    timed_out = 0
    for step in range(200):
        try:
            await sandbox.run_code("for _ in range(2000): pass", timeout=0.0002 + 5e-6 * step)
        except TimeoutException:
            timed_out += 1
        execution = await sandbox.run_code("kept", timeout=PATIENCE_S)
        assert (execution.text, execution.logs.stderr) == ("1", [])
    assert timed_out


async def test_a_timeout_while_long_code_is_sent_keeps_the_state(sandbox: AsyncSandbox) -> None:
    await sandbox.run_code("kept = 1")
    code = f"'{'x' * 7_000_000}'\nkept = 2"
    with pytest.raises(TimeoutException, match="before the code had begun"):
        await sandbox.run_code(code, timeout=0.001)
    execution = await sandbox.run_code("kept", timeout=PATIENCE_S)
    assert (execution.text, execution.logs.stderr) == ("1", [])
