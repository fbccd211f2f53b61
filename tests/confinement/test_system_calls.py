"""seccomp: the system calls that are refused, each with the errno that fits its callers."""

from __future__ import annotations

import pytest

from localbox import CommandExitException, Sandbox
from tests.confinement.attack import ask, call, number_of, x86_64_only

REFUSED = [
    *("mount", "umount2", "pivot_root", "chroot", "fsopen", "fsmount", "open_tree", "move_mount"),
    *("mount_setattr", "setns", "unshare", "quotactl", "acct", "syslog", "fanotify_init"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    *("bpf", "perf_event_open", "keyctl", "add_key", "request_key"),
    *("open_by_handle_at", "name_to_handle_at", "settimeofday", "adjtimex", "clock_settime"),
    *("sethostname", "setdomainname", "vhangup", "process_madvise", "vmsplice"),
]
ABSENT = ["io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "clone3"]
ABSENT += ["openat2", "memfd_secret", "move_pages", "mbind", "migrate_pages"]
FATAL = ["kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot"]
FATAL += ["swapon", "swapoff"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_asks_for_privilege_is_refused(any_sandbox: Sandbox, name: str) -> None:
    assert call(any_sandbox, name, 0, 0, 0, 0, 0, 0) == "EPERM"


@pytest.mark.parametrize("name", ABSENT)
def test_what_callers_can_live_without_is_not_there(any_sandbox: Sandbox, name: str) -> None:
    assert call(any_sandbox, name, 0, 0, 0, 0, 0, 0) == "ENOSYS"


@pytest.mark.parametrize("name", FATAL)
def test_what_nothing_calls_by_accident_kills(any_sandbox: Sandbox, name: str) -> None:
    with pytest.raises(CommandExitException) as caught:
        call(any_sandbox, name, 0, 0, 0, 0, 0, 0)
    assert caught.value.exit_code == -1
    assert caught.value.error == "signal: bad system call"
    # The caller, and nothing else.
    assert any_sandbox.is_running()


def test_a_call_newer_than_the_table_is_not_there(any_sandbox: Sandbox) -> None:
    assert ask(any_sandbox, "answer = [call(1000), call(4095)]") == ["ENOSYS", "ENOSYS"]


@x86_64_only
def test_the_x32_numbers_kill(any_sandbox: Sandbox) -> None:
    """x32 has the same calls at other numbers: a list of numbers alone would miss them."""
    with pytest.raises(CommandExitException) as caught:
        ask(any_sandbox, f"answer = call(0x40000000 | {number_of('getpid')})")
    assert caught.value.error == "signal: bad system call"


@x86_64_only
def test_the_32_bit_entry_kills(sandbox: Sandbox) -> None:
    """`int 0x80` works in 64-bit programs too, with yet other numbers."""
    code = """
import mmap
area = mmap.mmap(-1, 4096, prot=7)
# mov eax, 20 (getpid); int 0x80; ret
area.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
answer = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
"""
    with pytest.raises(CommandExitException) as caught:
        ask(sandbox, code)
    assert caught.value.exit_code == -1
    assert caught.value.error in ("signal: bad system call", "signal: segmentation fault")


@pytest.mark.parametrize(
    "option",
    [
        35,  # PR_SET_MM forges what /proc says
        0x59616D61,  # PR_SET_PTRACER
        62,  # PR_SCHED_CORE
        59,  # PR_SET_SYSCALL_USER_DISPATCH
    ],
)
def test_prctl_options_that_reach_further_are_refused(any_sandbox: Sandbox, option: int) -> None:
    assert call(any_sandbox, "prctl", option, 0, 0, 0, 0) == "EPERM"


def test_prctl_can_name_a_thread(any_sandbox: Sandbox) -> None:
    assert call(any_sandbox, "prctl", 15, b"name", 0, 0, 0) == "allowed"


def test_address_randomisation_cannot_be_turned_off(any_sandbox: Sandbox) -> None:
    assert call(any_sandbox, "personality", 0x0040000) == "EPERM"
    assert call(any_sandbox, "personality", 0xFFFFFFFF) == "allowed"
