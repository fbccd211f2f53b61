"""The filter of a sandbox's root, read instruction by instruction: two real uids and no others."""

from __future__ import annotations

import errno

import pyseccomp
import pytest

from localbox.confinement.id_filter import real_uid_filter
from localbox.confinement.syscalls import MACHINE
from tests.unit.bpf_interpreter import ALLOW, errno_action, run

EPERM = errno_action(errno.EPERM)
CALLS = ["setuid", "setreuid", "setresuid"]
NO_CHANGE = 0xFFFFFFFF


def answer(call: str, *args: int, machine: str = MACHINE) -> int:
    number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), call)
    return run(real_uid_filter(), number, args, machine)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("uid", [0, 1000, NO_CHANGE, -1, 1 << 32, 1 << 32 | 1000])
def test_the_sandboxs_two_users_can_be_become(call: str, uid: int) -> None:
    # The kernel takes 32 bits, whatever is above them.
    assert answer(call, uid, 5, 5) == ALLOW


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("uid", [1, 999, 1001, 33, 65534, 65535, 1 << 32 | 1, NO_CHANGE - 1])
def test_nobody_else_can(call: str, uid: int) -> None:
    assert answer(call, uid, 0, 0) == EPERM


@pytest.mark.parametrize("call", ["setgid", "setresgid", "setfsuid", "setgroups", "read", "fork"])
def test_other_calls_are_not_its_business(call: str) -> None:
    if pyseccomp.resolve_syscall(pyseccomp.system_arch(), call) < 0:
        pytest.skip(f"this machine has no {call}")
    assert answer(call, 5, 5, 5) == ALLOW


def test_the_same_calls_by_other_numbers_are_refused() -> None:
    """32-bit ones, and on x86-64 the x32 ones, should a profile of its own allow them."""
    assert answer("setuid", 0, machine="i386") == EPERM
    assert run(real_uid_filter(), 105 | 0x40000000, (5,), MACHINE) == EPERM
