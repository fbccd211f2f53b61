"""What a context costs as it gets older, and what a fork of the program may do with it."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from localbox import Sandbox

# A cell's own traces are freed or bounded: 500 sources and numbered inputs (see _CELLS_KEPT of
# kernels/python_shell.py) of some hundred bytes each, and a heap's fragments. Were only 16 KiB
# left of each cell, this would be passed.
_BOUND_BYTES = 6 << 20
_CELLS = 500
_OUTPUT = "x" * 20_000
_CODES = (
    "counter += 1\ncounter",
    f"print('{_OUTPUT}')",
    "def f(x):\n    return 1 / x\nf(0)",
    "display(list(range(1000)))\n'a' * 10_000",
    "import subprocess\nsubprocess.run(['true']).returncode",
    "bad = = 1",
    "import io\nimage = io.BytesIO(bytes(200_000))\nlen(image.getvalue())",
    "!true",
    "import asyncio\nawait asyncio.sleep(0)",
    "class A:\n    def _repr_html_(self): return '<b>' * 100\nA()",
)
_GUEST = (
    "import gc, os\n_ = gc.collect()\n"
    "with open('/proc/self/statm') as f: pages = int(f.read().split()[1])\n"
    "print(len(os.listdir('/proc/self/fd')), pages * os.sysconf('SC_PAGE_SIZE'))"
)


def _host() -> tuple[int, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE")


def _guest(sandbox: Sandbox) -> tuple[int, int]:
    descriptors, resident = sandbox.run_code(_GUEST).logs.stdout[0].split()
    return int(descriptors), int(resident)


def _run_cells(sandbox: Sandbox, number: int) -> None:
    for index in range(number):
        code = _CODES[index % len(_CODES)]
        execution = sandbox.run_code(code, envs={"NUMBER": str(index)})
        expected = {2: "ZeroDivisionError", 5: "SyntaxError"}.get(index % len(_CODES))
        assert (execution.error and execution.error.name) == expected, execution
        if index % len(_CODES) == 1:
            assert "".join(execution.logs.stdout) == _OUTPUT + "\n"


def test_500_cells_leave_descriptors_and_memory_as_they_were() -> None:
    with Sandbox.create(timeout=120) as sandbox:
        sandbox.run_code("counter = 0")
        # What is made once: caches, the loop of `await`, the pages touched since the fork.
        _run_cells(sandbox, 100)
        host, guest = _host(), _guest(sandbox)
        _run_cells(sandbox, _CELLS)
        host_after, guest_after = _host(), _guest(sandbox)
        assert sandbox.run_code("counter").text == str((100 + _CELLS) // len(_CODES))
    assert host_after[0] == host[0]
    assert guest_after[0] == guest[0]
    assert host_after[1] - host[1] < _BOUND_BYTES
    assert guest_after[1] - guest[1] < _BOUND_BYTES


def test_contexts_that_come_and_go_leave_nothing_in_the_host() -> None:
    with Sandbox.create(timeout=120) as sandbox:
        sandbox.run_code("1")
        before = _host()
        for _ in range(50):
            context = sandbox.create_code_context()
            assert sandbox.run_code("1 + 1", context=context).text == "2"
            sandbox.remove_code_context(context)
        after = _host()
        assert len(sandbox.list_code_contexts()) == 1
    assert after[0] == before[0]
    assert after[1] - before[1] < _BOUND_BYTES


def _in_fork(work: Callable[[], str]) -> str:
    """What `work` returns in a fork of this process, or the exception it raises."""
    reading_fd, writing_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                answer = work()
            except BaseException:  # noqa: BLE001 (the parent is to see whatever it is)
                answer = traceback.format_exc()
            os.write(writing_fd, answer.encode())
        finally:
            os._exit(0)
    os.close(writing_fd)
    with open(reading_fd, encoding="utf-8") as answers:
        answer = answers.read()
    assert os.waitpid(pid, 0)[1] == 0
    return answer


@pytest.fixture
def sandbox():
    with Sandbox.create(timeout=120) as sandbox:
        yield sandbox


def test_a_fork_of_the_program_shares_its_contexts(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    sandbox.run_code("kept = ['parent']", context=context)

    def in_child() -> str:
        execution = sandbox.run_code("kept.append('child')\nprint('said')\nkept", context=context)
        return f"{execution.text} {execution.logs.stdout}"

    assert _in_fork(in_child) == "['parent', 'child'] ['said\\n']"
    assert sandbox.run_code("kept", context=context).text == "['parent', 'child']"


def test_a_fork_and_its_parent_take_turns_in_a_context(sandbox: Sandbox) -> None:
    sandbox.run_code("import os\nos.mkfifo('gate')\nran = []")
    reading_fd, writing_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading_fd)
            code = "print('runs', flush=True)\nran.append(open('gate').read())"
            sandbox.run_code(
                code, timeout=20, on_stdout=lambda _message: os.write(writing_fd, b"1")
            )
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing_fd)
    assert os.read(reading_fd, 1) == b"1"
    os.close(reading_fd)
    opener = sandbox.commands.run("echo open > gate", background=True, timeout=20)
    # Waits for the child's cell, if that has not ended by now.
    assert sandbox.run_code("ran", timeout=20).text == r"['open\n']"
    assert opener.wait().exit_code == 0
    assert os.waitpid(pid, 0)[1] == 0


def test_a_fork_that_comes_while_a_thread_starts_a_kernel_can_start_kernels(
    sandbox: Sandbox,
) -> None:
    with sandbox._record.zygote._kernels_lock:
        assert _in_fork(lambda: sandbox.create_code_context().language) == "python"


def test_a_fork_can_make_contexts_in_its_parents_sandbox(sandbox: Sandbox) -> None:
    sandbox.run_code("1")

    def in_child() -> str:
        context = sandbox.create_code_context()
        return sandbox.run_code("6 * 7", context=context).text or ""

    assert _in_fork(in_child) == "42"
    assert sandbox.run_code("2").text == "2"


def test_a_context_that_a_fork_has_broken_is_told_to_the_parent(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 1")

    def in_child() -> str:
        error = sandbox.run_code("import os\nos._exit(3)").error
        return error.name if error else "no error"

    assert _in_fork(in_child) == "KernelDied"
    execution = sandbox.run_code("'kept' in dir()")
    assert execution.text == "False"
    assert "its variables are gone" in "".join(execution.logs.stderr)


def test_a_program_made_by_fork_has_sandboxes_of_its_own(sandbox: Sandbox) -> None:
    def in_child() -> str:
        with Sandbox.create(timeout=60) as own:
            return own.run_code("'own'").text or ""

    assert _in_fork(in_child) == "own"
    assert sandbox.run_code("1").text == "1"
