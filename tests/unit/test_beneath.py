"""Walking below a directory never leaves it, and removing a tree ends, however it is made."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox.engine import beneath


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "f").write_text("inside")
    return top


@pytest.fixture(autouse=True)
def _no_descriptor_stays_open() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


def read(top: Path, path: str) -> str:
    with walking(top, path) as place:
        fd = place.open(os.O_RDONLY)
    with open(fd, encoding="utf-8") as file:
        return file.read()


class walking:  # noqa: N801 (used as a function is)
    def __init__(self, top: Path, path: str, **options: bool) -> None:
        self._fd = os.open(top, os.O_PATH | os.O_DIRECTORY)
        self._walk = beneath.walk(self._fd, path, follow=options.get("follow", True))

    def __enter__(self) -> beneath.Place:
        try:
            return self._walk.__enter__()
        except BaseException:
            os.close(self._fd)
            raise

    def __exit__(self, *exc: object) -> None:
        self._walk.__exit__(None, None, None)
        os.close(self._fd)


def remove(top: Path, name: str, most_checks: int = 1_000_000) -> None:
    left = iter(range(most_checks))

    def check() -> None:
        if next(left, None) is None:
            raise TimeoutError

    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        beneath.remove(fd, name, check)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("a/b/f", "/a/b/f"),
        ("/a//./b/f", "/a/b/f"),
        ("../../a/b/f", "/a/b/f"),
        ("a/../a/b/f", "/a/b/f"),
        ("a/b/..", "/a"),
        ("a/b/../new", "/a/new"),
        ("", "/"),
        ("/", "/"),
        ("a/..", "/"),
    ],
)
def test_a_path_means_what_it_would_with_the_directory_as_root(
    top: Path, path: str, resolved: str
) -> None:
    with walking(top, path) as place:
        assert place.path == resolved
        assert place.is_top == (resolved == "/")
        if resolved != "/a/new":
            assert os.path.samestat(place.stat(), os.stat(top / resolved[1:]))


@pytest.mark.parametrize("target", ["b/f", "../a/b/f", "./b/../b/f", "again"])
def test_a_link_that_stays_inside_is_followed(top: Path, target: str) -> None:
    (top / "a" / "link").symlink_to(target)
    (top / "a" / "again").symlink_to("b/f")
    assert read(top, "a/link") == "inside"


@pytest.mark.parametrize(
    "target", ["../outside", "../../outside", "/", "/proc/self/root", "a/../../outside"]
)
def test_a_link_that_leads_out_is_refused(top: Path, target: str) -> None:
    (top / "link").symlink_to(target)
    for path in ("link/secret", "link", "a/../link/secret"):
        with pytest.raises(OSError, match="leads out") as raised:
            read(top, path)
        assert raised.value.errno == errno.EXDEV
    # Looked at, and not through.
    with walking(top, "link", follow=False) as place:
        assert place.path == "/link"


def test_a_link_through_a_link_does_not_lead_out_either(top: Path) -> None:
    """Counted name by name this stays inside; but `up` goes back, and does not go on."""
    (top / "a" / "b" / "up").symlink_to("..")
    (top / "link").symlink_to("a/b/up/../../outside/secret")
    with pytest.raises(FileNotFoundError):
        read(top, "link")


def test_links_in_a_circle_end(top: Path) -> None:
    (top / "x").symlink_to("y")
    (top / "y").symlink_to("x")
    with pytest.raises(OSError) as raised:
        read(top, "x/f")
    assert raised.value.errno == errno.ELOOP


def test_a_fifo_holds_nobody(top: Path) -> None:
    os.mkfifo(top / "fifo")
    with walking(top, "fifo") as place, pytest.raises(OSError) as raised:
        place.open(os.O_WRONLY)
    assert raised.value.errno == errno.ENXIO
    with walking(top, "fifo") as place:
        os.close(place.open(os.O_RDONLY))


def test_a_place_that_becomes_a_link_is_not_opened(top: Path) -> None:
    with walking(top, "a/b/f") as place:
        (top / "a/b/f").unlink()
        (top / "a/b/f").symlink_to("../../../outside/secret")
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY | os.O_CREAT):
            with pytest.raises(OSError) as raised:
                place.open(flags)
            assert raised.value.errno == errno.ELOOP


def test_a_path_deeper_than_there_are_descriptors_is_an_error(top: Path) -> None:
    with pytest.raises(OSError) as raised:
        read(top, "a/b/" + "../b/" * 2000 + "f/x")
    assert raised.value.errno == errno.ENOTDIR
    make_chain(top, 300)
    with pytest.raises(OSError) as raised:
        read(top, "d/" * 300 + "x")
    assert raised.value.errno == errno.ENAMETOOLONG
    remove(top, "d")


def make_chain(top: Path, depth: int) -> None:
    fd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_a_tree_as_deep_as_one_likes_is_removed(top: Path) -> None:
    make_chain(top, 5000)
    (top / "d" / "f").write_text("x")
    remove(top, "d")
    assert os.listdir(top) == ["a"]


def test_a_wide_tree_and_names_of_every_kind_are_removed(top: Path) -> None:
    for number in range(2500):
        (top / "a" / f"f{number}").touch()
    os.mkdir(os.fsencode(top) + b"/a/\xff\n")
    (top / "a" / "link").symlink_to("../../outside")
    os.mkfifo(top / "a" / "fifo")
    remove(top, "a")
    assert os.listdir(top) == []
    assert (top.parent / "outside" / "secret").exists()


def test_what_its_owner_has_closed_to_himself_is_removed(top: Path) -> None:
    (top / "a" / "b" / "c").mkdir()
    for path in (top / "a" / "b" / "c", top / "a" / "b", top / "a"):
        path.chmod(0)
    remove(top, "a")
    assert os.listdir(top) == []


def test_removing_a_link_leaves_what_it_leads_to(top: Path) -> None:
    (top / "link").symlink_to("a")
    remove(top, "link")
    assert read(top, "a/b/f") == "inside"
    with pytest.raises(FileNotFoundError):
        remove(top, "link")


def test_a_tree_that_is_filled_for_ever_is_given_up(top: Path) -> None:
    stop = threading.Event()

    def fill() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                os.makedirs(top / "a" / str(number), exist_ok=True)
            except OSError:
                continue

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        # Either way it returns, and soon.
        try:
            remove(top, "a", most_checks=2000)
        except TimeoutError:
            pass
    finally:
        stop.set()
        thread.join()
    assert (top.parent / "outside" / "secret").read_text() == "secret"


def test_a_directory_swapped_for_a_link_redirects_nothing(top: Path) -> None:
    """All that a walk may do, while another thread changes what its names mean."""
    outside = top.parent / "outside"
    real, link, d = top / "real", top / "link", top / "d"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(real, d)
            os.rename(d, real)
            os.rename(link, d)
            os.rename(d, link)

    real.mkdir()
    (real / "secret").write_text("mine")
    link.symlink_to(outside)
    thread = threading.Thread(target=swap)
    thread.start()
    seen: set[str] = set()
    try:
        while not seen >= {"mine", "EXDEV"}:
            try:
                seen.add(read(top, "d/secret"))
                with walking(top, "d/secret") as place:
                    os.close(place.open(os.O_WRONLY | os.O_CREAT))
            except OSError as error:
                seen.add(errno.errorcode[error.errno or 0])
    finally:
        stop.set()
        thread.join()
    assert seen <= {"mine", "ENOENT", "EXDEV", "ENOTDIR", "ELOOP"}
    assert (outside / "secret").read_text() == "secret"
