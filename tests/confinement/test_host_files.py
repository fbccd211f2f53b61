"""private-root and mount-namespace: the host's files are not there, or cannot be changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localbox import Sandbox
from tests.confinement.attack import PRELUDE, ask, call, lines, outcome

# In the template of every sandbox, and nothing else at the top.
TOP = {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "sbin", "mnt", "opt", "proc"}
TOP |= {"root", "run", "tmp", "usr", "var", "nix", "gnu", ".localbox"}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("only for the host")
    path.chmod(0o644)
    return path


def test_guest_cannot_see_a_host_file(any_sandbox: Sandbox, secret: Path) -> None:
    assert secret.read_text() == "only for the host"
    assert outcome(any_sandbox, f"open({str(secret)!r})") == "ENOENT"


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/machine-id"])
def test_guest_cannot_see_the_hosts_configuration(any_sandbox: Sandbox, path: str) -> None:
    assert outcome(any_sandbox, f"open({path!r})") == "ENOENT"


@pytest.mark.parametrize("path", ["/boot", "/sys", "/srv", "/work", "/run/user", "/var/lib"])
def test_guest_cannot_see_host_directories(any_sandbox: Sandbox, path: str) -> None:
    if path == "/work" and not os.path.exists(path):
        pytest.skip("there is no such directory here")
    assert outcome(any_sandbox, f"os.listdir({path!r})") == "ENOENT"


def test_guest_sees_empty_homes_and_var_of_its_own(sandbox: Sandbox) -> None:
    seen = ask(sandbox, "answer = {p: os.listdir(p) for p in ('/home', '/home/user', '/run')}")
    assert seen == {"/home": ["user"], "/home/user": [], "/run": []}
    # What leads to the interpreter may lie below these, and nothing beside it.
    roots = [sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)]
    for directory in ("/root", "/var", "/opt", "/mnt"):
        for name in ask(sandbox, f"answer = os.listdir({directory!r})"):
            below = f"{directory}/{name}"
            needed = any(root == below or root.startswith(below + "/") for root in roots)
            assert needed or below in ("/var/tmp", "/var/run")


def test_guest_sees_nothing_else_at_the_top(sandbox: Sandbox) -> None:
    seen = set(ask(sandbox, "answer = os.listdir('/')"))
    needed = {sys.prefix.split("/")[1], sys.base_prefix.split("/")[1]}
    assert seen <= TOP | needed


def test_guest_reads_the_system_and_its_own_small_etc(sandbox: Sandbox) -> None:
    assert outcome(sandbox, "open('/usr/bin/env', 'rb').read()") == "allowed"
    accounts = [line.split(":")[0] for line in lines(sandbox, "cat /etc/passwd")]
    assert accounts == ["root", "user", "nobody"]


@pytest.mark.parametrize(
    "way",
    [
        "/home/user/../../../../../../etc/shadow",
        "/proc/self/root/etc/shadow",
        "/proc/self/cwd/../../etc/shadow",
        "/proc/thread-self/root/etc/shadow",
        "/dev/fd/../../root/etc/shadow",
    ],
)
def test_no_way_around_leads_to_the_host(any_sandbox: Sandbox, way: str) -> None:
    assert outcome(any_sandbox, f"open({way!r})") in {"ENOENT", "EACCES"}


def test_the_old_root_is_not_below_the_new_one(sandbox: Sandbox) -> None:
    """After pivot_root the way up from / is / again."""
    same = "os.stat('/..').st_ino == os.stat('/').st_ino"
    assert ask(sandbox, f"os.chdir('/'); answer = [{same}, os.getcwd()]") == [True, "/"]


@pytest.mark.parametrize("how", ["run", "run_python"])
def test_guest_inherits_no_descriptor(sandbox: Sandbox, how: str) -> None:
    if how == "run":
        # ls itself has one more open, for the directory it lists.
        seen = [line.rpartition("-> ")[2] for line in lines(sandbox, "ls -l /proc/self/fd")[1:]]
        seen.remove(next(target for target in seen if target.startswith("/proc/")))
    else:
        seen = ask(
            sandbox,
            """
answer = []
for name in os.listdir('/proc/self/fd'):
    try:
        answer.append(os.readlink(f'/proc/self/fd/{name}'))
    except FileNotFoundError:
        pass  # the descriptor of the listing
""",
        )
        # The exit code leaves by a pipe of its own; a guest that writes there lies about itself.
        assert len(seen) == 4
        assert outcome(sandbox, "os.read(3, 1)") == "EBADF"
        del seen[3:]
    assert len(seen) == 3
    assert all(target.startswith(("pipe:", "/dev/null")) for target in seen)


def test_file_handles_open_nothing(any_sandbox: Sandbox) -> None:
    """open_by_handle_at(2) finds files by inode, whatever is mounted where."""
    assert call(any_sandbox, "open_by_handle_at", -100, 0, 0) == "EPERM"
    assert call(any_sandbox, "name_to_handle_at", -100, b"/usr", 0, 0, 0) == "EPERM"


@pytest.mark.parametrize(
    "change",
    [
        "open('/usr/new', 'w')",
        "open('/etc/new', 'w')",
        "open('/new', 'w')",
        "open('/usr/bin/env', 'r+b')",
        "open('/etc/passwd', 'a')",
        "os.mkdir('/usr/new')",
        "os.mkdir('/run/new')",
        "os.unlink('/usr/bin/env')",
        "os.rename('/usr/bin', '/usr/bin2')",
        "os.chmod('/usr/bin/env', 0o777)",
        "os.chmod('/', 0o777)",
        "os.utime('/usr/bin/env', (1, 1))",
        "os.symlink('x', '/etc/x')",
        "os.truncate('/etc/passwd', 0)",
        "os.setxattr('/usr/bin/env', 'user.x', b'x')",
        "os.mkdir('/dev/new')",
        "os.chmod('/dev/null', 0o000)",
    ],
)
def test_guest_cannot_change_the_system(any_sandbox: Sandbox, change: str) -> None:
    # The kernel looks at the owner first where a file is opened: EACCES for the files of root.
    opens = change.startswith(("open", "os.truncate", "os.setxattr"))
    assert outcome(any_sandbox, change) in ({"EROFS", "EACCES"} if opens else {"EROFS"})


def test_guest_can_write_where_it_should(any_sandbox: Sandbox) -> None:
    for directory in ("/home/user", "/tmp", "/dev/shm", "/var/tmp"):
        assert outcome(any_sandbox, f"open('{directory}/new', 'w').write('x')") == "allowed"
    assert outcome(any_sandbox, "open('/dev/null', 'w').write('x')") == "allowed"


@pytest.mark.parametrize("how", ["run", "run_python"])
def test_guest_cannot_change_the_interpreter_it_runs_in(sandbox: Sandbox, how: str) -> None:
    """/proc/self/exe leads to the mount the zygote was started from, not to the sandbox's own.

    Where the interpreter belongs to the sandbox's own host user (a venv of an ordinary user), a
    chmod through it would succeed were that mount writable.
    """
    host_path = os.path.realpath(sys.executable)
    before = os.stat(host_path)
    change = "outcome(os.chmod, '/proc/self/exe', 0o777), outcome(open, '/proc/self/exe', 'r+b')"
    change += ", outcome(os.chmod, os.readlink('/proc/self/exe'), 0o777)"
    if how == "run_python":
        seen = ask(sandbox, f"answer = [{change}]")
    else:
        # A fresh interpreter, exec'd from the sandbox's mount.
        sandbox.files.write("attack.py", f"{PRELUDE}\nprint(*[{change}])")
        seen = lines(sandbox, "python attack.py")[0].split()
    assert seen[0] == seen[2] == "EROFS"
    assert seen[1] in {"EROFS", "ETXTBSY", "EACCES"}
    after = os.stat(host_path)
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_size,
    )


def test_mounts_seen_inside_do_not_name_host_directories(sandbox: Sandbox, tmp_path: Path) -> None:
    mounts = sandbox.files.read("/proc/self/mountinfo")
    assert str(tmp_path) not in mounts
    assert str(Path(__file__).parent.parent) not in mounts


def test_devices_are_the_harmless_ones(any_sandbox: Sandbox) -> None:
    seen = set(ask(any_sandbox, "answer = os.listdir('/dev')"))
    assert seen == {
        *("null", "zero", "full", "random", "urandom", "tty"),
        *("fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"),
    }
    assert outcome(any_sandbox, "open('/dev/urandom', 'rb').read(8)") == "allowed"


@pytest.mark.parametrize("device", [(1, 1), (1, 3), (8, 0), (254, 0)])
def test_guest_cannot_make_a_device(any_sandbox: Sandbox, device: tuple[int, int]) -> None:
    make = f"os.mknod('/tmp/device', stat.S_IFBLK | 0o666, os.makedev{device})"
    assert outcome(any_sandbox, make) == "EPERM"
    make = f"os.mknod('/tmp/device', stat.S_IFCHR | 0o666, os.makedev{device})"
    assert outcome(any_sandbox, make) == "EPERM"


def test_guest_can_make_a_fifo(any_sandbox: Sandbox) -> None:
    assert outcome(any_sandbox, "os.mkfifo('/tmp/fifo')") == "allowed"
