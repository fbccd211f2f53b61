"""Imports a profile's modules before the first sandbox, so that every sandbox is born with them."""

from __future__ import annotations

import importlib
import os
import sys

from localbox.confinement import syscalls

# One thread each: a library that starts its pool at import would leave the zygote with threads,
# and the kernel moves no process with threads into a mount namespace. setns(2).
_ONE_THREAD = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_SCRATCH_CANDIDATES = ("/tmp", "/var/tmp", "/mnt", "/media", "/srv")


def preload(modules: list[str], sys_path: list[str], warm_up: tuple[str, ...] = ()) -> None:
    """Import `modules` from the directories of `sys_path`.

    Args:
        warm_up: modules, imported last, whose function of that name is called.

    Raises:
        ImportError: one is missing, or starts threads.
    """
    if not modules and not warm_up:
        return
    sys.path += [path for path in sys_path if path and path not in sys.path]
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    _make_scratch(sys_path)
    for name in (*modules, *warm_up):
        module = importlib.import_module(name)
        if name in warm_up:
            module.warm_up()
        if len(os.listdir("/proc/self/task")) > 1:
            raise ImportError(f"{name} starts threads when it is imported")
    os.environ.clear()


def _make_scratch(sys_path: list[str]) -> None:
    """A place to write, for modules that make a cache directory at import: all else is read-only.

    In a mount namespace of its own, which is left behind when the first template is built.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    for path in _SCRATCH_CANDIDATES:
        # Not over the packages that are about to be imported.
        hides_packages = any(entry.startswith(path + "/") for entry in [*sys_path, *sys.path])
        if os.path.isdir(path) and not hides_packages:
            syscalls.mount("scratch", path, "tmpfs", syscalls.MS_NODEV, "mode=0700,size=64m")
            # A cache directory that is remembered is then one a sandbox can make again.
            os.environ.update(HOME=path, TMPDIR=path)
            return
