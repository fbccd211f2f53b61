# generated from tests/client/_async/test_cell_output.py by scripts/unasync.py; edit that, not this
"""What cells write and show: as it comes, in order, and within limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localbox import ExecutionError, OutputMessage, Result, Sandbox
from tests.client._sync.cells import PATIENCE_S, make_gate, open_gate, with_output_limit

# What a cell prints before it waits; the rest of it runs only if a callback has been called.
_FIRST_AND_WAIT = "{first}\nopen('gate').read()\nprint('went on')"


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("print('first')", "stdout first\n"),
        ("import sys\nprint('first', file=sys.stderr)", "stderr first\n"),
        ("display('first')", "result first"),
        ("!echo first", "stdout first\n"),
        ("import os\n_ = os.write(2, b'first')", "stderr first"),
        ("print('first', end='', flush=True)", "stdout first"),
    ],
)
def test_callbacks_are_called_while_the_cell_runs(sandbox: Sandbox, first: str, told: str) -> None:
    make_gate(sandbox, "gate")
    events: list[str] = []

    def note(event: str) -> None:
        events.append(event)
        if len(events) == 1:
            open_gate(sandbox, "gate")

    execution = sandbox.run_code(
        _FIRST_AND_WAIT.format(first=first),
        on_stdout=lambda message: note(f"stdout {message.line}"),
        on_stderr=lambda message: note(f"stderr {message.line}"),
        on_result=lambda result: note(f"result {result.text}"),
        timeout=PATIENCE_S,
    )
    assert events == [told, "stdout went on\n"]
    assert execution.error is None


def test_on_error_gets_the_error_of_the_execution(sandbox: Sandbox) -> None:
    errors: list[ExecutionError] = []
    execution = sandbox.run_code("print('x')\n{}['key']", on_error=errors.append)
    assert len(errors) == 1
    assert errors[0] is execution.error
    assert errors[0].name == "KeyError"
    sandbox.run_code("'fine'", on_error=errors.append)
    assert len(errors) == 1


def test_callbacks_get_what_the_execution_keeps(sandbox: Sandbox) -> None:
    out: list[OutputMessage] = []
    err: list[OutputMessage] = []
    results: list[Result] = []
    execution = sandbox.run_code(
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay(1)\n2",
        on_stdout=out.append,
        on_stderr=err.append,
        on_result=results.append,
    )
    assert [message.line for message in out] == execution.logs.stdout == ["out\n"]
    assert [message.line for message in err] == execution.logs.stderr == ["err\n"]
    assert [message.error for message in out + err] == [False, True]
    assert out[0].timestamp <= err[0].timestamp
    assert results == execution.results


def test_callbacks_that_use_the_sandbox_are_waited_for(sandbox: Sandbox) -> None:
    done: list[str] = []

    def slow(message: OutputMessage) -> None:
        # Leaves the cell's task and comes back, while the cell goes on.
        sandbox.commands.run("true")
        done.append(message.line)

    execution = sandbox.run_code("for n in range(3): print(n, flush=True)", on_stdout=slow)
    assert "".join(done) == "0\n1\n2\n" == "".join(execution.logs.stdout)


def test_output_of_c_code_and_of_subprocesses_comes_in_order_with_print(
    sandbox: Sandbox,
) -> None:
    execution = sandbox.run_code(
        "import ctypes, os, subprocess\nlibc = ctypes.CDLL(None)\n"
        "print('print 1')\n"
        "libc.printf(b'printf\\n')\n_ = libc.fflush(None)\n"
        "print('print 2')\n"
        "_ = libc.write(1, b'write\\n', 6)\n"
        "print('print 3')\n"
        "_ = os.system('echo system')\n"
        "print('print 4')\n"
        "_ = subprocess.run(['echo', 'run'])\n"
        "print('print 5')\n"
        "!echo bang\n"
        "print('print 6')\n"
    )
    assert execution.error is None
    assert "".join(execution.logs.stdout).split("\n") == [
        *("print 1", "printf", "print 2", "write", "print 3", "system"),
        *("print 4", "run", "print 5", "bang", "print 6", ""),
    ]


def test_what_c_code_left_in_its_buffer_is_not_lost(sandbox: Sandbox) -> None:
    sandbox.run_code("import ctypes\n_ = ctypes.CDLL(None).printf(b'left')")
    execution = sandbox.run_code("_ = ctypes.CDLL(None).fflush(None)")
    assert execution.logs.stdout == ["left"]


def test_stdout_and_stderr_come_in_the_order_written(sandbox: Sandbox) -> None:
    events: list[str] = []
    sandbox.run_code(
        "import sys\n"
        "for n in range(20):\n"
        "    print('out', n)\n"
        "    print('err', n, file=sys.stderr)\n"
        "    sys.stdout.write(f'again {n}\\n')",
        on_stdout=lambda message: events.append(message.line),
        on_stderr=lambda message: events.append(message.line),
    )
    lines = "".join(events).splitlines()
    assert lines == [f"{word} {n}" for n in range(20) for word in ("out", "err", "again")]


def test_output_that_is_not_utf8_is_replaced(sandbox: Sandbox) -> None:
    code = "import os\n_ = os.write(1, b'a\\xff\\xe2\\x82')\n_ = os.write(1, b'\\xacb\\xc3')"
    execution = sandbox.run_code(code)
    assert "".join(execution.logs.stdout) == "a\ufffd\u20acb\ufffd"


def test_output_of_a_program_that_outlives_its_cell_is_in_a_later_one(
    sandbox: Sandbox,
) -> None:
    make_gate(sandbox, "gate")
    code = "import subprocess\np = subprocess.Popen('read line < gate; echo late', shell=True)"
    assert sandbox.run_code(code).logs.stdout == []
    open_gate(sandbox, "gate")
    execution = sandbox.run_code("p.wait()", timeout=PATIENCE_S)
    assert execution.logs.stdout == ["late\n"]
    assert execution.text == "0"


def test_100_mb_of_output_are_cut_at_the_profiles_limit_and_so_is_memory() -> None:
    limit = 4 << 20
    policy = with_output_limit(limit)
    with Sandbox.create(timeout=120, profile=policy) as sandbox:
        sandbox.run_code("kept = 1")
        before = _forget_peak_memory()
        execution = sandbox.run_code(
            "for _ in range(100): print('x' * 1_000_000)\nkept", timeout=60
        )
        grown = _peak_memory() - before
        assert execution.truncated
        assert sum(map(len, execution.logs.stdout)) == limit
        dropped = 100 * 1_000_001 - limit
        assert execution.logs.stderr[-1] == (
            f"[localbox: {dropped} bytes of output dropped; the profile's resources.output allows "
            f"{limit} bytes]\n"
        )
        assert execution.text == "1"
        # The text itself, and what is on its way: twice a pipe's content and an allocator's slack.
        assert grown < limit + (4 << 20)
        again = sandbox.run_code("print('next')")
        assert again.logs.stdout == ["next\n"]
        assert not again.truncated


def test_callbacks_are_told_that_output_was_cut() -> None:
    lines: list[str] = []
    with Sandbox.create(timeout=120, profile=with_output_limit(1 << 20)) as small:
        execution = small.run_code(
            "print('x' * 2_000_000)", on_stderr=lambda message: lines.append(message.line)
        )
    assert lines == execution.logs.stderr
    assert "resources.output" in lines[-1]


def test_a_result_that_is_too_large_is_dropped_with_its_size_and_others_stay(
    sandbox: Sandbox,
) -> None:
    execution = sandbox.run_code("display('before')\ndisplay('x' * 20_000_000)\n'after'")
    assert [result.text for result in execution.results] == [
        "before",
        "[localbox: the text of this result has 20.0 MB and was dropped; 8 MiB is the limit]",
        "after",
    ]
    assert execution.error is None


def test_a_large_format_is_dropped_and_the_small_ones_of_its_result_stay(
    sandbox: Sandbox,
) -> None:
    execution = sandbox.run_code(
        "class Both:\n"
        "    def _repr_html_(self): return 'x' * 20_000_000\n"
        "    def __repr__(self): return 'short'\n"
        "Both()"
    )
    assert execution.text is not None
    assert execution.text.startswith("short\n[localbox: the html of this result has 20.0 MB")
    assert execution.results[0].html is None


def test_a_display_hook_that_raises_does_not_lose_the_other_results(
    sandbox: Sandbox,
) -> None:
    execution = sandbox.run_code(
        "class Broken:\n"
        "    def _repr_html_(self): raise ValueError('no html')\n"
        "    def __repr__(self): return 'text of it'\n"
        "class Worse:\n"
        "    def __repr__(self): raise ValueError('no text')\n"
        "display('before')\ndisplay(Broken())\ndisplay(Worse())\n'after'"
    )
    texts = [result.text for result in execution.results]
    assert texts[:2] == ["before", "text of it"]
    assert texts[-1] == execution.text == "after"
    assert "ValueError: no html" in "".join(execution.logs.stderr)
    assert "ValueError: no text" in "".join(execution.logs.stderr)


def _forget_peak_memory() -> int:
    """This process's resident bytes now, from which the peak is counted anew; see proc(5)."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak_memory() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
