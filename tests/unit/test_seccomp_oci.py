"""Seccomp profiles written for Docker and other container engines."""

from __future__ import annotations

import errno
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localbox.errors import PolicyError
from localbox.policy import Seccomp, load_profile
from localbox.policy.seccomp import compile_filters, kernel_version
from localbox.policy.seccomp_oci import parse_oci_profile
from tests.unit.bpf_interpreter import ALLOW, KILL_PROCESS, errno_action, verdict

EPERM, ENOSYS = errno_action(errno.EPERM), errno_action(errno.ENOSYS)
ALLOWED = "SCMP_ACT_ALLOW"


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile into a directory of the test's, not into the developer's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


# The shapes that Docker's own profile is made of.
DOCKER_LIKE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [
        {
            "architecture": "SCMP_ARCH_X86_64",
            "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        },
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ],
    "syscalls": [
        {
            "names": ["read", "write", "exit_group", "_llseek", "a_call_of_the_future"],
            "action": ALLOWED,
            "args": [],
            "comment": "",
            "includes": {},
            "excludes": {},
        },
        {"names": ["process_vm_readv"], "action": ALLOWED, "includes": {"minKernel": "4.8"}},
        {"names": ["ptrace"], "action": ALLOWED, "includes": {"minKernel": "999.0"}},
        {"names": ["getpid"], "action": ALLOWED, "excludes": {"minKernel": "4.8"}},
        {
            "names": ["personality"],
            "action": ALLOWED,
            "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
        },
        {
            "names": ["personality"],
            "action": ALLOWED,
            "args": [{"index": 0, "value": 0xFFFFFFFF, "op": "SCMP_CMP_EQ"}],
        },
        {
            "names": ["clone"],
            "action": ALLOWED,
            "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]},
        },
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["mount"], "action": ALLOWED, "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arch_prctl"], "action": ALLOWED, "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["umask"], "action": ALLOWED, "includes": {"arches": ["arm64"]}},
        {"names": ["sysinfo"], "action": ALLOWED, "excludes": {"arches": ["amd64"]}},
        {"names": ["kexec_load"], "action": "SCMP_ACT_KILL_PROCESS"},
        {
            "names": ["socket"],
            "action": ALLOWED,
            "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"},
            ],
        },
        {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    ],
}


def programs(document: dict[str, Any]) -> tuple[bytes, ...]:
    text = json.dumps(document)
    return compile_filters(Seccomp(allow=(), profile="/p.json", profile_json=text))


@pytest.mark.parametrize(
    ("number", "args", "answer"),
    [
        (0, (), ALLOW),  # read
        (2, (), EPERM),  # open: not listed
        (310, (), ALLOW),  # process_vm_readv: the kernel is new enough
        (101, (), EPERM),  # ptrace: it is not
        (39, (), EPERM),  # getpid: excluded from kernels like this one
        (135, (8,), ALLOW),
        (135, (0xFFFFFFFF,), ALLOW),
        (135, (9,), EPERM),
        (56, (17,), ALLOW),
        (56, (0x10000011,), EPERM),
        (435, (), ENOSYS),
        (165, (), EPERM),  # mount: no capability is held
        (158, (), ALLOW),  # arch_prctl
        (95, (), EPERM),  # umask: on another architecture
        (99, (), EPERM),  # sysinfo: excluded from this architecture
        (246, (), KILL_PROCESS),
        (41, (1,), ALLOW),  # two comparisons of one argument: either
        (41, (2,), ALLOW),
        (41, (3,), EPERM),
        (161, (), EPERM),  # chroot: a rule that repeats the default
        (9999, (), ENOSYS),  # as runc has it
    ],
)
def test_a_profile_like_dockers_means_what_docker_means(
    number: int, args: tuple[int, ...], answer: int
) -> None:
    assert verdict(programs(DOCKER_LIKE), number, args) == answer


def test_it_is_taken_as_it_is() -> None:
    assert len(programs(DOCKER_LIKE)) == 1
    # 32-bit x86 is listed, so its numbers count: 3 is read, 5 is open.
    assert verdict(programs(DOCKER_LIKE), 3, (), "i386") == ALLOW
    assert verdict(programs(DOCKER_LIKE), 5, (), "i386") == EPERM


def test_an_architecture_that_is_not_listed_kills() -> None:
    document = {k: v for k, v in DOCKER_LIKE.items() if k != "archMap"}
    assert verdict(programs(document), 3, (), "i386") == KILL_PROCESS
    assert verdict(programs(document), 0x40000000) == KILL_PROCESS


def test_a_permissive_profile_pretends_nothing() -> None:
    document = {
        "defaultAction": ALLOWED,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"name": "mount", "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
    }
    assert verdict(programs(document), 9999) == ALLOW
    assert verdict(programs(document), 165) == errno_action(errno.EACCES)


def test_another_architecture_gets_its_own_rules() -> None:
    calls = {rule.call for rule in parse_oci_profile(json.dumps(DOCKER_LIKE), "aarch64").rules}
    assert "umask" in calls
    assert "sysinfo" in calls
    assert "arch_prctl" not in calls


def test_the_running_kernel_has_a_version() -> None:
    assert kernel_version() >= (5, 12)


@pytest.mark.parametrize("release", ["6.1.0-13-amd64", "5.15.153.1-microsoft", "6.18-rc1", "6.8+"])
def test_kernel_versions_are_read_as_distributions_write_them(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Uname:
        pass

    answer = Uname()
    answer.release = release  # type: ignore[attr-defined]
    monkeypatch.setattr("os.uname", lambda: answer)
    major, minor = release.replace("-", ".").replace("+", ".").split(".")[:2]
    assert kernel_version() == (int(major), int(minor))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "an object"),
        ("{}", "defaultAction: None"),
        ('{"defaultAction": "SCMP_ACT_NOTIFY"}', "defaultAction"),
        ('{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1}', "defaultErrnoRet"),
        ('{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}', "defaultErrnoRet"),
        ('{"defaultAction": "SCMP_ACT_KILL", "syscalls": {}}', "syscalls: expected a list"),
        ('{"defaultAction": "SCMP_ACT_KILL", "syscalls": [1]}', r"syscalls\[0\]"),
        ('{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{}]}', r"syscalls\[0\].names"),
        ('{"defaultAction": "SCMP_ACT_KILL", "architectures": ["x86"]}', "architectures"),
        ('{"defaultAction": "SCMP_ACT_KILL", "archMap": [1]}', "archMap"),
    ],
)
def test_what_is_no_profile_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        Seccomp(allow=(), profile="/p.json", profile_json=text)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"action": "ALLOW"}, r"syscalls\[0\].action"),
        ({"names": [5]}, r"syscalls\[0\].names"),
        ({"names": "read"}, r"syscalls\[0\].names"),
        ({"args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}, r"syscalls\[0\].args\[0\].index"),
        ({"args": [{"index": 0, "op": "EQ"}]}, r"syscalls\[0\].args\[0\].op"),
        ({"args": [{"op": "SCMP_CMP_EQ", "value": -1}]}, r"args\[0\].value"),
        ({"args": [{"op": "SCMP_CMP_EQ", "value": 2**64}]}, r"args\[0\].value"),
        ({"args": [{"op": "SCMP_CMP_EQ", "valueTwo": True}]}, r"args\[0\].valueTwo"),
        ({"args": [{"op": [], "value": 1}]}, r"args\[0\].op"),
        ({"includes": {"minKernel": "new"}}, "includes.minKernel"),
        ({"excludes": []}, None),
        ({"excludes": [1]}, "excludes: expected an object"),
        ({"includes": {"caps": "CAP_SYS_ADMIN"}}, "includes.caps"),
        ({"names": ["read"] * 10_001}, "more than"),
    ],
)
def test_a_bad_rule_is_named(change: dict[str, Any], problem: str | None) -> None:
    rule = {"names": ["read"], "action": ALLOWED, **change}
    text = json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]})
    if problem is None:
        assert parse_oci_profile(text).rules
        return
    with pytest.raises(ValueError, match=problem):
        parse_oci_profile(text)


def test_no_document_raises_anything_but_value_error() -> None:
    dice = random.Random(4)
    whole = json.dumps(DOCKER_LIKE)
    odd: list[Any] = [None, True, -1, 2**70, "", "x", [], {}, [None], {"a": 1}, 1.5]
    for _ in range(800):
        document = json.loads(whole)
        holder: Any = document
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = dice.choice(keys)
            if isinstance(holder[key], (dict, list)) and dice.random() < 0.7:
                holder = holder[key]
                continue
            holder[key] = dice.choice(odd)
            break
        try:
            parse_oci_profile(json.dumps(document))
        except ValueError:
            pass


def test_a_profile_is_loaded_and_compiled_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "docker.json").write_text(json.dumps(DOCKER_LIKE))
    (tmp_path / "mine.yaml").write_text("seccomp:\n  profile: docker.json\n")
    compiled = compile_filters(load_profile(tmp_path / "mine.yaml").seccomp)
    assert compiled == programs(DOCKER_LIKE)
