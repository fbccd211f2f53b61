"""The profiles that ship, and the page that explains them."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

import pytest

from localbox.policy import OPTIONAL_WALLS, Policy, groups, load_profile, shipped_profiles
from localbox.policy.document import parse_document, read_text
from localbox.policy.schema import SECTIONS
from localbox.policy.seccomp_rules import RULES
from localbox.policy.shipped import shipped_file, syscalls_file
from localbox.policy.syscall_names import COMMON_NUMBERS, HIGHEST_NUMBER, KNOWN

PAGE = Path(__file__).parents[2] / "docs" / "profiles.md"
MIB, GIB = 1 << 20, 1 << 30


@pytest.fixture(params=shipped_profiles())
def policy(request: pytest.FixtureRequest) -> Policy:
    return load_profile(request.param)


def test_these_profiles_ship() -> None:
    assert shipped_profiles() == ["data-analysis", "default", "strict", "trusted"]


def test_every_shipped_profile_keeps_the_promises_of_all(policy: Policy) -> None:
    assert policy.landlock
    wanted = set(policy.isolation.require) | set(policy.isolation.prefer)
    assert wanted == ({*OPTIONAL_WALLS} if policy.name == "strict" else {"landlock"})
    assert policy.filesystem.readwrite == ()
    limits = {limit.name: limit for limit in policy.resources.rlimits}
    assert "RLIMIT_AS" not in limits
    assert limits["RLIMIT_CORE"].hard == 0
    assert all(hasattr(resource, name) for name in limits)
    assert {"/proc/kcore", "/proc/kmsg", "/proc/sysrq-trigger"} <= set(policy.filesystem.masked)
    assert policy.seccomp.profile is None
    assert set(RULES) - {"mode-setgid"} <= set(policy.seccomp.rules)


REFUSED = """
    mount umount2 move_mount open_tree fsopen fsmount mount_setattr pivot_root chroot setns unshare
    bpf perf_event_open ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd add_key keyctl
    memfd_create msgget
    request_key open_by_handle_at fanotify_init quotactl syslog acct settimeofday clock_settime
    sethostname vmsplice modify_ldt clone3 io_uring_setup userfaultfd openat2 init_module reboot
"""


def test_no_shipped_profile_allows_what_needs_privilege(policy: Policy) -> None:
    refused = set(REFUSED.split())
    assert refused <= KNOWN
    assert not refused & set(policy.seccomp.permitted())


def test_the_default_is_what_the_readme_promises() -> None:
    policy = load_profile("default")
    assert policy.network.mode == "loopback"
    assert (policy.resources.memory_bytes, policy.resources.pids) == (2 * GIB, 256)
    assert (policy.filesystem.disk_bytes, policy.filesystem.files) == (GIB, 200_000)
    assert policy.resources.output_bytes == 256 * MIB
    assert policy.filesystem.overlay == ("python",)
    assert policy.isolation.on_unavailable == "degrade"


def test_strict_is_nowhere_wider_than_default() -> None:
    strict, default = load_profile("strict"), load_profile("default")
    assert strict.network.mode == "none"
    assert strict.isolation.require == ("landlock",)
    assert strict.isolation.prefer == ("cgroup",)
    assert strict.filesystem.overlay == ()
    assert default.process.root_user
    assert not strict.process.root_user
    assert set(strict.seccomp.permitted()) < set(default.seccomp.permitted())
    assert set(strict.seccomp.rules) == set(RULES)
    assert set(strict.filesystem.masked) >= set(default.filesystem.masked)
    for name in ("memory_bytes", "pids", "output_bytes"):
        assert getattr(strict.resources, name) < getattr(default.resources, name)
    limits = {limit.name: limit.hard for limit in strict.resources.rlimits}
    for limit in default.resources.rlimits:
        assert limits[limit.name] <= limit.hard


def test_data_analysis_preloads_its_libraries() -> None:
    assert load_profile("data-analysis").process.preload == ("numpy", "pandas", "matplotlib.pyplot")


def test_trusted_has_the_network_and_every_other_wall() -> None:
    trusted = load_profile("trusted")
    assert trusted.network.mode == "host"
    assert trusted.seccomp.permitted() == load_profile("default").seccomp.permitted()


def test_every_call_in_the_table_of_groups_exists_and_is_in_one_group() -> None:
    table = parse_document(read_text(syscalls_file()), "syscalls.yaml").value
    assert isinstance(table, dict)
    words = [entry.value for node in table.values() for entry in node.value]  # type: ignore[union-attr]
    calls = [word for word in words if not str(word).startswith("@")]
    assert set(calls) <= KNOWN
    assert len(calls) == len(set(calls))
    assert {str(word)[1:] for word in words if str(word).startswith("@")} < set(
        groups.group_names()
    )


def test_the_common_numbers_follow_one_another() -> None:
    assert sorted(COMMON_NUMBERS.values()) == list(range(424, HIGHEST_NUMBER + 1))
    known = {"clone3": 435, "openat2": 437, "landlock_create_ruleset": 444, "memfd_secret": 447,
             "futex_waitv": 449, "cachestat": 451, "fchmodat2": 452, "mseal": 462,
             "removexattrat": 466, "file_getattr": 468}  # fmt: skip
    assert {name: COMMON_NUMBERS[name] for name in known} == known


KEYS = [f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_explained(key: str) -> None:
    row = re.search(rf"^\| `{re.escape(key)}` \|[^|]*\| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert row, f"docs/profiles.md has no row for {key}"
    assert len(row[1]) > 20


def test_every_section_rule_and_profile_is_explained() -> None:
    text = PAGE.read_text()
    for section in (*SECTIONS, "landlock", "extends"):
        assert f"### `{section}`" in text
    for name in (*RULES, *shipped_profiles()):
        assert f"| `{name}` |" in text


def test_the_page_explains_no_key_that_does_not_exist() -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(KEYS)


def test_the_pages_defaults_are_the_defaults() -> None:
    defaults = parse_document(read_text(shipped_file("default")), "default.yaml").value
    assert isinstance(defaults, dict)
    for key, shown in re.findall(
        r"^\| `([a-z_.]+)` \| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE
    ):
        section, name = key.split(".")
        documented = parse_document(f"x: {shown}", "page").value["x"]  # type: ignore[index,call-overload]
        actual = defaults[section].value[name]  # type: ignore[index,call-overload]
        assert _plain(documented) == _plain(actual), key


def _plain(node: object) -> str:
    value = node.value  # type: ignore[attr-defined]
    if isinstance(value, list):
        return json.dumps([_plain(child) for child in value])
    return json.dumps(value)


def test_the_pages_example_is_a_profile(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example)
    policy = load_profile(tmp_path / "mine.yaml")
    assert policy.resources.memory_bytes == GIB
    assert policy.filesystem.readonly[0].guest_path == "/data"
