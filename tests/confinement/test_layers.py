"""Layers: a guest chose all that is in them, and neither the host nor later sandboxes suffer."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from localbox import InvalidArgumentException, Sandbox, SandboxException
from localbox.confinement.layer_copy import Abandoned, CopyError, LayerCopy
from localbox.engine import layers
from tests.confinement.attack import ask, policy


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def tree_of(sandbox: Sandbox, guest_path: str = "/home/user") -> Path:
    """What a new snapshot keeps for a path, on the host."""
    stack = layers.resolve(sandbox.create_snapshot().snapshot_id)
    (part,) = [part for part in stack.layers[-1].parts if part.guest_path == guest_path]
    return Path(stack.layers[-1].host_path, part.directory)


def fingerprint(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        digest.update(f"{path} {status.st_mode} {status.st_mtime_ns} {status.st_ino}".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


# What is copied


def test_links_to_the_hosts_files_are_copied_as_links(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    sandbox.commands.run(f"ln -s {secret} file; ln -s {tmp_path} directory; ln -s / root")
    tree = tree_of(sandbox)
    assert {path.name: os.readlink(path) for path in tree.iterdir()} == {
        "file": str(secret),
        "directory": str(tmp_path),
        "root": "/",
    }


def test_files_swapped_for_links_while_they_are_copied_lead_nowhere(tmp_path: Path) -> None:
    """As if the guest could not be stopped: the copier does not depend on that."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    source = tmp_path / "source"
    (source / "directory").mkdir(parents=True)
    for number in range(40):
        (source / f"file{number}").write_text("the guest's")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for number in range(40):
                link = source / "link"
                link.symlink_to(outside / "secret")
                link.replace(source / f"file{number}")
                file = source / "new"
                file.write_text("the guest's")
                file.replace(source / f"file{number}")
            (source / "directory").rename(source / "moved")
            (source / "directory").symlink_to(outside)
            (source / "directory").unlink()
            (source / "moved").rename(source / "directory")

    racer = threading.Thread(target=swap)
    racer.start()
    try:
        for attempt in range(15):
            target = tmp_path / f"target{attempt}"
            target.mkdir()
            copy(source, target)
            for path in target.rglob("*"):
                assert path.name != "secret"
                if not path.is_symlink() and path.is_file():
                    assert path.read_text() in ("the guest's", "")
    finally:
        done.set()
        racer.join()


def copy(source: Path, target: Path, **limits: int) -> LayerCopy:
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        made = LayerCopy(
            fd, limits.get("most_bytes", 1 << 30), limits.get("most_files", 1 << 20), lambda: False
        )
        made.copy_tree(os.open(source, os.O_RDONLY | os.O_DIRECTORY), "0")
    finally:
        os.close(fd)
    return made


def test_what_could_hold_up_or_elevate_is_left_out(sandbox: Sandbox) -> None:
    ask(
        sandbox,
        """
os.mkfifo('fifo')
server = socket.socket(socket.AF_UNIX); server.bind('socket')
os.mkdir('directory'); os.chmod('directory', 0o1777)
answer = None
""",
    )
    tree = tree_of(sandbox)
    modes = {path.name: stat.filemode(path.lstat().st_mode) for path in tree.iterdir()}
    assert modes == {"directory": "drwxrwxrwt"}


def test_a_program_that_takes_its_owners_rights_is_copied_without_them(tmp_path: Path) -> None:
    """Guests cannot even make one; should they have found a way, a layer would lie on the host."""
    (tmp_path / "source" / "directory").mkdir(parents=True)
    (tmp_path / "source" / "program").touch()
    os.chmod(tmp_path / "source" / "program", 0o6755)
    os.chmod(tmp_path / "source" / "directory", 0o3777)
    (tmp_path / "target").mkdir()
    copy(tmp_path / "source", tmp_path / "target")
    tree = tmp_path / "target" / "0"
    modes = {path.name: stat.filemode(path.lstat().st_mode) for path in tree.iterdir()}
    assert modes == {"program": "-rwxr-xr-x", "directory": "drwxrwxrwt"}


def test_a_layer_belongs_to_the_user_of_the_host_program_alone(
    sandbox: Sandbox, data: Path
) -> None:
    sandbox.commands.run("mkdir -m 777 d; touch d/f; chmod 666 d/f")
    for path in tree_of(sandbox).rglob("*"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (os.geteuid(), os.getegid())
    for directory in (data, data / "layers", *(data / "layers").glob("s*")):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_any_name_is_copied(sandbox: Sandbox) -> None:
    ask(
        sandbox,
        r"""
for name in (b'new\nline', b'-rf', b'\xff\xfe', b' ', b'x' * 255, b'..x', b'$(reboot)'):
    os.mkdir(name); open(name + b'/' + name, 'w').close()
answer = None
""",
    )
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        names = ask(other, "answer = sorted(os.fsencode(n).hex() for n in os.listdir('.'))")
    expected = [b"new\nline", b"-rf", b"\xff\xfe", b" ", b"x" * 255, b"..x", b"$(reboot)"]
    assert names == sorted(name.hex() for name in expected)
    assert Sandbox.delete_snapshot(snapshot.snapshot_id)


_DIG = """
for level in range({}):
    os.mkdir('d'); os.chdir('d')
open('bottom', 'w').close()
answer = None
"""


def test_deep_directories_are_copied(sandbox: Sandbox) -> None:
    ask(sandbox, _DIG.format(300))
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.commands.run("find . -name bottom | wc -c").stdout == "609\n"
    assert Sandbox.delete_snapshot(snapshot.snapshot_id)


def test_deeper_ones_are_refused_and_leave_nothing(sandbox: Sandbox, data: Path) -> None:
    ask(sandbox, _DIG.format(3000))
    with pytest.raises(InvalidArgumentException, match="400 levels"):
        sandbox.create_snapshot()
    assert left_in(data) == []
    assert sandbox.is_running()


def left_in(data: Path) -> list[str]:
    return sorted(set(os.listdir(data / "layers")) - {"lock"})


def test_a_hole_takes_no_space(sandbox: Sandbox) -> None:
    sandbox.commands.run(
        "truncate -s 500M hole; truncate -s 300M both; printf end | dd of=both bs=1 seek=300M"
    )
    tree = tree_of(sandbox)
    assert (tree / "hole").stat().st_size == 500 << 20
    assert (tree / "hole").stat().st_blocks == 0
    assert (tree / "both").stat().st_blocks < 64
    assert (tree / "both").stat().st_size == (300 << 20) + 3


def test_links_of_one_file_stay_one_file(sandbox: Sandbox) -> None:
    sandbox.commands.run("head -c 100000 /dev/zero > a; for i in $(seq 50); do ln a a$i; done")
    tree = tree_of(sandbox)
    assert len({path.stat().st_ino for path in tree.iterdir()}) == 1


def test_many_files_are_copied(sandbox: Sandbox) -> None:
    ask(
        sandbox,
        "for i in range(5000): os.close(os.open(f'f{i}', os.O_CREAT | os.O_WRONLY))\nanswer = None",
    )
    assert len(os.listdir(tree_of(sandbox))) == 5000


def test_no_more_is_copied_than_the_sandbox_could_hold(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(10):
        (source / f"file{number}").write_bytes(bytes(1000))
    for name, limits in (("bytes", {"most_bytes": 5000}), ("files", {"most_files": 5})):
        (tmp_path / name).mkdir()
        with pytest.raises(CopyError) as caught:
            copy(source, tmp_path / name, **limits)
        assert caught.value.kind == "no_space"


def test_a_copy_that_nobody_waits_for_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"x")
    (tmp_path / "target").mkdir()
    fd = os.open(tmp_path / "target", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(Abandoned):
            LayerCopy(fd, 1 << 20, 100, lambda: True).copy_tree(
                os.open(tmp_path / "source", os.O_RDONLY | os.O_DIRECTORY), "0"
            )
    finally:
        os.close(fd)


# What later sandboxes make of it


def test_a_layer_cannot_be_written_from_inside(sandbox: Sandbox, data: Path) -> None:
    sandbox.commands.run("mkdir d; echo x > d/file; echo y > file; touch /tmp/t")
    snapshot = sandbox.create_snapshot()
    before = fingerprint(data / "layers" / snapshot.snapshot_id)
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        answer = ask(
            other,
            """
open('file', 'a').write('more'); os.chmod('d/file', 0); os.rename('d/file', 'd/moved')
os.setxattr('d', 'user.x', b'y'); os.truncate('file', 1); os.utime('file', (1, 1))
answer = {
    'workshop': outcome(os.listdir, '/.localbox/layers'),
    'mount': call(165, b'none', b'/home/user', 0, 32 | 4096, 0),
    'umount': call(166, b'/home/user', 2),
}
""",
        )
        other.commands.run("rm -rf /home/user/* /tmp/t")
    assert answer == {"workshop": "ENOENT", "mount": "EPERM", "umount": "EPERM"}
    assert fingerprint(data / "layers" / snapshot.snapshot_id) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's sandboxes have no root")
def test_nor_can_it_by_root_inside(sandbox: Sandbox, data: Path) -> None:
    sandbox.commands.run("mkdir d; echo x > d/file")
    snapshot = sandbox.create_snapshot()
    before = fingerprint(data / "layers" / snapshot.snapshot_id)
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        seen = other.commands.run(
            "ls -A /.localbox; cd /home/user; echo y > d/file; chown 0:0 d; chmod 0 d/file; "
            "rm -rf d; ls -A; mount -o remount,rw / 2>/dev/null || echo no",
            user="root",
        )
        assert seen.stdout == "no\n"
    assert fingerprint(data / "layers" / snapshot.snapshot_id) == before


def test_overlays_on_layers_have_neither_programs_with_powers_nor_devices(
    sandbox: Sandbox,
) -> None:
    sandbox.files.write("file", "")
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        mounts = other.commands.run("cat /proc/self/mountinfo").stdout.splitlines()
    options = [line.split()[5].split(",") for line in mounts if line.split()[4] == "/home/user"]
    assert options
    assert all({"nosuid", "nodev"} <= set(each) for each in options)


def test_overlay_notes_of_the_guests_own_lead_nowhere(sandbox: Sandbox) -> None:
    """A guest that writes overlayfs's attributes on plain files, to be obeyed in a lower layer."""
    outcomes = ask(
        sandbox,
        """
os.mkdir('d'); open('d/file', 'w').write('own'); os.mkdir('e'); open('f', 'w').write('own')
answer = [
    outcome(os.setxattr, 'd', 'user.overlay.redirect', b'/../../../etc'),
    outcome(os.setxattr, 'f', 'user.overlay.redirect', b'/../../../etc/passwd'),
    outcome(os.setxattr, 'f', 'user.overlay.metacopy', b''),
    outcome(os.setxattr, 'd', 'user.overlay.origin', b'\\x00' * 30),
]
""",
    )
    if "EOPNOTSUPP" not in outcomes:
        assert outcomes == ["allowed"] * 4
    tree = tree_of(sandbox)
    for path in tree.rglob("*"):
        assert [name for name in os.listxattr(path) if "overlay" in name] == []
    with Sandbox.create(tree.parent.name, timeout=60) as other:
        assert other.commands.run("ls d e; cat d/file f").stdout == "d:\nfile\n\ne:\nownown"


def test_a_link_where_something_is_to_be_mounted_is_not_followed(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "file").write_text("bound")
    sandbox.commands.run("ln -s /etc /tmp/place; ln -s / /tmp/file; mkdir /tmp/other")
    snapshot = sandbox.create_snapshot()
    mounts = [
        (tmp_path / "shown", "/tmp/place/deeper"),
        (tmp_path / "shown" / "file", "/tmp/file"),
        (tmp_path / "shown", "/tmp/other"),
    ]
    with Sandbox.create(snapshot.snapshot_id, profile=policy(readonly=mounts), timeout=60) as other:
        seen = other.commands.run(
            "cat /tmp/place/deeper/file /tmp/file /tmp/other/file; stat -c %F /tmp/place; ls /etc"
        ).stdout
    assert seen.startswith("boundboundbounddirectory\n")
    assert "deeper" not in seen


def test_a_layer_for_a_place_that_is_not_writable_is_refused(
    sandbox: Sandbox, data: Path, tmp_path: Path
) -> None:
    sandbox.files.write("file", "")
    snapshot = sandbox.create_snapshot()
    description = data / "layers" / snapshot.snapshot_id / "layer.json"
    description.write_text(description.read_text().replace("/home/user", "/usr"))
    with pytest.raises(SandboxException, match="/usr"):
        Sandbox.create(snapshot.snapshot_id)


# What is left behind


def test_a_creation_that_fails_half_way_lets_go_of_its_layers(sandbox: Sandbox, data: Path) -> None:
    sandbox.files.write("file", "")
    snapshot = sandbox.create_snapshot()
    tree = data / "layers" / snapshot.snapshot_id / "0"
    tree.rename(data / "elsewhere")
    with pytest.raises(SandboxException):
        Sandbox.create(snapshot.snapshot_id)
    (data / "elsewhere").rename(tree)
    Sandbox.create(snapshot.snapshot_id, timeout=60).kill()
    assert Sandbox.delete_snapshot(snapshot.snapshot_id)
    assert left_in(data) == []


_PROGRAM = """
import sys
from localbox import Sandbox
from localbox.engine import layer_store
sandbox = Sandbox.create(timeout=60)
sandbox.files.write("file", "x")
snapshot = sandbox.create_snapshot("kept")
fork, = sandbox.fork(60)
draft = layer_store.Draft()
print(fork.files.read("file"), flush=True)
sys.stdin.readline()
"""


def program() -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", _PROGRAM], text=True, **pipes)


def test_what_a_killed_program_left_goes_at_the_next_start_and_nothing_else(data: Path) -> None:
    with program() as dead, program() as living:
        assert dead.stdout is not None
        assert living.stdout is not None
        assert living.stdin is not None
        assert dead.stdout.readline() == living.stdout.readline() == "x\n"
        # Of each a snapshot, a fork's layer and a draft.
        assert len(left_in(data)) == 6
        dead.kill()
        dead.wait()
        assert len(left_in(data)) == 6
        code = "from localbox import Sandbox; Sandbox.create(timeout=60).kill()"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        assert len(left_in(data)) == 4
        living.stdin.close()
        assert living.wait(30) == 0
    assert len(left_in(data)) == 2
    names = {name for info in Sandbox.list_snapshots().next_items() for name in info.names}
    assert names == {"kept:default"}


def test_a_capture_that_finds_no_space_leaves_nothing(tmp_path: Path) -> None:
    """In a mount namespace of its own, whose data directory is on a small filesystem."""
    (tmp_path / "small").mkdir()
    code = """
import os
from localbox import NotEnoughSpaceException, Sandbox
sandbox = Sandbox.create(timeout=60)
sandbox.commands.run("head -c 4M /dev/urandom > big")
try:
    sandbox.create_snapshot()
except NotEnoughSpaceException as error:
    print(error)
print(os.listdir(os.environ["LOCALBOX_DATA_DIR"] + "/layers"), sandbox.is_running())
"""
    script = f"mount -t tmpfs -o size=2m none {tmp_path}/small && exec {sys.executable} -c '{code}'"
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        env={**os.environ, "LOCALBOX_DATA_DIR": f"{tmp_path}/small/data"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in run.stderr:
        pytest.skip(f"no namespace to test in: {run.stderr}")
    assert run.stdout == "the data directory's filesystem is full\n['lock'] True\n", run.stderr


def test_a_stranger_connected_to_nothing_of_a_layers_sockets(sandbox: Sandbox) -> None:
    """A socket in the source is no file to copy, so no other sandbox can find its listener."""
    ask(sandbox, "s = socket.socket(socket.AF_UNIX); s.bind('/tmp/listener'); answer = None")
    sandbox.files.write("/tmp/file", "")
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert not other.files.exists("/tmp/listener")
        assert other.files.exists("/tmp/file")
