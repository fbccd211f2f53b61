# generated from tests/client/_async/test_interrupts.py by scripts/unasync.py; edit that, not this
"""Cells that do not end by themselves: timeouts, callbacks that raise, tasks that are cancelled."""

from __future__ import annotations

import time

import pytest

from localbox import OutputMessage, Sandbox, TimeoutException
from tests.client._sync.cells import PATIENCE_S, make_gate

_FOREVER = "print('runs', flush=True)\nwhile True: pass"
_RESTARTED = "this context was restarted, its variables are gone"


def test_a_timeout_interrupts_the_cell_and_keeps_the_state(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 1")
    lines: list[str] = []
    with pytest.raises(TimeoutException, match="did not end within its timeout"):
        sandbox.run_code(
            _FOREVER, timeout=0.5, on_stdout=lambda message: lines.append(message.line)
        )
    assert lines == ["runs\n"]
    execution = sandbox.run_code("kept")
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
def test_a_timeout_interrupts_whatever_the_cell_waits_for(sandbox: Sandbox, code: str) -> None:
    make_gate(sandbox, "gate")
    sandbox.run_code("kept = 1")
    with pytest.raises(TimeoutException) as caught:
        sandbox.run_code(code, timeout=0.2)
    assert "killed" not in str(caught.value)
    assert sandbox.run_code("kept").text == "1"
    assert "sleep" not in sandbox.commands.run("cat /proc/[0-9]*/comm 2>&- || true").stdout


def test_a_timeout_of_0_is_none(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is waited without a timeout is shown by how long it may take in this test's place.
    monkeypatch.setattr("localbox._sync.sandbox_cells.DEFAULT_CELL_TIMEOUT_S", 0.1)
    wait = "import time\nend = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass"
    with pytest.raises(TimeoutException):
        sandbox.run_code(wait)
    execution = sandbox.run_code(f"{wait}\n'done'", timeout=0)
    assert execution.text == "done"


def test_a_cell_that_ignores_the_interrupt_is_killed_and_the_next_one_is_told(
    sandbox: Sandbox,
) -> None:
    ignore = "import signal\nkept = 1\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with pytest.raises(TimeoutException, match="did not react, so its context was killed"):
        sandbox.run_code(ignore + _FOREVER, timeout=0.2)
    told: list[str] = []
    execution = sandbox.run_code(
        "'kept' in dir()", on_stderr=lambda message: told.append(message.line)
    )
    assert execution.text == "False"
    assert execution.logs.stderr == told
    assert _RESTARTED in told[0]
    assert sandbox.run_code("1").logs.stderr == []


def test_a_cell_that_catches_the_interrupt_and_goes_on_is_killed(
    sandbox: Sandbox,
) -> None:
    code = "import time\nwhile True:\n    try: time.sleep(1000)\n    except BaseException: pass"
    with pytest.raises(TimeoutException, match="did not react"):
        sandbox.run_code(code, timeout=0.2)
    assert sandbox.run_code("1").text == "1"


def test_a_callback_that_raises_interrupts_its_cell_and_the_context_is_usable(
    sandbox: Sandbox,
) -> None:
    def refuse(message: OutputMessage) -> None:
        raise LookupError(message.line)

    sandbox.run_code("kept = 1")
    with pytest.raises(LookupError, match="runs"):
        sandbox.run_code(_FOREVER, on_stdout=refuse, timeout=0)
    execution = sandbox.run_code("print('next')\nkept", timeout=PATIENCE_S)
    assert execution.text == "1"
    assert execution.logs.stdout == ["next\n"]
    assert execution.error is None


def test_a_callback_that_raises_at_each_kind_of_news_leaves_the_context_usable(
    sandbox: Sandbox,
) -> None:
    def refuse(_news: object) -> None:
        raise LookupError

    sandbox.run_code("kept = 1")
    cases = [
        ("on_stderr", "import sys\nprint('x', file=sys.stderr)"),
        ("on_result", "display(1)"),
        ("on_result", "1"),
        ("on_error", "1 / 0"),
    ]
    # Often, for it takes luck to raise just before the cell's end.
    for name, code in cases * 20:
        with pytest.raises(LookupError):
            sandbox.run_code(code, **{name: refuse})  # type: ignore[call-overload]
        execution = sandbox.run_code("kept", timeout=PATIENCE_S)
        assert (execution.text, len(execution.results)) == ("1", 1)


def test_an_abandoned_cell_that_ignores_the_interrupt_is_killed_by_the_next(
    sandbox: Sandbox,
) -> None:
    def refuse(_message: OutputMessage) -> None:
        raise LookupError

    ignore = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with pytest.raises(LookupError):
        sandbox.run_code(ignore + _FOREVER, on_stdout=refuse, timeout=0)
    execution = sandbox.run_code("1", timeout=PATIENCE_S)
    assert execution.text == "1"
    assert _RESTARTED in execution.logs.stderr[0]


def test_a_timeout_is_kept_under_a_flood_of_output(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 1")
    began = time.monotonic()
    with pytest.raises(TimeoutException):
        sandbox.run_code("while True: print('flood')", timeout=0.5)
    assert time.monotonic() - began < 5
    execution = sandbox.run_code("kept", timeout=PATIENCE_S)
    assert execution.text == "1"


def test_timeouts_at_the_very_moment_a_cell_ends_cost_no_state(
    sandbox: Sandbox,
) -> None:
    sandbox.run_code("kept = 1")
    timed_out = 0
    for step in range(200):
        try:
            sandbox.run_code("for _ in range(2000): pass", timeout=0.0002 + 5e-6 * step)
        except TimeoutException:
            timed_out += 1
        execution = sandbox.run_code("kept", timeout=PATIENCE_S)
        assert (execution.text, execution.logs.stderr) == ("1", [])
    assert timed_out


def test_a_timeout_while_long_code_is_sent_keeps_the_state(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 1")
    code = f"'{'x' * 7_000_000}'\nkept = 2"
    with pytest.raises(TimeoutException, match="before the code had begun"):
        sandbox.run_code(code, timeout=0.001)
    execution = sandbox.run_code("kept", timeout=PATIENCE_S)
    assert (execution.text, execution.logs.stderr) == ("1", [])
