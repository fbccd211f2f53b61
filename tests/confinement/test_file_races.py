"""Files: the host never follows a guest's path, however fast the guest changes what it means."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from localbox import FileNotFoundException, Sandbox, SandboxException
from tests.confinement.attack import outcome

SECRET = "content of a host file that nobody inside may ever see"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        # So that an ordinary user's permissions are not what protects it.
        with contextlib.suppress(PermissionError):
            directory.chmod(0o755)
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o666)
    return path


SWAP = """
import os
os.makedirs('/home/user/real', exist_ok=True)
open('/home/user/real/{name}', 'w').write('mine')
os.symlink('{directory}', '/home/user/link')
print('ready', flush=True)
while True:
    # d is by turns a directory of its own and a link to a directory of the host.
    os.rename('/home/user/real', '/home/user/d')
    os.rename('/home/user/d', '/home/user/real')
    os.rename('/home/user/link', '/home/user/d')
    os.rename('/home/user/d', '/home/user/link')
"""


def test_a_swapped_directory_never_gives_away_a_host_file(sandbox: Sandbox, secret: Path) -> None:
    sandbox.files.write("swap.py", SWAP.format(name=secret.name, directory=secret.parent))
    handle = sandbox.commands.run("python3 swap.py", background=True, timeout=0)
    assert next(iter(handle)) == ("ready\n", None, None)
    seen = set()
    for _ in range(600):
        with contextlib.suppress(SandboxException):
            seen.add(sandbox.files.read(f"d/{secret.name}"))
    handle.kill()
    # Both states were met: the guest's own file was read, the host's never.
    assert seen == {"mine"}


def test_a_swapped_directory_never_redirects_a_write(sandbox: Sandbox, secret: Path) -> None:
    sandbox.files.write("swap.py", SWAP.format(name=secret.name, directory=secret.parent))
    handle = sandbox.commands.run("python3 swap.py", background=True, timeout=0)
    assert next(iter(handle)) == ("ready\n", None, None)
    written = 0
    for _ in range(300):
        with contextlib.suppress(SandboxException):
            sandbox.files.write(f"d/{secret.name}", "overwritten")
            written += 1
    handle.kill()
    assert written
    assert secret.read_text() == SECRET


@pytest.mark.parametrize("target", ["/etc/shadow", "/etc/passwd"])
def test_links_lead_to_the_sandboxs_own_files(sandbox: Sandbox, target: str) -> None:
    # The last leads to the root of whoever follows it; the agent's is the sandbox's.
    sandbox.commands.run(f"ln -s {target} link; ln -s / root; ln -s /proc/self/root proc")
    for path in ("link", f"root{target}", f"proc{target}"):
        if target == "/etc/shadow":
            with pytest.raises(FileNotFoundException):
                sandbox.files.read(path)
        else:
            assert "user:x:1000" in sandbox.files.read(path)


@pytest.mark.parametrize("target", ["mem", "fd/0", "fd/3", "fd/4", "fd/5", "oom_score_adj", "comm"])
def test_links_into_proc_do_not_make_the_agent_write_to_itself(
    sandbox: Sandbox, target: str
) -> None:
    """The agent opens paths as itself, so /proc/self is the agent's."""
    sandbox.commands.run(f"ln -s /proc/self/{target} link")
    with pytest.raises(SandboxException):
        sandbox.files.write("link", "-1000")
    assert sandbox.is_running()
    assert sandbox.commands.run("echo fine").stdout == "fine\n"


def test_a_file_that_becomes_a_fifo_does_not_hold_the_host(sandbox: Sandbox) -> None:
    code = """
import os
open('f', 'w').write('mine')
os.mkfifo('p')
print('ready', flush=True)
while True:
    os.rename('f', 'x'); os.rename('x', 'f')
    os.rename('p', 'x'); os.rename('x', 'p')
"""
    sandbox.files.write("swap.py", code)
    handle = sandbox.commands.run("python3 swap.py", background=True, timeout=0)
    assert next(iter(handle)) == ("ready\n", None, None)
    seen = set()
    for _ in range(300):
        with contextlib.suppress(SandboxException):
            seen.add(sandbox.files.read("x", request_timeout=10))
    handle.kill()
    assert seen == {"mine"}


def test_a_file_that_is_truncated_while_it_is_read_does_not_hurt_the_host(
    sandbox: Sandbox,
) -> None:
    """A mapping of it would bring SIGBUS; the host copies with read(2)."""
    code = """
import os
fd = os.open('f', os.O_CREAT | os.O_RDWR)
print('ready', flush=True)
while True:
    os.ftruncate(fd, 3_000_000); os.ftruncate(fd, 10)
"""
    sandbox.files.write("cut.py", code)
    handle = sandbox.commands.run("python3 cut.py", background=True, timeout=0)
    assert next(iter(handle)) == ("ready\n", None, None)
    for _ in range(100):
        assert set(sandbox.files.read("f", format="bytes")) <= {0}
    handle.kill()


def test_the_hosts_file_position_is_not_shared(sandbox: Sandbox) -> None:
    sandbox.files.write("data", os.urandom(2 << 20))
    with sandbox.files.read("data", format="stream") as stream:
        first = next(stream)
        sandbox.commands.run("cat data > /dev/null")
        assert first + b"".join(stream) == sandbox.files.read("data", format="bytes")


def test_a_tree_that_grows_while_it_is_removed_or_listed_is_no_trouble(sandbox: Sandbox) -> None:
    code = """
import os, itertools
print('ready', flush=True)
for n in itertools.count():
    os.makedirs(f'd/{n % 50}/x', exist_ok=True)
    try: os.removedirs(f'd/{n % 50 - 25}/x')
    except OSError: pass
"""
    sandbox.files.write("grow.py", code)
    handle = sandbox.commands.run("python3 grow.py", background=True, timeout=0)
    assert next(iter(handle)) == ("ready\n", None, None)
    for _ in range(30):
        with contextlib.suppress(SandboxException):
            sandbox.files.list("d", depth=3)
        with contextlib.suppress(SandboxException):
            sandbox.files.remove("d")
    handle.kill()
    assert outcome(sandbox, "open('after', 'w')") == "allowed"


def test_a_path_as_deep_as_the_kernel_allows_can_be_removed(sandbox: Sandbox) -> None:
    code = """
import os
for _ in range(3000):
    os.mkdir('d'); os.chdir('d')
"""
    sandbox.commands.run_python(code)
    with contextlib.suppress(SandboxException):
        sandbox.files.remove("d")
    assert sandbox.is_running()
    assert sandbox.files.exists("/home/user")
