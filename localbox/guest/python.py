"""Runs Python source in a process forked from the agent: the interpreter is already there.

The process is like a new `python -c`: its own session, descriptors, environment and `__main__`.
What it shares with the agent is memory that was read before any guest code ran. The zygote has
set `os.environ`, `sys.path` and the standard streams as they shall be, for each page that is left
as it was need not be copied.
"""

from __future__ import annotations

import _signal
import atexit
import builtins
import contextlib
import os
import resource
import sys
import types
from collections.abc import Callable

from localbox.guest.processes import Pipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

STATUS_FD = 3


def spawn_python(
    request: dict[str, Any],
    *,
    extra_env: dict[str, str],
    cwd: str,
    cpu_time_s: int | None,
    become_guest: Callable[[], None],
) -> tuple[int, int, int, int, int]:
    """Fork and run `request["code"]`.

    Args:
        extra_env: variables over those of `os.environ`.
        become_guest: see Agent.

    Returns:
        pid, stdin, stdout, stderr, and a pipe on which the exit code is written, one byte, when
        the program has ended. The process itself lives a little longer: the kernel takes most of
        a millisecond to take a forked interpreter's memory apart. The descriptors are ours.
    """
    status_reader, status_writer = os.pipe2(os.O_CLOEXEC)
    try:
        with Pipes(request["stdin"]) as pipes:
            pid = os.fork()
            if pid == 0:
                fds = [*pipes.theirs, status_writer]
                _run_child(request, fds, extra_env, cwd, cpu_time_s, become_guest)
            # The kernel often puts a child behind its parent on the same processor, and what we
            # have left to do can wait for it.
            os.sched_yield()
            return pid, *pipes.keep(), status_reader
    except BaseException:
        os.close(status_reader)
        raise
    finally:
        os.close(status_writer)


def _run_child(
    request: dict[str, Any],
    fds: list[int],
    extra_env: dict[str, str],
    cwd: str,
    cpu_time_s: int | None,
    become_guest: Callable[[], None],
) -> NoReturn:
    exit_code = 70  # EX_SOFTWARE, should anything below fail before the code runs
    try:
        os.setsid()
        # The status pipe first, while no number below 4 is in its way or another's.
        fds[3] = os.dup(fds[3])
        for target, fd in enumerate(fds):
            os.dup2(fd, target, inheritable=target != STATUS_FD)
        # All of the agent's other descriptors: its epoll, the host's sockets, other commands'
        # pipes. The Python objects that own them are never collected: this never returns.
        become_guest()
        _restore_signals()
        if extra_env:
            os.environ.update(extra_env)
        os.chdir(cwd)
        if cpu_time_s is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_time_s, cpu_time_s + 1))
        _reseed_numpy()
        exit_code = _execute(request["code"], request["filename"], request["argv"])
    except OSError as error:
        sys.stderr.write(f"localbox: cannot start the program: {error}\n")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        with contextlib.suppress(BaseException):
            os.write(STATUS_FD, bytes([exit_code]))
        os._exit(exit_code)


def _reseed_numpy() -> None:
    """A preloaded numpy would draw the same numbers in every program. `random` sees to itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        # With an integer: without, it goes through a good deal of Python, all to be copied.
        numpy_random.seed(int.from_bytes(os.urandom(4), "little"))


def _restore_signals() -> None:
    # signal's own functions would turn numbers into enum members and back, and have a dozen pages
    # copied for it; so in the agent.
    _signal.set_wakeup_fd(-1)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _execute(code: str, filename: str, argv: list[str]) -> int:
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    sys.argv = argv
    if not filename.startswith("<"):
        main.__file__ = filename
    try:
        exec(compile(code, filename, "exec"), main.__dict__)
    except SystemExit as error:
        return _exit_status(error.code)
    except BaseException as error:  # noqa: BLE001 (as the interpreter does)
        _report(error, code, filename)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    finally:
        _run_exit_functions()
    return 0


def _report(error: BaseException, code: str, filename: str) -> None:
    # The first frame is _execute's.
    traceback = error.__traceback__.tb_next if error.__traceback__ else None
    error = error.with_traceback(traceback)
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, traceback)
        return
    # There is no file to show lines of. Imported only now, as most programs do not fail.
    import linecache
    from traceback import print_exception

    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    print_exception(error)


def _run_exit_functions() -> None:
    """What the interpreter does at its end and os._exit would leave out."""
    threading = sys.modules.get("threading")
    if threading is not None:
        with contextlib.suppress(BaseException):
            threading._shutdown()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
