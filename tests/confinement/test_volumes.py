"""Volumes: what a guest leaves in one makes the host read, write, remove and wait nowhere else."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox import (
    CommandHandle,
    InvalidArgumentException,
    Sandbox,
    SandboxException,
    TimeoutException,
    Volume,
    VolumeException,
    VolumeFileType,
    VolumeNotFoundException,
)
from localbox.engine import volume_content, volume_ids, volumes
from tests.confinement.attack import ask, outcome

ROOT = os.geteuid() == 0
SECRET = "content of a host file that nobody inside may ever see"


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of the host's with a secret, and the store of volumes in it."""
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    for directory in (tmp_path, *tmp_path.parents[:2]):
        # So that an ordinary user's permissions are not what protects it.
        with contextlib.suppress(PermissionError):
            directory.chmod(0o755)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o666)
    return tmp_path


@pytest.fixture
def volume() -> Volume:
    return Volume.create("data")


@pytest.fixture
def sandbox(volume: Volume) -> Iterator[Sandbox]:
    with Sandbox.create(volume_mounts={"/mnt/data": volume}, timeout=120) as sandbox:
        yield sandbox


def top_of(host: Path, volume: Volume) -> Path:
    return host / "data" / "volumes" / volume.name / volume.volume_id


@contextlib.contextmanager
def meanwhile(sandbox: Sandbox, code: str) -> Iterator[CommandHandle]:
    """While the guest runs `code` in the volume, from the moment it says that it is ready."""
    sandbox.files.write("attack.py", f"import os\nos.chdir('/mnt/data')\n{code}")
    handle = sandbox.commands.run("python3 attack.py", background=True, timeout=0)
    assert next(iter(handle)) == ("ready\n", None, None)
    try:
        yield handle
    finally:
        handle.kill()


SWAP = """
os.makedirs('real', exist_ok=True)
open('real/secret', 'w').write('mine')
os.symlink('{target}', 'link')
print('ready', flush=True)
while True:
    # d is by turns a directory of its own and a link to a directory of the host.
    os.rename('real', 'd')
    os.rename('d', 'real')
    os.rename('link', 'd')
    os.rename('d', 'link')
"""


@pytest.fixture(params=["absolute", "relative", "proc"])
def swap(request: pytest.FixtureRequest, host: Path, volume: Volume) -> str:
    top = top_of(host, volume)
    targets = {
        "absolute": str(host),
        "relative": os.path.relpath(host, top),
        "proc": f"/proc/self/cwd{host}",
    }
    return SWAP.format(target=targets[request.param])


def test_a_swapped_directory_never_gives_away_a_host_file(
    sandbox: Sandbox, volume: Volume, swap: str
) -> None:
    seen = set()
    with meanwhile(sandbox, swap):
        for _ in range(3000):
            with contextlib.suppress(SandboxException, VolumeException):
                seen.add(volume.read_file("d/secret"))
            with contextlib.suppress(SandboxException, VolumeException):
                seen.update(entry.name for entry in volume.list("d"))
    # Both states were met: what is the guest's own was read, what is the host's never.
    assert seen == {"mine", "secret"}


def test_a_swapped_directory_never_redirects_a_write_or_a_change(
    sandbox: Sandbox, volume: Volume, host: Path, swap: str
) -> None:
    before = sorted(os.listdir(host))
    written = 0
    with meanwhile(sandbox, swap):
        for number in range(700):
            with contextlib.suppress(SandboxException, VolumeException):
                volume.write_file("d/secret", "overwritten")
                written += 1
            with contextlib.suppress(SandboxException, VolumeException):
                volume.write_file(f"d/new{number % 9}/f", "x", force=True)
            with contextlib.suppress(SandboxException, VolumeException):
                volume.update_metadata("d/secret", mode=0o600)
    assert written
    assert (host / "secret").read_text() == SECRET
    assert stat.S_IMODE((host / "secret").stat().st_mode) == 0o666
    assert sorted(os.listdir(host)) == before


@pytest.mark.parametrize("swapped", ["d", "d/sub"])
def test_a_swapped_directory_never_redirects_a_removal(
    sandbox: Sandbox, volume: Volume, host: Path, swapped: str
) -> None:
    code = f"""
import contextlib, ctypes, itertools
libc = ctypes.CDLL(None)
print('ready', flush=True)
for number in itertools.count():
    with contextlib.suppress(OSError):
        os.makedirs('{swapped}/data', exist_ok=True)
    if not os.path.islink('link') and not os.path.islink('{swapped}'):
        with contextlib.suppress(OSError):
            os.rename('link', f'junk{{number}}')
        os.symlink('{host}', 'link')
    # A directory of its own becomes a link to one of the host's, and back, each time in one step.
    for _ in range(100):
        if libc.renameat2(-100, b'{swapped}', -100, b'link', 2):
            break
"""
    removed = 0
    with meanwhile(sandbox, code):
        began = time.monotonic()
        while time.monotonic() < began + 1 or (not removed and time.monotonic() < began + 20):
            with contextlib.suppress(SandboxException, VolumeException):
                volume.remove("d", request_timeout=1)
                removed += 1
    assert removed
    assert sorted(os.listdir(host)) == ["data", "secret"]
    assert (host / "secret").read_text() == SECRET


def test_links_out_of_a_volume_are_shown_and_not_followed(
    sandbox: Sandbox, volume: Volume, host: Path
) -> None:
    up = os.path.relpath(host, top_of(host, volume))
    sandbox.commands.run(
        f"cd /mnt/data; ln -s {host}/secret a; ln -s {up}/secret b; ln -s / c; ln -s /proc/self d;"
        "ln -s ../.. e"
    )
    assert {entry.type for entry in volume.list("/", depth=5)} == {VolumeFileType.SYMLINK}
    for path in ("a", "b", f"c{host}/secret", "d/environ", "d/fd/0", "e/secret", "c"):
        with pytest.raises(VolumeException, match="leads out"):
            volume.read_file(path)
        with pytest.raises(VolumeException, match="leads out"):
            volume.write_file(path, "overwritten", force=True)
        with pytest.raises(VolumeException, match="leads out"):
            volume.update_metadata(path, mode=0)
    for path in "abcde":
        volume.remove(path)
    assert volume.list("/") == []
    assert (host / "secret").read_text() == SECRET


def test_fifos_and_sockets_do_not_hold_the_host(sandbox: Sandbox, volume: Volume) -> None:
    ask(
        sandbox,
        """
os.chdir('/mnt/data')
os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket')
answer = None
""",
    )
    began = time.monotonic()
    for path in ("fifo", "socket"):
        assert volume.get_info(path).type == VolumeFileType.UNKNOWN
        for use in (volume.read_file, lambda path: volume.write_file(path, "x")):
            with pytest.raises(VolumeException):
                use(path)
        volume.remove(path)
    assert time.monotonic() - began < 5


def test_a_lease_does_not_hold_the_host(sandbox: Sandbox, volume: Volume) -> None:
    """The kernel would let the holder keep others waiting for 45 seconds."""
    code = """
import fcntl, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open('f', os.O_CREAT | os.O_RDONLY, 0o644)
try:
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
except OSError:
    pass  # for the next line is true then as well
print('ready', flush=True)
signal.pause()
"""
    with meanwhile(sandbox, code):
        began = time.monotonic()
        for use in (volume.read_file, lambda path: volume.write_file(path, "x"), volume.remove):
            with contextlib.suppress(VolumeException):
                use("f")
        assert time.monotonic() - began < 5


def test_a_tree_filled_as_fast_as_it_is_emptied_does_not_hold_the_host(
    sandbox: Sandbox, volume: Volume
) -> None:
    code = """
import itertools
os.mkdir('d')
fd = os.open('d', os.O_RDONLY)
print('ready', flush=True)
for number in itertools.count():
    try:
        os.mkdir(f'd/{number}')
    except FileNotFoundError:
        os.makedirs('d', exist_ok=True)
"""
    with meanwhile(sandbox, code):
        began = time.monotonic()
        with contextlib.suppress(TimeoutException):
            volume.remove("d", request_timeout=0.3)
        assert time.monotonic() - began < 5


def test_a_file_too_large_to_hold_is_not_read_in_one_piece(
    sandbox: Sandbox, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_content, "LARGEST_WHOLE_BYTES", 1 << 20)
    # It takes no room at all, but the host's memory if it were read.
    sandbox.commands.run("truncate -s 512M /mnt/data/f")
    for form in ("text", "bytes"):
        with pytest.raises(VolumeException, match="stream"):
            volume.read_file("f", format=form)
    stream = volume.read_file("f", format="stream")
    assert set(next(iter(stream))) == {0}


def test_times_that_are_no_dates_do_not_hurt_the_host(sandbox: Sandbox, volume: Volume) -> None:
    ask(
        sandbox,
        """
open('/mnt/data/f', 'w').close()
os.utime('/mnt/data/f', (2**62, -2**62))
answer = None
""",
    )
    assert volume.get_info("f").name == "f"


def test_what_a_guest_has_closed_to_everybody_can_be_removed(
    sandbox: Sandbox, volume: Volume
) -> None:
    sandbox.commands.run(
        "cd /mnt/data; mkdir -p d/e/f; touch d/e/g; chmod 0 d/e/g d/e d; chmod 0 ."
    )
    if not ROOT:
        with pytest.raises(VolumeException, match="Permission denied"):
            volume.list("d")
    volume.update_metadata("/", mode=0o700)
    volume.remove("d")
    assert volume.list("/") == []
    sandbox.commands.run("cd /mnt/data; mkdir -p d/e; chmod 0 d/e d; chmod 0 .")
    sandbox.kill()
    assert Volume.destroy(volume.volume_id)


def test_nothing_above_a_volume_can_be_reached_through_it(sandbox: Sandbox) -> None:
    Volume.create("other")
    assert ask(sandbox, "answer = sorted(os.listdir('/mnt/data/..'))") == ["data"]
    for path in ("../../other", "../data", "../../../secret"):
        assert outcome(sandbox, f"os.stat('/mnt/data/{path}/x')") == "ENOENT"
    # Its own directory can neither be moved nor removed.
    assert outcome(sandbox, "os.rename('/mnt/data', '/mnt/moved')") in {"EBUSY", "EROFS", "EXDEV"}
    assert outcome(sandbox, "os.rmdir('/mnt/data')") in {"EBUSY", "EROFS", "EACCES"}


def test_a_volume_cannot_be_unmounted_or_mounted_again(sandbox: Sandbox) -> None:
    assert ask(sandbox, "answer = libc.umount2(b'/mnt/data', 2)") == -1
    flags = ask(sandbox, "answer = os.statvfs('/mnt/data').f_flag")
    assert flags & os.ST_NOSUID
    assert flags & os.ST_NODEV
    assert not flags & os.ST_RDONLY


def test_no_set_uid_file_or_device_can_be_left_in_a_volume(
    sandbox: Sandbox, volume: Volume
) -> None:
    sandbox.files.write("/mnt/data/program", "x")
    for mode in ("0o4755", "0o2755"):
        assert outcome(sandbox, f"os.chmod('/mnt/data/program', {mode})") == "EPERM"
        assert outcome(sandbox, f"os.open('/mnt/data/new', os.O_CREAT, {mode})") == "EPERM"
    make = "os.mknod('/mnt/data/device', stat.S_IFCHR | 0o666, os.makedev(1, 3))"
    assert outcome(sandbox, make) == "EPERM"
    with pytest.raises(InvalidArgumentException, match="set-uid"):
        volume.update_metadata("program", mode=0o4755)


@pytest.mark.skipif(not ROOT, reason="there is no root in an ordinary user's sandboxes")
def test_root_of_a_sandbox_leaves_none_either(sandbox: Sandbox, volume: Volume) -> None:
    attempts = sandbox.commands.run(
        "cd /mnt/data; cp /bin/true t; chown 1000 t; chmod u+s t; chmod g+s t; chmod u+s .;"
        "mknod d c 1 3; setcap cap_sys_admin+ep t; true",
        user="root",
    )
    assert attempts.stderr.count("not permitted") >= 3
    assert all(entry.mode < 0o2000 for entry in volume.list("/", depth=2))
    assert not volume.exists("d")


def test_nothing_can_be_linked_into_or_out_of_a_volume(sandbox: Sandbox) -> None:
    sandbox.commands.run("echo x > /mnt/data/f; echo y > /home/user/g")
    assert outcome(sandbox, "os.link('/mnt/data/f', '/home/user/f')") == "EXDEV"
    assert outcome(sandbox, "os.link('/home/user/g', '/mnt/data/g')") == "EXDEV"
    assert outcome(sandbox, "os.rename('/home/user/g', '/mnt/data/g')") == "EXDEV"
    assert outcome(sandbox, "os.link('/mnt/data/f', '/mnt/data/h')") == "allowed"


def test_what_a_sandbox_writes_is_the_host_users(
    sandbox: Sandbox, volume: Volume, host: Path
) -> None:
    sandbox.commands.run("mkdir /mnt/data/d; echo x > /mnt/data/d/f")
    top = top_of(host, volume)
    for path in (top, top / "d", top / "d" / "f"):
        assert path.stat().st_uid == os.geteuid()
        assert path.stat().st_gid == os.getegid()
    # And out of the reach of everybody else on this machine.
    assert stat.S_IMODE((host / "data" / "volumes").stat().st_mode) == 0o700


def test_a_sandbox_without_the_volume_sees_nothing_of_it(sandbox: Sandbox, host: Path) -> None:
    sandbox.files.write("/mnt/data/f", "x")
    with Sandbox.create() as other:
        assert not other.files.exists("/mnt/data")
        assert not other.files.exists(str(host))
        mounts = ask(other, "answer = open('/proc/self/mountinfo').read()")
    assert "volumes" not in mounts


def test_one_file_in_a_volume_is_no_larger_than_a_sandboxs_disk(sandbox: Sandbox) -> None:
    disk_bytes = sandbox.policy.filesystem.disk_bytes
    code = f"os.truncate(os.open('/mnt/data/f', os.O_CREAT | os.O_RDWR), {disk_bytes} + 1)"
    answer = ask(
        sandbox,
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"answer = outcome(lambda: {code})",
    )
    assert answer == errno.errorcode[errno.EFBIG]


def test_the_walls_and_the_engine_agree_on_whose_files_are_whose() -> None:
    from localbox.confinement import identity

    assert volume_ids.VOLUME_IDS == identity.VOLUME_IDS
    assert volume_ids.GUEST_ID == identity.GUEST_UID == identity.GUEST_GID
    assert volume_ids.IDS == identity._IDS_PER_SLOT


def test_a_snapshots_links_do_not_say_where_a_volume_goes(volume: Volume) -> None:
    """Who made the snapshot could otherwise put a volume of his over /proc."""
    volume.write_file("f", "of the volume")
    with Sandbox.create() as sandbox:
        sandbox.commands.run("ln -s /proc link; ln -s /usr deep; echo x > file; mkdir dir")
        snapshot = sandbox.create_snapshot()
    for place in ("link", "deep/x", "file", "dir"):
        mounts: dict[str, Volume | str] = {f"/home/user/{place}": volume}
        with Sandbox.create(snapshot.snapshot_id, volume_mounts=mounts) as sandbox:
            assert sandbox.files.read(f"{place}/f") == "of the volume"
            assert outcome(sandbox, "os.stat('/proc/self/status')") == "allowed"
            assert outcome(sandbox, "os.stat('/usr/bin')") == "allowed"
    Sandbox.delete_snapshot(snapshot.snapshot_id)


def test_a_snapshot_has_nothing_of_a_volume(volume: Volume) -> None:
    with Sandbox.create(volume_mounts={"/home/user/v": volume}) as sandbox:
        sandbox.commands.run("echo x > v/f; echo y > beside")
        snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id) as sandbox:
        assert sandbox.commands.run("ls; ls v").stdout == "beside\nv\n"
    Sandbox.delete_snapshot(snapshot.snapshot_id)


def test_a_volume_destroyed_at_the_last_moment_is_an_error_and_nothing_stays(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = volumes.find_by_name("data")
    monkeypatch.setattr(volumes, "find_by_name", lambda name: stored)
    with volumes._directory_fd(stored.store / "data") as fd:
        # What another program does that is destroying it at this moment.
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(VolumeNotFoundException, match="being destroyed"):
            Sandbox.create(volume_mounts={"/mnt/data": volume})
    assert Volume.destroy(volume.volume_id)
    with pytest.raises(VolumeNotFoundException, match="destroyed"):
        Sandbox.create(volume_mounts={"/mnt/data": volume})
    # And the next one is none the worse for it.
    monkeypatch.undo()
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(stored.store.parent))
    again = Volume.create("data")
    with Sandbox.create(volume_mounts={"/mnt/data": again}) as sandbox:
        assert sandbox.files.list("/mnt/data") == []
    assert Volume.destroy(again.volume_id)


def test_clear_empties_the_sandbox_and_not_its_volumes(volume: Volume) -> None:
    volume.write_file("d/f", "kept", force=True)
    with Sandbox.create(volume_mounts={"/home/user/v": volume, "/tmp/w": "data"}) as sandbox:
        sandbox.files.write("other", "x")
        sandbox.clear()
        assert sandbox.commands.run("ls; cat v/d/f /tmp/w/d/f").stdout == "v\nkeptkept"
