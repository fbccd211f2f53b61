"""The compiled programs, read instruction by instruction against what the policy says."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import random
import subprocess
import sys

import pyseccomp
import pytest

from localbox.errors import PolicyError, WallError
from localbox.policy import Seccomp, load_profile, seccomp, seccomp_compile
from localbox.policy.seccomp_rules import RULES, Match
from localbox.policy.syscall_names import COMMON_NUMBERS, HIGHEST_NUMBER, KNOWN
from tests.unit.bpf_interpreter import ALLOW, KILL_PROCESS, errno_action, run, verdict

DEFAULT = load_profile("default").seccomp
MACHINES = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}
EPERM, ENOSYS = errno_action(errno.EPERM), errno_action(errno.ENOSYS)


def number_on(machine: str, name: str) -> int | None:
    if name in COMMON_NUMBERS:
        return COMMON_NUMBERS[name]
    number = int(pyseccomp.resolve_syscall(MACHINES[machine], name))
    return number if number >= 0 else None


def for_machine(policy: Seccomp, machine: str) -> Seccomp:
    """What can be compiled for another machine: libseccomp has to translate each number."""
    if pyseccomp.system_arch() == MACHINES[machine]:
        return policy

    def known(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(n for n in names if pyseccomp.resolve_syscall(0, n) != -1)

    lists = {key: known(getattr(policy, key)) for key in ("allow", "enosys", "kill", "deny")}
    return dataclasses.replace(policy, **lists)  # type: ignore[arg-type]


def build(policy: Seccomp, machine: str = "x86_64") -> tuple[bytes, ...]:
    return seccomp_compile.build(for_machine(policy, machine), machine)[0]


def matches(match: Match, args: tuple[int, ...]) -> bool:
    return all(args[index] & mask == value for index, mask, value in match)


def expected(policy: Seccomp, name: str, args: tuple[int, ...]) -> int:
    """The policy's answer, worked out from its words alone."""
    if name in policy.kill:
        return KILL_PROCESS
    if name in policy.deny:
        return EPERM
    if name in policy.enosys:
        return ENOSYS
    if name not in policy.allow:
        return EPERM
    for rule in (RULES[word] for word in policy.rules):
        if name in rule.permits and not any(matches(m, args) for m in rule.permits[name]):
            return EPERM
    for rule in (RULES[word] for word in policy.rules):
        for call, number, match in rule.refuses:
            if call == name and matches(match, args):
                return errno_action(number)
    return ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", ["default", "strict", "trusted"])
def test_every_call_gets_what_the_policy_says(profile: str, machine: str) -> None:
    policy = for_machine(load_profile(profile).seccomp, machine)
    programs = build(policy, machine)
    # Arguments no rule is about: the least any call with rules lets through.
    harmless = {"socket": (1, 1, 0), "socketpair": (1, 1, 0), "prctl": (15,)}
    checked = 0
    for name in sorted(KNOWN):
        number = number_on(machine, name)
        if number is None or number > HIGHEST_NUMBER:
            continue
        args = (*harmless.get(name, ()), 0, 0, 0, 0, 0, 0)[:6]
        answer = verdict(programs, number, args, machine)
        assert answer == expected(policy, name, args), name
        checked += 1
    assert checked > 300


INTERESTING = sorted({
    *range(50),
    *(1 << bit for bit in range(64)),
    *((1 << bit) - 1 for bit in range(65)),
    *(0x5412, 0x541C, 0x541D, 0x5423, 0x5413, 0x20008, 0x40008, 0x59616D61, 0x53564D41),
    *(0o644, 0o755, 0o1777, 0o2755, 0o4755, 0o6755, 0o100, 0o20200000, 132, 256, 258),
})  # fmt: skip
WITH_RULES = sorted(
    {call for rule in RULES.values() for call in (*rule.permits, *(r[0] for r in rule.refuses))}
)


@pytest.mark.parametrize(
    ("machine", "name"),
    [pair for pair in itertools.product(MACHINES, WITH_RULES) if number_on(*pair) is not None],
)
def test_arguments_are_judged_as_the_rules_say(name: str, machine: str) -> None:
    number = number_on(machine, name)
    assert number is not None
    policy = for_machine(DEFAULT, machine)
    programs = build(policy, machine)
    dice = random.Random(name)
    sets = [(value, 0, 0, 0, 0, 0) for value in INTERESTING]
    sets += [(0, value, 0, 0, 0, 0) for value in INTERESTING]
    sets += [tuple(dice.choice(INTERESTING) for _ in range(6)) for _ in range(1500)]  # type: ignore[misc]
    answers = set()
    for args in sets:
        for upper in (0, dice.getrandbits(32) << 32):
            words = (args[0] | upper, *args[1:])
            answer = verdict(programs, number, words, machine)
            assert answer == expected(policy, name, words), (name, words)
            answers.add(answer)
    assert len(answers) > 1, "no value was refused, or none let through"


@pytest.mark.parametrize("machine", MACHINES)
def test_newer_calls_look_absent(machine: str) -> None:
    programs = build(DEFAULT, machine)
    for number in (HIGHEST_NUMBER + 1, 9999, 0x3FFFFFFF):
        assert verdict(programs, number, (), machine) == ENOSYS
    assert verdict(programs, HIGHEST_NUMBER - 1, (), machine) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_foreign_architectures_are_killed_whatever_the_number(machine: str) -> None:
    programs = build(DEFAULT, machine)
    for foreign, number in itertools.product(
        {"x86_64", "aarch64", "i386"} - {machine}, (0, 1, 20, 435, 9999, 0x40000000)
    ):
        assert verdict(programs, number, (), foreign) == KILL_PROCESS


def test_x32_is_killed_whatever_the_number() -> None:
    programs = build(DEFAULT)
    for number in (0, 39, 435, 9999, 0x3FFFFFFF):
        assert verdict(programs, 0x40000000 | number) == KILL_PROCESS


def test_the_last_program_alone_denies_by_default() -> None:
    *_, main = build(DEFAULT)
    assert run(main, number_on("x86_64", "mount") or 0) == EPERM


def test_programs_fit_into_the_kernel() -> None:
    for program in build(DEFAULT):
        assert 0 < len(program) // 8 <= 4096
        assert len(program) % 8 == 0


def test_deny_beats_allow_and_enosys_but_not_kill() -> None:
    policy = Seccomp(
        allow=("read", "write"),
        enosys=("clone3",),
        kill=("reboot",),
        deny=("write", "clone3", "reboot"),
    )
    programs = build(policy)
    answers = {name: verdict(programs, number_on("x86_64", name) or 0) for name in
               ("read", "write", "clone3", "reboot")}  # fmt: skip
    assert answers == {"read": ALLOW, "write": EPERM, "clone3": EPERM, "reboot": KILL_PROCESS}


def test_without_rules_a_call_is_allowed_whole_by_one_program() -> None:
    programs = build(Seccomp(allow=("clone", "ioctl", "socket")))
    assert len(programs) == 1
    assert verdict(programs, 56, (0x10000000,)) == ALLOW
    assert verdict(programs, 41, (40,)) == ALLOW


def test_a_rule_about_a_call_that_is_not_allowed_allows_nothing() -> None:
    programs = build(Seccomp(allow=("read",), rules=tuple(RULES)[:2]))
    assert verdict(programs, 56, (0,)) == EPERM


def test_names_of_other_architectures_are_passed_over() -> None:
    with_it = build(Seccomp(allow=("read", "s390_pci_mmio_read", "mmap2")))
    assert with_it == build(Seccomp(allow=("read",)))


def test_calls_libseccomp_has_not_heard_of_have_their_number() -> None:
    programs = build(Seccomp(allow=("file_getattr", "mseal", "futex_wait")))
    assert [verdict(programs, number) for number in (468, 462, 455, 454)] == [*[ALLOW] * 3, EPERM]


def test_our_numbers_are_libseccomps_where_it_has_them() -> None:
    known = {n: pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, n) for n in COMMON_NUMBERS}
    agreeing = [name for name, number in known.items() if number == COMMON_NUMBERS[name]]
    assert [n for n, number in known.items() if number != -1] == agreeing
    assert len(agreeing) >= 20


@pytest.mark.parametrize(
    ("rule", "call"),
    [("clone-flags", "clone3"), ("mode-setuid", "openat2"), ("socket-kinds", "io_uring_setup")],
)
def test_a_rule_that_can_be_seen_past_is_no_policy(rule: str, call: str) -> None:
    with pytest.raises(PolicyError, match=f"{rule} cannot hold while {call} is allowed"):
        Seccomp(allow=("read", call), rules=(rule,))
    assert Seccomp(allow=("read", call), deny=(call,), rules=(rule,)).permitted() == ("read",)


def test_a_missing_library_is_a_wall_error_that_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    # pyseccomp looks for the library when imported, and says RuntimeError when it is not there.
    monkeypatch.delitem(sys.modules, "pyseccomp")
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    with pytest.raises(WallError, match=r"apt install libseccomp2.*dnf install libseccomp") as info:
        seccomp_compile.build(DEFAULT, "x86_64")
    assert info.value.wall == "seccomp"


def test_a_missing_binding_is_a_wall_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(WallError, match="pip install pyseccomp"):
        seccomp_compile.build(DEFAULT, "x86_64")


def test_an_unknown_machine_is_a_wall_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        machine = "riscv64"

    monkeypatch.setattr(seccomp.os, "uname", Elsewhere)
    with pytest.raises(WallError, match="riscv64"):
        seccomp.compile_filters(Seccomp(allow=("read",)))


def test_a_cached_filter_needs_neither_libseccomp_nor_yaml(tmp_path: object) -> None:
    code = """
import sys
from localbox.policy import Seccomp
from localbox.policy.seccomp import compile_filters
programs = compile_filters(Seccomp(allow=("read", "write")))
loaded = [name for name in ("pyseccomp", "yaml", "ctypes") if name in sys.modules]
print(len(programs), *loaded)
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.split()
        for _ in range(2)
    ]
    assert outputs == [["1", "pyseccomp", "ctypes"], ["1"]]
