"""The Python kernel: cells run in IPython's shell, forked warm from the kernel zygote."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import random
import sys
import warnings
from typing import Any

from localbox.kernels import python_errors, python_figures
from localbox.kernels.display import to_result
from localbox.kernels.python_shell import CellShell
from localbox.kernels.python_streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from localbox.kernels.port import Cell, Port

_ENDED = "the cell ended the interpreter (SystemExit)"
# What IPython imports when it is first asked for it. After the fork it may be out of reach.
_LATER_IMPORTS = ("IPython.core", "IPython.core.magics", "IPython.lib", "IPython.utils")
_NEVER_NEEDED = ("win32", "emscripten", "kitty", "deepreload", "clipboard", "guisupport", "demo")
_WARMING_CELLS = (
    "1 + 1",
    "[1, {'a': None}]",
    "import sys\nx = 'text'\nx",
    "def f(x):\n    return 1 / x\nf(0)",
    "x = = 1",
    "%pwd",
    "import asyncio\nawait asyncio.sleep(0)",
)
_WARMING_FIGURE = (
    "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4], label='a')\nplt.legend()\nplt.show()"
)
_WARMING_TABLE = "import pandas\npandas.DataFrame({'a': [1.5, None], 'b': ['x', 'y']})"

_shell: CellShell | None = None


class PythonKernel:
    def __init__(self, shell: CellShell, streams: Streams, port: Port | None) -> None:
        self._shell = shell
        self._streams = streams
        self._port = port
        self._cell: Cell | None = None
        self._failed = False
        self._pid = os.getpid()
        shell.kernel = self

    def rehearse(self) -> None:
        """Run a cell of no meaning and forget it: the first one then finds its pages its own."""
        self.execute(_Nobody("1 + 1"))  # type: ignore[arg-type]
        self._shell.forget_everything()
        self._shell.become_main()
        self._shell.kernel = self

    def execute(self, cell: Cell) -> None:
        self._cell, self._failed = cell, False
        tracing = sys.gettrace(), sys.getprofile()
        if self._port is not None:
            self._port.restore_interrupts()
        self._streams.begin(cell.settle)
        try:
            with _environment(cell.env):
                self._run(cell)
        except BaseException as error:  # an interrupt, or a cell that broke the shell
            self._tell_error(cell, error)
        finally:
            if os.getpid() != self._pid:
                self._end_fork(0)
            # A cell's tracing is of no use beyond it, and would trace all of this.
            if tracing != (sys.gettrace(), sys.getprofile()):
                sys.settrace(None)
                sys.setprofile(None)
            self._cell = None
            with self.undisturbed():
                self._streams.end()

    def _run(self, cell: Cell) -> None:
        cell.count(self._shell.execution_count)
        error = self._shell.run_source(cell.code)
        python_figures.show_open_figures()
        if error is not None:
            self._tell_error(cell, error)

    def _tell_error(self, cell: Cell, error: BaseException) -> None:
        if os.getpid() != self._pid and isinstance(error, SystemExit):
            self._end_fork(error.code)
        name, value, traceback = python_errors.describe(self._shell, error)
        if os.getpid() != self._pid:
            sys.stderr.write(traceback + "\n")
            self._end_fork(1)
        self._streams.flush()
        if isinstance(error, SystemExit):
            cell.restart = _ENDED
        # An interrupt that comes this late is no second error.
        if not self._failed:
            self._failed = True
            cell.fail(name, value, traceback)

    def _end_fork(self, code: object) -> None:
        """A child that the cell has forked and that ran on to the cell's end: not a kernel."""
        self._streams.flush()
        os._exit(code if isinstance(code, int) else code is not None)

    def publish(self, bundle: Mapping[str, Any], *, is_main: bool) -> None:
        if self._cell is not None:
            self._streams.flush()
            self._cell.show(to_result(bundle), is_main=is_main)

    def settle(self) -> None:
        self._streams.settle()

    def undisturbed(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._port is None else self._port.undisturbed()


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment for one cell; afterwards they are what they were before."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        os.environ.update(variables)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Nobody:
    """The cell of a warming run."""

    restart: str | None = None

    def __init__(self, code: str) -> None:
        self.code = code
        self.env: dict[str, str] = {}

    def count(self, execution_count: int) -> None:
        pass

    def show(self, result: dict[str, Any], *, is_main: bool = False) -> None:
        pass

    def fail(self, name: str, value: str, traceback: str) -> None:
        pass

    def settle(self) -> None:
        pass


def warm_up() -> None:
    """Import what cells will need and run some, so that contexts start with all of it done."""
    global _shell
    with warnings.catch_warnings():
        _import_the_rest()
    _shell = CellShell.instance()
    before = sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__
    streams = Streams()
    kernel = PythonKernel(_shell, streams, None)
    for code in _warming_cells():
        kernel.execute(_Nobody(code))  # type: ignore[arg-type]
    streams.close()
    sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__ = before  # type: ignore[misc]
    _shell.forget_everything()


def _import_the_rest() -> None:
    # Some only say where they have gone.
    warnings.simplefilter("ignore")
    for package in _LATER_IMPORTS:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not any(part in module.name for part in _NEVER_NEEDED):
                # Some need what is not installed.
                with contextlib.suppress(ImportError):
                    importlib.import_module(f"{package}.{module.name}")
    if "matplotlib.pyplot" in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("e2b_charts")


def _warming_cells() -> Iterator[str]:
    yield from _WARMING_CELLS
    if "matplotlib.pyplot" in sys.modules:
        yield _WARMING_FIGURE
    if "pandas" in sys.modules:
        yield _WARMING_TABLE


def start_kernel(port: Port, language: str) -> PythonKernel:
    """In the forked process: a kernel with a namespace of its own."""
    if _shell is None:
        raise RuntimeError("warm_up() comes first, before the fork")
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        # With an integer: without, it goes through a good deal of Python, all to be copied.
        numpy_random.seed(int.from_bytes(os.urandom(4), "little"))
    _shell.become_main()
    return PythonKernel(_shell, Streams(), port)
