"""What `localbox doctor` runs INSIDE a sandbox: one function per wall, each tries to get through.

The text of this file is what runs there, so it imports the standard library only. A probe returns
what it saw, or raises Breach. Where it can, it first does what is permitted: a sandbox in which
nothing works at all would pass every test.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

Facts = dict[str, Any]

# Reserved for documentation (RFC 5737): nobody is there, whatever the network.
_NOWHERE = ("192.0.2.1", 9)


class Breach(Exception):
    """Something went through that a wall should have stopped."""


def user_namespace(facts: Facts) -> str:
    _check_other_namespace("user", facts)
    with open("/proc/self/uid_map", encoding="ascii") as file:
        # One id is all an ordinary user has to give; then there is no uid 0 to become.
        has_zero = any(line.split()[0] == "0" for line in file)
    number = errno.EPERM if has_zero else errno.EINVAL
    return _refused(number, "becoming uid 0", os.setuid, 0)


def mount_namespace(facts: Facts) -> str:
    _check_other_namespace("mnt", facts)
    for host_path in (facts["canary"], "/etc/shadow"):
        if os.path.lexists(host_path):
            raise Breach(f"the host's {host_path} is visible")
    return "/etc/shadow and a file made for this test are not there"


def pid_namespace(facts: Facts) -> str:
    _check_other_namespace("pid", facts)
    pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    strangers = pids - {1, os.getpid()}
    if strangers:
        raise Breach(f"processes that are not the sandbox's are visible: {sorted(strangers)[:5]}")
    return f"sees {len(pids)} processes, its own"


def network_namespace(facts: Facts) -> str:
    _check_other_namespace("net", facts)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 5).close()
    with socket.socket(socket.AF_UNIX) as sock:
        # Abstract names belong to the network namespace.
        _refused(errno.ECONNREFUSED, "the host's socket", sock.connect, facts["abstract_socket"])
    with socket.socket() as sock:
        sock.settimeout(5)
        return "localhost works; " + _refused(errno.ENETUNREACH, "connect", sock.connect, _NOWHERE)


def ipc_namespace(facts: Facts) -> str:
    _check_other_namespace("ipc", facts)
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}", encoding="ascii") as file:
            if len(file.readlines()) > 1:
                raise Breach(f"/proc/sysvipc/{kind} lists what the sandbox did not make")
    return "no shared memory, semaphores or queues of the host's"


def uts_namespace(facts: Facts) -> str:
    _check_other_namespace("uts", facts)
    if socket.gethostname() != facts["hostname"]:
        raise Breach(f"the host name is {socket.gethostname()!r}")
    return f"the host name is {facts['hostname']}"


def cgroup_namespace(facts: Facts) -> str:
    _check_other_namespace("cgroup", facts)
    with open("/proc/self/cgroup", encoding="ascii") as file:
        paths = {line.rstrip("\n").split(":", 2)[2] for line in file}
    if paths != {"/"}:
        raise Breach(f"paths of the host's groups are visible: {sorted(paths)}")
    return "every group reads as /"


def private_root(_facts: Facts) -> str:
    note = os.path.expanduser("~/note")
    with open(note, "w", encoding="ascii") as file:
        file.write("permitted")
    with open(note, encoding="ascii") as file:
        if file.read() != "permitted":
            raise Breach("what is written to the home directory does not stay there")
    for directory in ("/", "/usr", "/etc"):
        _refused(errno.EROFS, "mkdir", os.mkdir, os.path.join(directory, "localbox-doctor"))
    return "home can be written; / /usr /etc: EROFS"


def rlimits(facts: Facts) -> str:
    pids = facts["pids"]
    if resource.getrlimit(resource.RLIMIT_NPROC) != (pids, pids):
        raise Breach(f"RLIMIT_NPROC is {resource.getrlimit(resource.RLIMIT_NPROC)}, not {pids}")
    made = _processes_until_refused(pids)
    try:
        bytearray(facts["memory_bytes"])
    except MemoryError:
        return f"fork: EAGAIN after {made} processes of {pids}; too much memory: ENOMEM"
    raise Breach(f"one process got {facts['memory_bytes']} bytes")


def capabilities(_facts: Facts) -> str:
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    held = [name for name in sets if int(_status(name), 16)]
    if held:
        raise Breach(f"{', '.join(held)} is not empty")
    return "all five sets are empty"


def no_new_privileges(_facts: Facts) -> str:
    if _status("NoNewPrivs") != "1":
        raise Breach("NoNewPrivs is not 1")
    return "NoNewPrivs 1"


def seccomp(_facts: Facts) -> str:
    if _status("Seccomp") != "2":
        raise Breach(f"Seccomp is {_status('Seccomp')}, not 2 (filter)")
    # The kernel itself has nothing against either, so it is the filter that answers.
    path = os.path.expanduser("~/set-user-id")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o700))
    os.chmod(path, 0o755)
    if hasattr(os, "unshare"):
        _refused(errno.EPERM, "unshare", os.unshare, 0)
    return "set-user-ID: " + _refused(errno.EPERM, "chmod", os.chmod, path, 0o4755)


def landlock(facts: Facts) -> str:
    # A FIFO may be opened for writing on a read-only mount: only Landlock is left to refuse.
    # Without it the answer would be ENXIO, because nobody reads.
    return _refused(
        errno.EACCES, "a FIFO of the host's", os.open, facts["fifo"], os.O_WRONLY | os.O_NONBLOCK
    )


def cgroup(facts: Facts) -> str:
    # RLIMIT_NPROC is the same number, so which of the two refuses cannot be told from here; the
    # host looks at the group. Here: that the group's numbers are out of reach.
    if os.path.exists("/sys/fs/cgroup/cgroup.procs"):
        raise Breach("the host's cgroup filesystem is visible")
    return f"limits set from outside; {_processes_until_refused(facts['pids'])} processes fit"


def disk_limit(facts: Facts) -> str:
    """Written to two files, because one is held by RLIMIT_FSIZE."""
    half = b"\0" * (facts["disk_bytes"] // 2 + (1 << 20))
    paths = [os.path.expanduser("~/half"), "/tmp/other-half"]
    try:
        for path in paths:
            with open(path, "wb", buffering=0) as file:
                left = memoryview(half)
                while left:
                    left = left[file.write(left) :]
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return f"ENOSPC at {facts['disk_bytes'] >> 20} MiB"
    finally:
        for path in paths:
            if os.path.exists(path):
                os.unlink(path)
    raise Breach(f"more than {facts['disk_bytes']} bytes could be written")


def python_overlay(facts: Facts) -> str:
    """What `pip install` does: make a file beside the packages."""
    path = os.path.join(facts["python_prefix"], f"localbox-doctor-{facts['token']}")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        raise Breach(f"{facts['python_prefix']} is read-only inside ({name})") from None
    return f"{facts['python_prefix']} can be written inside"


def _check_other_namespace(kind: str, facts: Facts) -> None:
    if os.readlink(f"/proc/self/ns/{kind}") == facts["namespaces"][kind]:
        raise Breach(f"it is in the host's {kind} namespace")


def _refused(number: int, what: str, call: Callable[..., object], *arguments: Any) -> str:
    try:
        call(*arguments)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error))
        if error.errno == number:
            return f"{what}: {name}"
        raise Breach(f"{what}: {name} and not {errno.errorcode[number]}") from None
    raise Breach(f"{what} was not refused")


def _processes_until_refused(limit: int) -> int:
    children: list[int] = []
    try:
        while len(children) <= limit:
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
    except BlockingIOError:
        return len(children)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
    raise Breach(f"{len(children)} processes could be made")


def _status(field: str) -> str:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == field:
                return value.strip()
    return "absent"


PROBES: dict[str, Callable[[Facts], str]] = {
    "user-namespace": user_namespace,
    "mount-namespace": mount_namespace,
    "pid-namespace": pid_namespace,
    "network-namespace": network_namespace,
    "ipc-namespace": ipc_namespace,
    "uts-namespace": uts_namespace,
    "cgroup-namespace": cgroup_namespace,
    "private-root": private_root,
    "capabilities": capabilities,
    "no-new-privileges": no_new_privileges,
    "seccomp": seccomp,
    "rlimits": rlimits,
    "landlock": landlock,
    "cgroup": cgroup,
    "disk-limit": disk_limit,
    "python-overlay": python_overlay,
}


def main() -> None:
    """Run the probe named by the first argument on the facts in the second; print the verdict."""
    name, facts = sys.argv[1], json.loads(sys.argv[2])
    try:
        holds, shown = True, PROBES[name](facts)
    except Breach as breach:
        holds, shown = False, str(breach)
    except Exception as error:  # noqa: BLE001 (whatever went wrong, it is no proof of a wall)
        holds, shown = False, f"the probe failed: {error!r}"
    print(json.dumps({"holds": holds, "shown": shown}))


if __name__ == "__main__":
    main()
