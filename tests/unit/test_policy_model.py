"""A Policy that exists is a Policy that can be kept."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from localbox.errors import InvalidArgumentException, PolicyError
from localbox.policy import (
    MANDATORY_WALLS,
    UNLIMITED,
    Filesystem,
    Isolation,
    Mount,
    Network,
    Policy,
    Process,
    Resources,
    Rlimit,
    Seccomp,
    load_profile,
)

DEFAULT = load_profile("default")


def changed(section: str, **values: Any) -> Any:
    return dataclasses.replace(getattr(DEFAULT, section), **values)


def test_a_policy_error_is_an_invalid_argument() -> None:
    assert issubclass(PolicyError, InvalidArgumentException)


@pytest.mark.parametrize(
    ("section", "values", "problem"),
    [
        ("isolation", {"require": ("landlok",)}, 'isolation.require: .*did you mean "landlock"'),
        ("isolation", {"prefer": ("seccomp",)}, "isolation.prefer: .*optional wall"),
        ("isolation", {"prefer": ["landlock"]}, "expected a tuple"),
        ("isolation", {"require": ("cgroup", "cgroup")}, "listed twice"),
        ("isolation", {"on_unavailable": "ignore"}, "on_unavailable"),
        ("process", {"hostname": ""}, "process.hostname"),
        ("process", {"hostname": "a b"}, "host name"),
        ("process", {"hostname": "-a"}, "host name"),
        ("process", {"hostname": "a" * 64}, "host name"),
        ("process", {"hostname": "a\n"}, "host name"),
        ("process", {"env": (("A=B", "x"),)}, "process.env"),
        ("process", {"env": (("", "x"),)}, "environment"),
        ("process", {"env": (("A", "x\0"),)}, "NUL"),
        ("process", {"env": (("A", 1),)}, "pair of strings"),
        ("process", {"env": (("A", "1"), ("A", "2"))}, "listed twice"),
        ("process", {"preload": ("os; import x",)}, "module name"),
        ("process", {"preload": ("a..b",)}, "module name"),
        ("process", {"root_user": 1}, "process.root_user: expected true or false"),
        ("filesystem", {"disk_bytes": 0}, "filesystem.disk"),
        ("filesystem", {"disk_bytes": True}, "whole number"),
        ("filesystem", {"disk_bytes": 2.5e9}, "whole number"),
        ("filesystem", {"files": -1}, "filesystem.files"),
        ("filesystem", {"overlay": ("pyton",)}, "filesystem.overlay: .*absolute"),
        ("filesystem", {"overlay": ("/",)}, "the sandbox's own"),
        ("filesystem", {"masked": ("proc/kcore",)}, "filesystem.masked"),
        ("filesystem", {"hidden": ("/a/../b",)}, "filesystem.hidden: .*shortest form"),
        ("filesystem", {"readonly": ("/data",)}, "tuple of Mount"),
        ("network", {"mode": "bridge"}, "network.mode"),
        ("network", {"mode": None}, "network.mode"),
        ("resources", {"memory_bytes": 1 << 20}, "resources.memory"),
        ("resources", {"memory_bytes": 1 << 63}, "resources.memory"),
        ("resources", {"pids": 0}, "resources.pids"),
        ("resources", {"pids": "256"}, "resources.pids"),
        ("resources", {"wall_time_s": 0}, "resources.wall_time"),
        ("resources", {"wall_time_s": float("nan")}, "resources.wall_time"),
        ("resources", {"wall_time_s": float("inf")}, "resources.wall_time"),
        ("resources", {"cpu_time_s": 0.5}, "resources.cpu_time"),
        ("resources", {"output_bytes": 0}, "resources.output"),
        ("resources", {"rlimits": (("RLIMIT_CORE", 0, 0),)}, "tuple of Rlimit"),
        ("resources", {"rlimits": (Rlimit("RLIMIT_CORE", 0, 0),) * 2}, "listed twice"),
        ("seccomp", {"allow": ()}, "nothing is allowed"),
        ("seccomp", {"allow": ("read", "reed")}, 'seccomp.allow: .*did you mean "read"'),
        ("seccomp", {"enosys": ("read",)}, "read: also in enosys"),
        ("seccomp", {"kill": ("read",)}, "read: also in kill"),
        ("seccomp", {"rules": ("clone-flag",)}, 'did you mean "clone-flags"'),
        ("seccomp", {"default_action": "allow"}, "seccomp.default_action"),
        ("seccomp", {"profile": "/x.json"}, "set no other key"),
        ("seccomp", {"profile_json": "{}"}, "seccomp.profile"),
    ],
)
def test_a_value_that_cannot_be_kept_is_an_error(
    section: str, values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PolicyError, match=problem):
        changed(section, **values)


@pytest.mark.parametrize(
    "guest_path",
    ["/", "/proc", "/proc/self", "/dev", "/dev/shm", "/sys/fs", "/etc", "/etc/passwd", "relative",
     "", "/a/../b", "/a//b", "/a/", "//a", "/./a", "/a\0b", "/" + "a" * 5000, "~/x", None, b"/a"],
)  # fmt: skip
def test_a_mount_stays_where_mounts_may_be(guest_path: Any) -> None:
    with pytest.raises(PolicyError, match=r"mount.destination"):
        Mount("/data", guest_path)


@pytest.mark.parametrize("host_path", ["/", "/proc/1", "/sys", "/dev/sda", "data", "/data/.."])
def test_a_mount_brings_no_processes_or_devices(host_path: str) -> None:
    with pytest.raises(PolicyError, match=r"mount.source"):
        Mount(host_path, "/data")


@pytest.mark.parametrize(
    "path", ["/data", "/home/user", "/home/user/my project", "/procs", "/opt/ü"]
)
def test_ordinary_places_can_be_mounted(path: str) -> None:
    assert Mount(path, path).guest_path == path


def test_nothing_is_mounted_twice_in_one_place() -> None:
    once = (Mount("/a", "/data"),)
    with pytest.raises(PolicyError, match="mounted twice"):
        changed("filesystem", readonly=once, readwrite=(Mount("/b", "/data"),))


@pytest.mark.parametrize(
    ("name", "soft", "hard", "problem"),
    [
        ("RLIMIT_NPROC", 1, 1, "resources.pids"),
        ("RLIMIT_DATA", 1, 1, "resources.memory"),
        ("RLIMIT_CPU", 1, 1, "resources.cpu_time"),
        ("NOFILE", 1, 1, "RLIMIT_NOFILE"),
        ("RLIMIT_NOFILE", 2, 1, "above the hard limit"),
        ("RLIMIT_NOFILE", UNLIMITED, 1, "above the hard limit"),
        ("RLIMIT_NOFILE", -2, 1, "rlimit.soft"),
        ("RLIMIT_NOFILE", 1, True, "rlimit.hard"),
    ],
)
def test_an_rlimit_is_a_limit(name: str, soft: int, hard: int, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        Rlimit(name, soft, hard)


def test_an_rlimit_can_be_unlimited() -> None:
    assert Rlimit("RLIMIT_STACK", 8 << 20, UNLIMITED).hard == UNLIMITED


def test_mandatory_walls_can_be_named_without_effect() -> None:
    policy = dataclasses.replace(DEFAULT, isolation=changed("isolation", require=MANDATORY_WALLS))
    assert policy.isolation.prefer == DEFAULT.isolation.prefer


def test_a_wall_cannot_be_required_and_taken_away() -> None:
    require = changed("isolation", require=("network-namespace",))
    with pytest.raises(PolicyError, match=r"network.mode host"):
        dataclasses.replace(DEFAULT, isolation=require, network=Network("host"))
    require = changed("isolation", require=("landlock",))
    with pytest.raises(PolicyError, match="landlock: false"):
        dataclasses.replace(DEFAULT, isolation=require, landlock=False)


def test_isolation_alone_tells_whether_landlock_is_wanted() -> None:
    off = dataclasses.replace(DEFAULT, landlock=False)
    assert off.isolation.prefer == ()
    bare = changed("isolation", prefer=())
    assert dataclasses.replace(DEFAULT, isolation=bare).isolation.prefer == ("landlock",)
    both = changed("isolation", require=("landlock",), prefer=("landlock", "cgroup"))
    assert dataclasses.replace(DEFAULT, isolation=both).isolation.prefer == ("cgroup",)


def test_landlock_is_true_or_false() -> None:
    with pytest.raises(PolicyError, match="landlock"):
        dataclasses.replace(DEFAULT, landlock="yes")  # type: ignore[arg-type]


def test_a_policy_cannot_be_changed() -> None:
    for value in (DEFAULT, DEFAULT.resources, DEFAULT.seccomp, Mount("/a", "/a")):
        name = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "x")


CHANGES: list[Callable[[], Policy]] = [
    lambda: dataclasses.replace(DEFAULT, process=Process("other", (), (), True)),
    lambda: dataclasses.replace(DEFAULT, network=Network("none")),
    lambda: dataclasses.replace(DEFAULT, resources=changed("resources", pids=255)),
    lambda: dataclasses.replace(DEFAULT, filesystem=changed("filesystem", files=100)),
    lambda: dataclasses.replace(DEFAULT, seccomp=changed("seccomp", deny=("read",))),
    lambda: dataclasses.replace(DEFAULT, landlock=False),
]


def test_the_digest_tells_contents_apart_and_only_contents() -> None:
    digests = {DEFAULT.digest, *(change().digest for change in CHANGES)}
    assert len(digests) == len(CHANGES) + 1
    assert all(len(digest) == 64 for digest in digests)
    renamed = dataclasses.replace(DEFAULT, name="other", source="elsewhere")
    assert renamed.digest == DEFAULT.digest


def test_equal_policies_are_interchangeable() -> None:
    again = pickle.loads(pickle.dumps(DEFAULT))
    assert again == DEFAULT
    assert hash(again) == hash(DEFAULT)
    assert again.to_json() == DEFAULT.to_json()
    assert again.digest == DEFAULT.digest


def test_the_json_holds_every_field() -> None:
    values = json.loads(DEFAULT.to_json())
    assert values["resources"]["memory_bytes"] == 2 << 30
    for section, kind in {
        "isolation": Isolation,
        "process": Process,
        "filesystem": Filesystem,
        "network": Network,
        "resources": Resources,
        "seccomp": Seccomp,
    }.items():
        assert set(values[section]) == {field.name for field in dataclasses.fields(kind)}
