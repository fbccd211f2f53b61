"""What cells of the Python kernel may do to their process without harm to the cells after them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.fake_host import Context, Ran, Zygote

pytest.importorskip("IPython")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote("localbox.kernels.python") as zygote:
        yield zygote


@pytest.fixture
def context(zygote: Zygote, tmp_path: Path) -> Iterator[Context]:
    with zygote.context(cwd=tmp_path) as context:
        yield context


def test_output_of_both_streams_comes_in_the_order_written(context: Context) -> None:
    ran = context.run(
        "import sys\nfor i in range(3):\n    print(i)\n    print(-i, file=sys.stderr)\n"
        "sys.stdout.write('end')\n1;"
    )
    assert [text for _, text in ran.events] == ["0\n", "0\n", "1\n", "-1\n", "2\n", "-2\n", "end"]


def test_output_comes_while_the_cell_runs(context: Context, tmp_path: Path) -> None:
    def answer(ran: Ran) -> None:
        if "ready" in ran.stdout:
            (tmp_path / "go").touch()

    code = "import os\nprint('ready')\nwhile not os.path.exists('go'): pass\nprint('went')"
    assert context.run(code, on_output=answer).stdout == "ready\nwent\n"


def test_output_of_c_code_and_of_programs_is_caught(context: Context) -> None:
    code = "import os, subprocess\nos.write(1, b'c\\n')\nsubprocess.run(['echo', 'p']);"
    assert context.run(code).stdout == "c\np\n"


HARMFUL = {
    "replaces stdout": "import io, sys\nsys.stdout = sys.stderr = io.StringIO()",
    "removes stdout": "import sys\ndel sys.stdout, sys.stderr",
    "closes stdout": "import sys\nsys.stdout.close(); sys.stderr.close()",
    "closes the buffer": "import sys\nsys.stdout.buffer.close()",
    "detaches the buffer": "import sys\nsys.stdout.detach()",
    "closes descriptors": "import os\nos.close(1); os.close(2)",
    "moves descriptors": "import os\nos.dup2(os.open('/dev/null', os.O_RDWR), 1)",
    "takes the waiting away": "import os\nos.set_blocking(1, False)",
    "traces": "import sys\nsys.settrace(lambda *a: print('traced'))",
    "profiles": "import sys\nsys.setprofile(lambda *a: print('profiled'))",
    "empties its namespace": "globals().clear()",
    "empties its namespace and goes on": "globals().clear()\n5",
    "deletes In and Out": "del In, Out, _oh, _ih, get_ipython",
    "resets": "%reset -f",
    "closes the loop": "import asyncio\nawait asyncio.sleep(0)\nasyncio.get_event_loop().close()",
    "removes its directory": "import os\nos.rmdir(os.getcwd())",
    "turns warnings into errors": "import warnings\nwarnings.simplefilter('error')",
    "breaks the display": "import sys\nsys.displayhook = None",
    "recurses": "def f(): f()\nf()",
    "forks, and the child goes on": "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)",
    "forks, and the child fails": "import os\npid = os.fork()\nif not pid: 1 / 0\n"
    "os.waitpid(pid, 0)",
    "forks, and the child exits": "import os, sys\npid = os.fork()\nif not pid: sys.exit(7)\n"
    "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7",
}


@pytest.mark.parametrize("what", HARMFUL)
def test_the_next_cell_works_after_one_that(context: Context, what: str) -> None:
    context.run(HARMFUL[what])
    ran = context.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'")
    assert ran.stdout == "out\n"
    assert ran.stderr.endswith("err\n")
    assert (ran.text, ran.error, ran.died) == ("value", None, False)
    assert context.run("%%bash\necho sh").stdout == "sh\n"
    assert context.run("await __import__('asyncio').sleep(0, 6)").text == "6"


def test_a_thread_may_print_after_its_cell(context: Context, tmp_path: Path) -> None:
    context.run(
        "import os, sys, threading\n"
        "def late():\n"
        "    while not os.path.exists('go'): pass\n"
        "    print('late'); print('later', file=sys.stderr); display('never seen')\n"
        "thread = threading.Thread(target=late); thread.start()"
    )
    (tmp_path / "go").touch()
    ran = context.run("thread.join()\n1")
    assert (ran.stdout, ran.text) == ("late\n", "1")


def test_the_working_directory_is_state(context: Context, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    context.run("%cd -q deeper")
    assert context.run("import os; os.getcwd()").text == str(tmp_path / "deeper")
    assert context.run("!pwd").stdout == f"{tmp_path}/deeper\n"


def test_a_module_in_the_working_directory_can_be_imported(context: Context) -> None:
    context.run("%%writefile near.py\nx = 7")
    assert context.run("import near; near.x").text == "7"


MEASURE = """
import gc, os, resource
gc.collect()
pages = int(open('/proc/self/statm').read().split()[1])
[len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task')), pages, len(globals())]
"""
VARIETY = (
    "1 + 1",
    "data = list(range(200_000))\ndata",
    "print('a'); import sys; print('b', file=sys.stderr)",
    "1 / 0",
    "await __import__('asyncio').sleep(0)",
    "display({'a': 1})",
)


def test_500_cells_leave_no_descriptor_and_little_memory(context: Context) -> None:
    def run_many(count: int) -> list[int]:
        for number in range(count):
            context.run(VARIETY[number % len(VARIETY)] + f" # {number}")
        measured: list[int] = context.run(MEASURE).main["json"]  # type: ignore[index]
        return measured

    before = run_many(120)
    after = run_many(500)
    assert after[:2] == before[:2]
    assert (after[2] - before[2]) * 4096 < 20_000_000
    assert after[3] <= before[3]


def test_warming_up_leaves_nothing_open_and_the_process_as_it_was() -> None:
    with Zygote("tests.kernels.warmth") as zygote, zygote.context() as context:
        assert context.run("").events == [("stdout", "same\n")]
