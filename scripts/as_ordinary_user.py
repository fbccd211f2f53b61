"""Run a command as an unprivileged user of this machine: `as_ordinary_user.py COMMAND...`, as root.

For the tests: an ordinary user meets other answers from the kernel than root does. The
user is a uid without an account, and has an empty home that is removed afterwards.

The checkout, the virtual environment or its interpreter often lie below a directory no
other user may enter: /root, a home of mode 0700. In a private mount namespace each such
directory is covered with an empty one that holds only the entries leading to what is
needed, so every path stays as it is and nothing changes for anyone else.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# <sched.h>, <sys/mount.h>
CLONE_NEWNS = 0x00020000
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def call(function: str, *arguments: object) -> None:
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        shown = ", ".join(str(argument) for argument in arguments)
        raise OSError(number, f"{function}({shown}): {os.strerror(number)}")


def mount(source: str, target: str, filesystem: str, flags: int, data: str = "") -> None:
    call(
        "mount",
        source.encode(),
        target.encode(),
        filesystem.encode(),
        ctypes.c_ulong(flags),
        data.encode(),
    )


def needed_paths() -> list[Path]:
    """What the command has to reach: this checkout, the environment and its interpreter."""
    executable = Path(sys.executable)
    candidates = [ROOT, Path(sys.prefix), Path(sys.base_prefix), executable, executable.resolve()]
    return [path for candidate in candidates for path in {candidate, candidate.resolve()}]


def closed(directory: Path) -> bool:
    return not directory.stat().st_mode & stat.S_IXOTH


def closed_directories(paths: list[Path]) -> dict[Path, set[str]]:
    """The directories in the way, outermost first, each with the entries it has to show."""
    shown: dict[Path, set[str]] = {}
    for path in paths:
        steps = [*reversed(path.parents), path]
        for step, below in zip(steps, [*steps[1:], None], strict=True):
            if not step.is_dir() or not closed(step):
                continue
            # A path that is itself closed has to show everything it holds.
            entries = (
                {below.name} if below is not None else {child.name for child in step.iterdir()}
            )
            shown.setdefault(step, set()).update(entries)
    return dict(sorted(shown.items(), key=lambda item: len(item[0].parts)))


def cover(directory: Path, entries: set[str]) -> None:
    """Put an open directory over a closed one, showing only these entries of it."""
    # The descriptor still means the directory underneath once the tmpfs lies over it.
    underneath = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        mount("tmpfs", str(directory), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
        for name in sorted(entries):
            source = Path(f"/proc/self/fd/{underneath}/{name}")
            target = directory / name
            if source.is_symlink():
                target.symlink_to(source.readlink())
                continue
            if source.is_dir():
                target.mkdir()
            else:
                target.touch()
            mount(str(source), str(target), "", MS_BIND | MS_REC)
    finally:
        os.close(underneath)


def open_the_way() -> None:
    in_the_way = closed_directories(needed_paths())
    if not in_the_way:
        return
    call("unshare", CLONE_NEWNS)
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    for directory, entries in in_the_way.items():
        cover(directory, entries)
    # The working directory is still the one underneath.
    os.chdir(ROOT)


def unused_uid() -> int:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(uid for uid in range(61000, 62000) if uid not in taken)


def environment(home: Path) -> dict[str, str]:
    """A small environment, with everything that is written below `home`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"CI", "LANG", "TERM"} or name.startswith("LC_")
    }
    return kept | {
        # First, because the python on root's path may be one this user cannot run.
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "USER": "ordinary",
        "LOGNAME": "ordinary",
        "TMPDIR": str(home / "tmp"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(home / ".hypothesis"),
        # The checkout belongs to somebody else.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": f"{os.environ.get('PYTEST_ADDOPTS', '')} -p no:cacheprovider".strip(),
    }


def make_home(uid: int) -> Path:
    # /tmp and not $TMPDIR, which may be closed; and paths of unix sockets must stay short.
    home = Path(tempfile.mkdtemp(prefix="ordinary-", dir="/tmp"))
    for directory in (home, home / "tmp", home / "run"):
        directory.mkdir(mode=0o700, exist_ok=True)
        os.chown(directory, uid, uid)
    return home


def run(command: list[str], uid: int, variables: dict[str, str]) -> int:
    """Run and wait; the user's signals reach the command, its status reaches the caller."""
    child = subprocess.Popen(
        command, user=uid, group=uid, extra_groups=[], umask=0o022, env=variables, cwd=ROOT
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    # Ctrl-C reaches the whole foreground group; here it only must not end the wait.
    # A function and not SIG_IGN, which the next command would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    status = child.wait()
    return status if status >= 0 else 128 - status


def main(command: list[str]) -> int:
    if not command:
        print("usage: as_ordinary_user.py COMMAND...", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        os.execvp(command[0], command)
    try:
        open_the_way()
    except OSError as error:
        print(
            f"cannot make a private mount namespace: {error}. "
            "Move the checkout and the interpreter where every user may read them.",
            file=sys.stderr,
        )
        return 1
    uid = unused_uid()
    home = make_home(uid)
    try:
        variables = environment(home)
        if run([sys.executable, "-c", "open('pyproject.toml').close()"], uid, variables) != 0:
            print(
                f"uid {uid} cannot read this checkout or run {sys.executable}: "
                "try chmod -R a+rX on them",
                file=sys.stderr,
            )
            return 1
        return run(command, uid, variables)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
