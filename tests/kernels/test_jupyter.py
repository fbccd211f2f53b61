"""Cells that a Jupyter kernel runs. No R is needed: ipykernel speaks the same protocol, and is
registered here as a kernel whose language is "R" (or "java").
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox.kernels import jupyter as kernel
from localbox.kernels.languages import LanguageMissing
from localbox.kernels.port import Port
from tests.kernels.fake_host import Context, Ran, Zygote
from tests.leftovers import wait_until

for _package in ("jupyter_client", "ipykernel"):
    if importlib.util.find_spec(_package) is None:
        pytest.skip(f"{_package} is not installed", allow_module_level=True)


def _register(directory: Path, name: str, **changes: object) -> None:
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": name,
        "language": "R",
        "env": {"FROM_SPEC": "yes"},
    }
    (directory / "kernels" / name).mkdir(parents=True)
    (directory / "kernels" / name / "kernel.json").write_text(json.dumps({**spec, **changes}))


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    directory = tmp_path_factory.mktemp("jupyter")
    _register(directory, "stand-in")
    _register(directory, "another", language="java", interrupt_mode="message")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(directory))
        patch.setenv("IPYTHONDIR", str(directory / "ipython"))
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        with Zygote("localbox.kernels.jupyter") as zygote:
            yield zygote


@pytest.fixture(scope="module")
def shared(zygote: Zygote) -> Iterator[Context]:
    """A context for tests that leave nothing in it which disturbs another."""
    with zygote.context("r") as context:
        yield context


def _error(ran: Ran) -> dict[str, str]:
    assert ran.error is not None, ran
    return ran.error


def test_results_and_state_come_from_the_kernel(shared: Context) -> None:
    first = shared.run("x = 20")
    ran = shared.run("x + 1")
    assert (ran.text, ran.error) == ("21", None)
    assert (first.count or 0) + 1 == ran.count
    assert shared.run("'text'").text == "text"


def test_streams_and_displays_keep_the_order_of_the_cell(shared: Context) -> None:
    ran = shared.run(
        "import sys\nfrom IPython.display import display, HTML\n"
        "print('a', flush=True)\nprint('b', file=sys.stderr, flush=True)\ndisplay(HTML('<i>'))\n"
        "print('c', flush=True)\n'main'"
    )
    kinds = [(kind, what.get("html") if kind == "result" else what) for kind, what in ran.events]
    assert kinds == [
        ("stdout", "a\n"),
        ("stderr", "b\n"),
        ("result", "<i>"),
        ("stdout", "c\n"),
        ("result", None),
    ]
    assert ran.text == "main"


def test_mime_types_become_e2bs_names(shared: Context) -> None:
    data = {"text/plain": "t", "image/png": "cG5n", "application/json": [1], "application/x-r": "r"}
    ran = shared.run(f"from IPython.display import display\ndisplay({data!r}, raw=True)")
    assert ran.results == [
        {
            "text": "t",
            "png": "cG5n",
            "json": [1],
            "extra": {"application/x-r": "r"},
            "is_main_result": False,
        }
    ]


def test_an_error_has_a_traceback_without_colours(shared: Context) -> None:
    error = _error(shared.run("1 / 0"))
    assert (error["name"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert "1 / 0" in error["traceback"]
    assert "\x1b" not in error["traceback"]


def test_env_is_set_and_unset_in_the_kernels_own_language(shared: Context) -> None:
    # What R would do is done by an object that has R's names.
    shared.run(
        "import os\nclass Sys:\n"
        "    setenv = staticmethod(lambda **variables: os.environ.update(variables))\n"
        "    unsetenv = staticmethod(lambda name: os.environ.pop(name))"
    )
    assert shared.run("os.environ['A']", env={"A": 'é "x"\n'}).text == 'é "x"\\n'
    assert shared.run("'A' in os.environ, os.environ['FROM_SPEC']").text == "(False, 'yes')"


@pytest.mark.parametrize("language", ["r", "java"])
def test_an_interrupt_by_signal_or_message_ends_the_cell_and_keeps_the_state(
    zygote: Zygote, language: str
) -> None:
    with zygote.context(language) as context:
        context.run("kept = 1")
        endless = "import time\nprint('go', flush=True)\nwhile True: time.sleep(0.01)"
        ran = context.run(endless, interrupt_at="go")
        assert _error(ran)["name"] == "KeyboardInterrupt"
        assert context.run("kept").text == "1"


def test_a_dead_kernel_is_the_cells_error(zygote: Zygote) -> None:
    with zygote.context("r") as context:
        ran = context.run("import os; os._exit(3)")
        assert _error(ran)["name"] == "SystemExit"
        assert ran.restart == "the Jupyter kernel stand-in exited with status 3"
    with zygote.context("r") as context:
        ran = context.run("import os; os.kill(os.getpid(), 9)")
        assert _error(ran)["name"] == "KernelDied"


def test_a_killed_client_takes_its_kernel_along(zygote: Zygote) -> None:
    context = zygote.context("r")
    kernel_pid = int(context.run("import os; os.getpid()").text or "")
    os.kill(context.pid, 9)
    wait_until(lambda: not Path(f"/proc/{kernel_pid}/fd/0").exists(), "the kernel lives on")
    context.close()


def test_three_hundred_cells_leave_no_descriptor(zygote: Zygote) -> None:
    with zygote.context("r") as context:
        context.run("0")
        before = len(os.listdir(f"/proc/{context.pid}/fd"))
        for number in range(300):
            assert context.run(str(number)).text == str(number)
        assert len(os.listdir(f"/proc/{context.pid}/fd")) <= before + 3


@pytest.mark.parametrize(("language", "hint"), [("r", "IRkernel"), ("java", "JJava")])
def test_a_language_without_a_kernel_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, language: str, hint: str
) -> None:
    _register(tmp_path, "neither", language="fortran")
    _register(tmp_path, "broken", argv=["/nowhere/R", "{connection_file}"])
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(LanguageMissing, match=hint):
        kernel.start_kernel(_no_port(), language)


def _no_port() -> Port:
    return object.__new__(Port)
