"""Runs Python source in a process forked from the agent: the interpreter is already there.

The process is like a new `python -c`: its own session, descriptors, environment and `__main__`.
What it shares with the agent is memory that was read before any guest code ran.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import os
import resource
import signal
import sys
import types
from collections.abc import Callable
from typing import NoReturn

from localbox.guest.processes import Pipes


def spawn_python(
    code: str,
    *,
    filename: str,
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    with_stdin: bool,
    cpu_time_s: int | None,
    sys_path: list[str],
    allow_inspection: Callable[[], None],
) -> tuple[int, int, int, int]:
    """Fork and run `code`: (pid, stdin, stdout, stderr), the descriptors ours to close."""
    with Pipes(with_stdin) as pipes:
        pid = os.fork()
        if pid == 0:
            _run_child(
                code, filename, argv, env, cwd, cpu_time_s, sys_path, allow_inspection, pipes.theirs
            )
        return pid, *pipes.keep()


def _run_child(
    code: str,
    filename: str,
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    cpu_time_s: int | None,
    sys_path: list[str],
    allow_inspection: Callable[[], None],
    stdio: list[int],
) -> NoReturn:
    exit_code = 70  # EX_SOFTWARE, should anything below fail before the code runs
    try:
        os.setsid()
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        # Descriptors of the agent: its epoll, the host's sockets, other commands' pipes. The
        # Python objects that own them are never collected, for this function never returns.
        os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        # The agent is closed to /proc/PID readers; this process is the guest's own, and programs
        # read their own /proc/self/fd.
        allow_inspection()
        _restore_signals()
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        if cpu_time_s is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_time_s, cpu_time_s + 1))
        exit_code = _execute(code, filename, argv, sys_path)
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(exit_code)


def _restore_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _execute(code: str, filename: str, argv: list[str], sys_path: list[str]) -> int:
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    sys.argv = argv
    sys.path[:] = sys_path
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = _text_stream(1, "strict")
    sys.stderr = _text_stream(2, "backslashreplace")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    gc.enable()
    try:
        exec(compile(code, filename, "exec"), main.__dict__)
    except SystemExit as error:
        return _exit_status(error.code)
    except BaseException as error:
        # The first frame is this one.
        traceback = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    finally:
        _run_exit_functions()
    return 0


def _text_stream(fd: int, errors: str):  # type: ignore[no-untyped-def]
    return open(  # noqa: SIM115
        fd, "w", encoding="utf-8", errors=errors, closefd=False, buffering=1 if fd == 2 else -1
    )


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
    print(code, file=sys.stderr)
    return 1
