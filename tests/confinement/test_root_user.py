"""Root of a sandbox: power over what is the sandbox's, none over its walls.

The guest is taken to be hostile as root too; each of the attacks here has all that root has.
"""

from __future__ import annotations

import os

import pytest

from localbox import CommandExitException, Sandbox
from tests.confinement.as_root import (
    CAPABILITIES,
    ask_root,
    calls,
    needs_root,
    outcomes,
    root_agents,
)
from tests.confinement.attack import ask, number_of, parse_status, status

pytestmark = needs_root

# What it is


def test_root_has_six_capabilities_over_its_own_ids_and_no_way_to_more(sandbox: Sandbox) -> None:
    text = sandbox.commands.run("cat /proc/self/status", user="root").stdout
    mine, of_user = (
        parse_status(text),
        parse_status(ask(sandbox, "answer = open('/proc/self/status').read()")),
    )
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(mine[name], 16) == CAPABILITIES, name
    for name in ("NoNewPrivs", "Seccomp"):
        assert mine[name] == of_user[name]
    # And one more, about ids.
    assert int(mine["Seccomp_filters"]) == int(of_user["Seccomp_filters"]) + 1
    assert mine["Groups"] == of_user["Groups"] == ""


def test_roots_agent_is_as_confined_as_what_it_runs(sandbox: Sandbox) -> None:
    sandbox.commands.run("true", user="root")
    (agent,) = root_agents(sandbox)
    fields = status(agent)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == CAPABILITIES, name
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    host_ids = {int(uid) for uid in fields["Uid"].split() + fields["Gid"].split()}
    assert len(host_ids) == 1
    # The first of the sandbox's range: nobody's else on this machine, and not root.
    assert host_ids.pop() >= 0x70000000


@pytest.mark.parametrize("profile", ["default", "trusted"])
def test_root_is_in_the_namespaces_of_its_sandbox(profile: str) -> None:
    read = "answer = {n: os.readlink(f'/proc/self/ns/{n}') for n in os.listdir('/proc/self/ns')}"
    with Sandbox.create(profile=profile) as sandbox, Sandbox.create(profile=profile) as other:
        assert ask_root(sandbox, read) == ask(sandbox, read)
        assert ask_root(other, read) == ask(other, read)


def test_roots_limits_are_the_users(sandbox: Sandbox) -> None:
    read = "answer = open('/proc/self/limits').read()"
    assert ask_root(sandbox, read) == ask(sandbox, read)


def test_root_has_power_over_what_is_the_sandboxs(sandbox: Sandbox) -> None:
    """The partner of all that follows: these capabilities do work."""
    sandbox.files.write("file", "x")
    handle = sandbox.commands.run("sleep 1000", background=True)
    assert (
        outcomes(
            sandbox,
            "os.chown('/home/user/file', 0, 5)",
            "os.chmod('/home/user', 0o700)",
            "open('/home/user/file', 'a')",
            "os.utime('/home/user', (1, 1))",
            f"os.kill({handle.pid}, 9)",
            "os.mkfifo('/tmp/fifo')",
            "os.setgroups([5])",
            "os.setresgid(7, 7, 7)",
            "os.setresuid(1000, 1000, 1000)",
        )
        == ["allowed"] * 9
    )
    with pytest.raises(CommandExitException):
        handle.wait()


# The walls


def test_root_cannot_mount_or_enter_namespaces(sandbox: Sandbox) -> None:
    answers = calls(
        sandbox,
        {
            "mount": (0, 0, 0, 0, 0),
            "umount2": (0, 2),
            "pivot_root": (0, 0),
            "chroot": (0,),
            "open_tree": (-100, 0, 1),
            "move_mount": (0, 0, 0, 0, 0),
            "mount_setattr": (0, 0, 0, 0, 0),
            "fsopen": (0, 0),
            "unshare": (0x10000000,),
            "setns": (0, 0),
            "clone": (0x10000000 | 17, 0, 0, 0, 0),
            "clone3": (0, 0),
            "sethostname": (0, 0),
            "bpf": (0, 0, 0),
            "perf_event_open": (0, 0, 0, 0, 0),
            "open_by_handle_at": (0, 0, 0),
            "keyctl": (0, 0),
            "quotactl": (0, 0, 0, 0),
        },
    )
    assert set(answers.values()) <= {"EPERM", "ENOSYS"}, answers


def test_root_cannot_use_the_usual_tools_on_mounts(sandbox: Sandbox) -> None:
    for command in (
        "mount -o remount,rw /",
        "mount -o remount,rw /usr",
        "mount -t tmpfs none /mnt",
        "mount --bind /tmp /etc",
        "umount /.localbox",
        "umount -l /proc/kcore",
        "unshare -m true",
        "unshare -U true",
        "nsenter -t 1 -m true",
        "chroot / true",
    ):
        answer = sandbox.commands.run(f"{command} && echo did it || echo refused", user="root")
        assert answer.stdout == "refused\n", command


def test_root_can_make_no_device_and_no_set_id_file(sandbox: Sandbox) -> None:
    sandbox.files.write("/tmp/file", "x", user="root")
    answers = outcomes(
        sandbox,
        "os.mknod('/tmp/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))",
        "os.mknod('/root/disk', stat.S_IFBLK | 0o666, os.makedev(254, 0))",
        "os.chmod('/tmp/file', 0o4755)",
        "os.chmod('/tmp/file', 0o2755)",
        "os.open('/tmp/new', os.O_CREAT, 0o4755)",
        # VFS_CAP_REVISION_2, CAP_CHOWN
        "os.setxattr('/tmp/file', 'security.capability', struct.pack('<5I', 2 << 24, 1, 0, 0, 0))",
    )
    assert answers == ["EPERM"] * 6


def test_root_cannot_write_to_the_system(sandbox: Sandbox) -> None:
    sandbox.commands.run("true", user="root")
    writes = [
        f"os.open({path!r}, os.O_WRONLY)"
        for path in ("/etc/passwd", "/usr/bin/env", "/etc/profile", "/etc/pam.d/su")
    ]
    makes = [
        f"os.mkdir('{path}/made')" for path in ("", "/etc", "/usr", "/dev", "/home", "/.localbox")
    ]
    changes = [
        f"os.{what}({path!r}, {mode})"
        for path in ("/", "/etc/passwd", "/usr/bin", "/dev/null", "/dev", "/home", "/.localbox")
        for what, mode in (("chmod", 0o777), ("chown", "0, 0"))
    ]
    answers = outcomes(sandbox, *writes, *makes, *changes)
    assert set(answers) <= {"EROFS", "EPERM", "EACCES"}, answers


def test_root_cannot_write_to_proc(sandbox: Sandbox) -> None:
    paths = [
        *("self/oom_score_adj", "1/oom_score_adj", "self/uid_map", "self/setgroups"),
        *("sys/kernel/core_pattern", "sys/kernel/hostname", "sys/vm/overcommit_memory"),
        *("sys/user/max_user_namespaces", "sys/net/ipv4/ip_forward", "sysrq-trigger"),
        *("sys/net/ipv4/ip_unprivileged_port_start", "self/attr/current"),
    ]
    paths = [f"/proc/{path}" for path in paths if os.path.exists(f"/proc/{path}")]
    answers = outcomes(sandbox, *(f"os.open({path!r}, os.O_WRONLY)" for path in paths))
    assert set(answers) <= {"EROFS", "EACCES", "EPERM"}, dict(zip(paths, answers, strict=True))


def test_what_is_masked_or_host_roots_in_proc_stays_so(sandbox: Sandbox) -> None:
    code = f"""
answer = {{}}
for path in [*{sandbox.policy.filesystem.masked!r}] + ['/proc/kpageflags', '/proc/vmallocinfo']:
    try:
        content = os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(8).hex()
    except OSError as error:
        content = ''
    answer[path] = len(content)
"""
    answer = ask_root(sandbox, code)
    assert set(answer.values()) == {0}, answer


def test_the_workshop_is_covered_for_root_too(sandbox: Sandbox) -> None:
    """Above all the overlays' upper directories, which were open to its agent for a moment."""
    assert ask_root(sandbox, "answer = os.listdir('/.localbox')") == []
    mounts = sandbox.commands.run("cat /proc/self/mountinfo", user="root").stdout
    roots = {line.split()[4]: line.split()[3] for line in mounts.splitlines()}
    assert roots["/root"] == "/root"
    assert roots["/.localbox"] == "/.localbox/empty"
    assert "/.localbox/stage" not in {
        p for p in roots if ask(sandbox, f"answer = os.path.exists({p!r})")
    }


def test_who_was_root_and_became_the_user_cannot_go_back(sandbox: Sandbox) -> None:
    code = """
os.setresgid(1000, 1000, 1000)
os.setresuid(1000, 1000, 1000)
kept = ('CapPrm', 'CapEff', 'CapAmb')
answer = [
    outcome(os.setuid, 0),
    outcome(os.setgid, 0),
    outcome(os.chown, '/tmp', 0, 0),
    outcome(open, '/proc/1/mem'),
    [line.split()[1].strip('0') for line in open('/proc/self/status') if line[:6] in kept],
]
"""
    assert ask_root(sandbox, code) == ["EPERM", "EPERM", "EPERM", "EACCES", ["", "", ""]]


@pytest.mark.parametrize("path", ["/proc/sys/kernel/cap_last_cap"])
def test_root_cannot_add_to_its_capabilities(sandbox: Sandbox, path: str) -> None:
    code = f"""
header = struct.pack('=Ii', 0x20080522, 0)
everything = struct.pack('=6I', *[0xFFFFFFFF] * 6)
answer = [
    call({number_of("capset")}, header, everything),
    call({number_of("prctl")}, 47, 2, 21, 0, 0),  # PR_CAP_AMBIENT_RAISE, SYS_ADMIN
    call({number_of("prctl")}, 28, 0, 0, 0, 0),  # PR_SET_SECUREBITS
    call({number_of("prctl")}, 38, 0, 0, 0, 0),  # PR_SET_NO_NEW_PRIVS
    int(open({path!r}).read()) > 21,
]
"""
    assert ask_root(sandbox, code) == ["EPERM", "EPERM", "EPERM", "EINVAL", True]
