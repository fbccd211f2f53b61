"""/proc: read-only as a whole, and what tells of the machine is masked."""

from __future__ import annotations

import os
import sys

import pytest

from localbox import Sandbox
from tests.confinement.attack import ask, outcome

# What may be written to; the environment has an overlay where it can.
OWN = {"/home/user", "/tmp", "/dev/shm", "/var/tmp", "/dev/pts"}


@pytest.mark.parametrize(
    "path",
    [
        "self/oom_score_adj",  # -1000 would exempt it from the host's out-of-memory killer
        "self/oom_adj",
        "self/comm",
        "self/coredump_filter",
        "self/uid_map",
        "self/setgroups",
        "self/timerslack_ns",
        "self/attr/current",
        "1/oom_score_adj",
        "1/clear_refs",
        "sys/kernel/core_pattern",  # runs a program of the writer's choice as host root
        "sys/kernel/hostname",
        "sys/kernel/modprobe",
        "sys/fs/binfmt_misc/register",
        "sys/vm/overcommit_memory",
        "sys/user/max_user_namespaces",
        "sys/net/ipv4/ip_forward",
    ],
)
def test_guest_cannot_write_to_proc(any_sandbox: Sandbox, path: str) -> None:
    full = f"/proc/{path}"
    if not os.path.exists(full):
        pytest.skip(f"this kernel has no {full}")
    # The kernel looks at the owner first: EACCES for what is not the guest's anyway.
    own = path.startswith("self/") and path not in {"self/setgroups", "self/uid_map"}
    expected = {"EROFS"} if own else {"EROFS", "EACCES"}
    assert outcome(any_sandbox, f"os.open({full!r}, os.O_WRONLY)") in expected


def test_masked_entries_read_as_empty(any_sandbox: Sandbox) -> None:
    for path in any_sandbox.policy.filesystem.masked:
        seen = ask(
            any_sandbox,
            f"""
path = {path!r}
if os.path.isdir(path):
    answer = os.listdir(path)
elif os.path.exists(path):
    try:
        answer = open(path, 'rb').read(64).decode('latin-1')
    except PermissionError:
        answer = ''
else:
    answer = []
""",
        )
        assert seen in ("", []), path


def test_masked_entries_cannot_be_written(any_sandbox: Sandbox) -> None:
    for path in ("/proc/sysrq-trigger", "/proc/kcore", "/proc/keys"):
        seen = outcome(any_sandbox, f"os.open({path!r}, os.O_WRONLY | os.O_CREAT)")
        # /dev/null itself, for what is masked; writing to that changes nothing.
        assert seen in {"EROFS", "ENOENT", "EACCES", "allowed"}
        if seen == "allowed":
            major_minor = ask(any_sandbox, f"answer = os.stat({path!r}).st_rdev")
            assert major_minor == os.makedev(1, 3)


def test_masks_cannot_be_taken_off(any_sandbox: Sandbox) -> None:
    unmount = "libc.umount2(b'/proc/keys', 2) and None"
    code = f"ctypes.set_errno(0); {unmount}; answer = errno.errorcode[ctypes.get_errno()]"
    assert ask(any_sandbox, code) == "EPERM"


def test_every_mount_is_read_only_but_the_sandboxs_own(sandbox: Sandbox) -> None:
    # Of several mounts on one directory only the last can be reached.
    top = {line.split()[1]: line for line in sandbox.files.read("/proc/mounts").splitlines()}
    reachable = ask(sandbox, f"answer = [path for path in {list(top)} if os.path.lexists(path)]")
    assert set(reachable) >= OWN
    for target in reachable:
        options = top[target].split()[3].split(",")
        assert "nosuid" in options, top[target]
        assert "ro" in options or target in {*OWN, sys.prefix}, top[target]


def test_guest_reads_what_programs_need_of_proc(any_sandbox: Sandbox) -> None:
    for path in (
        "cpuinfo",
        "meminfo",
        "stat",
        "uptime",
        "self/status",
        "self/maps",
        "sys/kernel/pid_max",
    ):
        assert outcome(any_sandbox, f"open('/proc/{path}').read()") == "allowed"
