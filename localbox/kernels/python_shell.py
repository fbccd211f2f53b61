"""IPython's shell without a terminal: what it would print goes to a cell, and nothing to disk."""

# IPython has types for a part of itself only.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import asyncio
import contextlib
import getpass
import importlib
import linecache
import os
import subprocess
import sys
import tempfile
from typing import Any, cast

import IPython
from IPython.core.autocall import ExitAutocall
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.profiledir import ProfileDir
from IPython.utils.text import LSString, SList
from traitlets import Type

from localbox.kernels import python_errors, python_figures, python_formats, python_system
from localbox.kernels.python_hooks import (
    RESULTS_KEPT,
    Compiler,
    History,
    Nothing,
    ResultHook,
    ResultPublisher,
)
from localbox.kernels.python_streams import refuse_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator


class CellEnded(BaseException):
    """Leaves the shell when a cell has ended the interpreter."""


class _Exit(ExitAutocall):
    """`exit`, `quit()` and `exit(1)`."""

    def __call__(self, code: object = None) -> None:
        raise SystemExit if code is None else SystemExit(code)


def _write_page(_shell: Any, text: Any, *_args: Any, **_kwargs: Any) -> None:
    """What IPython would show in a pager, such as the answer to `len?`."""
    sys.stdout.write(text["text/plain"] if isinstance(text, dict) else text)


class CellShell(InteractiveShell):
    configurables: list[Any]
    display_formatter: Any
    history_manager: Any

    displayhook_class = Type(ResultHook)
    display_pub_class = Type(ResultPublisher)
    compiler_class = Type(Compiler)

    def __init__(self) -> None:
        # These three belong to the cell that runs; the kernel sets them.
        self.kernel: Any = None
        self.interrupted = False
        self.cell_source = ""
        self._shown: list[BaseException] = []
        self._rejected: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            colors="nocolor" if IPython.version_info >= (9,) else "NoColor",
            cache_size=RESULTS_KEPT,
            user_module=None,
        )
        self.loop_runner = self.run_async
        self.autoawait = True
        python_figures.prepare(self)
        for program in ("bash", "sh"):
            self._take_over_script_magic(program)

    def init_ipython_dir(self, ipython_dir: Any) -> None:
        # Its place need not exist, but a change of it makes the directory.
        with tempfile.TemporaryDirectory(prefix="ipython-", ignore_cleanup_errors=True) as path:
            self.ipython_dir = path
            self.profile_dir = ProfileDir.create_profile_dir_by_name(path, "default")

    def init_profile_dir(self, profile_dir: Any) -> None:
        pass

    def init_virtualenv(self) -> None:
        pass

    def init_sys_modules(self) -> None:
        """Nothing yet: here __main__ is still the program that forks us."""

    def init_history(self) -> None:
        self.history_manager = History(shell=self, parent=self, hist_file=":memory:", enabled=False)
        self.history_manager.exceptions = Nothing()
        self.configurables.append(self.history_manager)

    def init_hooks(self) -> None:
        super().init_hooks()
        self.set_hook("show_in_pager", _write_page, 0)

    def init_display_formatter(self) -> None:
        self.display_formatter = python_formats.ResultFormatter(parent=self)
        self.configurables.append(self.display_formatter)

    def _exiter_default(self) -> Any:
        return _Exit(self)

    def ask_exit(self) -> None:
        raise SystemExit

    def atexit_operations(self) -> None:
        pass

    def become_main(self) -> None:
        """Be this process's __main__, with a namespace as in a program just started."""
        name = "__main__"
        self.user_ns["__name__"] = name
        sys.modules[name] = self.user_module
        sys.argv = [""]
        if "" not in sys.path:
            sys.path.insert(0, "")
        self.home_dir = os.path.expanduser("~")
        self.starting_dir = os.getcwd()
        self.history_manager.dir_hist[:] = [self.starting_dir]
        self.builtin_trap.auto_builtins["input"] = refuse_input
        getpass.getpass = refuse_input

    def forget_everything(self) -> None:
        """Be as new: namespace, counters, and the loop."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None
            asyncio.set_event_loop(None)
        self.kernel = None
        self._shown, self._rejected = [], None
        for name in self.compile._filename_map:
            linecache.cache.pop(name, None)
        self.compile._filename_map.clear()
        self.reset()
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)

    def publish(self, bundle: Any, *, is_main: bool) -> None:
        if self.kernel is not None and bundle:
            self.kernel.publish(bundle, is_main=is_main)

    @contextlib.contextmanager
    def _tee(self, channel: str) -> Iterator[None]:
        """Output is not recorded here."""
        yield

    def _format_exception_for_storage(self, *_args: Any, **_kwargs: Any) -> Any:
        return {}

    def run_source(self, source: str) -> BaseException | None:
        """Run a cell; the error that ended it, if one did."""
        if "_oh" not in self.user_ns:
            # A cell has emptied its namespace, or will have meant to.
            self.user_ns.setdefault("__name__", "__main__")
            self.init_user_ns()
        self.cell_source, self.interrupted = source, False
        self._shown, self._rejected = [], None
        result = self.run_cell(source, store_history=True)
        error = result.error_in_exec or result.error_before_exec
        if isinstance(error, CellEnded):
            error = error.__cause__
        for shown in self._shown:
            if shown is not error:
                self.print_error(shown)
        self._shown = []
        return cast("BaseException | None", error)

    def transform_cell(self, raw_cell: str) -> Any:
        try:
            return super().transform_cell(raw_cell)
        except Exception as error:
            self._rejected = error
            raise

    def showtraceback(
        self,
        exc_tuple: Any = None,
        filename: str | None = None,
        tb_offset: int | None = None,
        exception_only: bool = False,
        running_compiled_code: bool = False,
    ) -> None:
        try:
            error = cast("BaseException", self._get_exc_info(exc_tuple)[1])
        except ValueError:
            sys.stderr.write("No traceback available to show.\n")
            return
        if isinstance(error, SystemExit) and exception_only:
            # Past IPython's advice how to leave it.
            raise CellEnded from error
        if self.display_formatter.depth or sys.exc_info()[1] is not error is not self._rejected:
            self.print_error(error)
        elif not isinstance(error, CellEnded):
            # It may be what ends the cell; then it is told in another way.
            self._shown.append(error)

    def showsyntaxerror(
        self, filename: str | None = None, running_compiled_code: bool = False
    ) -> None:
        self.showtraceback()

    def print_error(self, error: BaseException) -> None:
        sys.stderr.write(python_errors.describe(self, error)[2].rstrip("\n") + "\n")

    def run_async(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a cell that awaits, on a loop that stays."""
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            if task.done():
                raise
            # Otherwise it would go on in the next cell that awaits.
            self.interrupted = True
            task.cancel()
            return self._loop.run_until_complete(task)

    def enable_matplotlib(self, gui: str | None = None) -> Any:
        import matplotlib.pyplot  # noqa: F401

        python_figures.use_backend()
        return "inline", "inline"

    def system(self, cmd: str) -> None:
        self._settle()
        command = self.var_expand(cmd, depth=1)
        code, _output = python_system.run_command(command, self.kernel.undisturbed)
        self._settle()
        self._keep_exit_code(code, cmd)

    system_raw = system_piped = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        command = self.var_expand(cmd, depth=depth + 1)
        undisturbed = self.kernel.undisturbed
        code, output = python_system.run_command(command, undisturbed, capture=True)
        self._keep_exit_code(code, cmd)
        return SList(output.splitlines()) if split else LSString(output)

    def _keep_exit_code(self, code: int, cmd: str) -> None:
        self.user_ns["_exit_code"] = code
        # It may have installed something.
        importlib.invalidate_caches()
        # An option of later versions.
        if code and getattr(self, "system_raise_on_error", False):
            raise subprocess.CalledProcessError(code, cmd)

    def _take_over_script_magic(self, program: str) -> None:
        original = self.find_cell_magic(program)

        def run(line: str, cell: str) -> Any:
            if line.strip():
                return original(line, cell)  # options
            self._settle()
            code = python_system.run_script([program], cell, self.kernel.undisturbed)
            self._settle()
            if code:
                raise subprocess.CalledProcessError(code, cell)
            return None

        register: Any = self.register_magic_function
        register(run, "cell", program)

    def _settle(self) -> None:
        if self.kernel is not None:
            self.kernel.settle()
