"""The compiled filters, loaded into real processes: what the kernel then answers."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localbox.policy import load_profile
from localbox.policy.seccomp import compile_filters

pytestmark = [
    pytest.mark.confinement,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers below are x86-64's"),
]

libc = ctypes.CDLL(None, use_errno=True)
PROFILES = ("default", "strict", "data-analysis", "trusted")
NR = {
    "memfd_create": 319,
    "msgget": 68,
    "shmget": 29,
    "semget": 64,
    "ioctl": 16,
    "getpid": 39,
    "socket": 41,
    "socketpair": 53,
    "clone": 56,
    "chmod": 90,
    "fchmod": 91,
    "ptrace": 101,
    "personality": 135,
    "mount": 165,
    "reboot": 169,
    "prctl": 157,
    "openat": 257,
    "mknodat": 259,
    "fchmodat": 268,
    "unshare": 272,
    "io_uring_setup": 425,
    "clone3": 435,
    "openat2": 437,
    "fchmodat2": 452,
}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile into a directory of the test's, not into the developer's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


class SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def load(program: bytes) -> None:
    """seccomp(SECCOMP_SET_MODE_FILTER), as the guest does it."""
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = SockFprog(len(program) // 8, ctypes.addressof(buffer))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.syscall(317, 1, 0, ctypes.byref(fprog)) == 0, os.strerror(ctypes.get_errno())


def call(name: str | int, *args: object) -> int:
    """One raw system call; raises OSError with its errno."""
    number = NR[name] if isinstance(name, str) else name
    words = [
        ctypes.c_long(word) if isinstance(word, int) else word  # type: ignore[arg-type]
        for word in args
    ]
    ctypes.set_errno(0)
    result = int(ctypes.c_long(libc.syscall(ctypes.c_long(number), *words)).value)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


libc.syscall.restype = ctypes.c_long


def filtered(action: Callable[[], object], profile: str = "default", bare: bool = False) -> object:
    """Run `action` in a child under a profile's filters; its result, errno or fatal signal."""
    programs = () if bare else compile_filters(load_profile(profile).seccomp)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            for program in programs:
                load(program)
            try:
                result = ("result", int(action() or 0))  # type: ignore[call-overload]
            except OSError as error:
                result = ("errno", error.errno)
            os.write(writer, repr(result).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return ("signal", signal.Signals(os.WTERMSIG(status)))
    kind, value = eval(answer)
    return (kind, errno.errorcode[value]) if kind == "errno" else (kind, value)


EPERM, ENOSYS = ("errno", "EPERM"), ("errno", "ENOSYS")
EAFNOSUPPORT = ("errno", "EAFNOSUPPORT")
KILLED = ("signal", signal.SIGSYS)


@pytest.mark.parametrize("profile", PROFILES)
def test_an_ordinary_call_is_let_through(profile: str) -> None:
    kind, value = filtered(lambda: call("getpid"), profile)  # type: ignore[misc]
    assert kind == "result"
    assert value > 1


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("name", "args", "answer"),
    [
        ("unshare", (0x10000000,), EPERM),
        ("mount", (0, 0, 0, 0, 0), EPERM),
        ("ptrace", (0, 0, 0, 0), EPERM),
        ("clone3", (0, 0), ENOSYS),
        ("openat2", (-100, 0, 0, 24), ENOSYS),
        ("memfd_create", (0, 0), ENOSYS),
        ("msgget", (0, 0), ENOSYS),
        ("shmget", (0, 1 << 16, 0o1600), EPERM),
        ("semget", (0, 64, 0o1600), EPERM),
        ("io_uring_setup", (8, 0), ENOSYS),
        (9999, (), ENOSYS),
        (472, (), ENOSYS),
        ("reboot", (0, 0, 0), KILLED),
    ],
)
def test_a_refused_call_gets_its_answer(
    profile: str, name: str | int, args: tuple[int, ...], answer: object
) -> None:
    assert filtered(lambda: call(name, *args), profile) == answer


@pytest.mark.parametrize("flag", [1 << bit for bit in (17, 25, 26, 27, 28, 29, 30)])
def test_clone_makes_no_namespace(flag: int) -> None:
    assert filtered(lambda: call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0)) == EPERM


def test_clone_without_namespaces_makes_a_process() -> None:
    def fork_by_clone() -> int:
        pid = call("clone", signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert filtered(fork_by_clone) == ("result", 7)


def run_machine_code(code: bytes) -> int:
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


# mov eax, 20 (getpid on i386); int 0x80; ret
GETPID_I386 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"


def test_a_foreign_architecture_kills() -> None:
    assert filtered(lambda: run_machine_code(GETPID_I386)) == KILLED


def test_the_foreign_call_works_without_a_filter() -> None:
    outcome = filtered(lambda: run_machine_code(GETPID_I386), bare=True)
    if outcome == ("signal", signal.SIGSEGV):
        pytest.skip("this kernel has no 32-bit emulation")
    assert outcome[0] == "result"  # type: ignore[index]


def test_x32_kills() -> None:
    assert filtered(lambda: call(0x40000000 | NR["getpid"])) == KILLED


AF_VSOCK, AF_ALG, AF_PACKET, AF_TIPC = 40, 38, 17, 30


@pytest.mark.parametrize("family", [0, 3, 4, 9, AF_PACKET, AF_TIPC, 31, 32, AF_ALG, AF_VSOCK, 45])
@pytest.mark.parametrize("upper", [0, 1 << 32, 1 << 63])
def test_sockets_of_other_families_are_unknown(family: int, upper: int) -> None:
    word = ctypes.c_ulong(family | upper)
    assert filtered(lambda: call("socket", word, socket.SOCK_STREAM, 0)) == EAFNOSUPPORT


def test_a_pair_of_another_family_is_unknown_too() -> None:
    fds = (ctypes.c_int * 2)()
    attempt = lambda: call("socketpair", AF_TIPC, socket.SOCK_STREAM, 0, fds)  # noqa: E731
    assert filtered(attempt) == EAFNOSUPPORT


def test_netlink_speaks_of_routes_only() -> None:
    netlink = socket.AF_NETLINK
    assert filtered(lambda: call("socket", netlink, socket.SOCK_RAW, 9)) == EAFNOSUPPORT
    assert filtered(lambda: call("socket", netlink, socket.SOCK_RAW, 0))[0] == "result"  # type: ignore[index]


def test_rare_internet_protocols_are_not_loaded() -> None:
    outcome = filtered(lambda: call("socket", socket.AF_INET, socket.SOCK_STREAM, 132))
    assert outcome == ("errno", "EPROTONOSUPPORT")


def test_common_sockets_work() -> None:
    def use() -> int:
        left, right = socket.socketpair()
        left.send(b"x")
        with socket.socket(socket.AF_INET), socket.socket(socket.AF_INET6):
            return len(right.recv(9))

    assert filtered(use) == ("result", 1)


@pytest.mark.parametrize("request_number", [0x5412, 0x541C, 0x541D, 0x5423])
@pytest.mark.parametrize("upper", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_terminals_take_no_injected_input(request_number: int, upper: int) -> None:
    def inject() -> int:
        _, terminal = os.openpty()
        word = ctypes.c_ulong(request_number | upper)
        return call("ioctl", terminal, word, ctypes.create_string_buffer(b"x"))

    assert filtered(inject) == EPERM


def test_terminals_can_be_asked_and_sized() -> None:
    def size() -> int:
        _, terminal = os.openpty()
        call(
            "ioctl", terminal, 0x5414, ctypes.create_string_buffer(struct.pack("4H", 24, 80, 0, 0))
        )
        return os.get_terminal_size(terminal).columns

    assert filtered(size) == ("result", 80)


@pytest.mark.parametrize("option", [35, 59, 62, 67, 0x59616D61, 12345])
def test_prctl_refuses_what_reaches_beyond_the_process(option: int) -> None:
    assert filtered(lambda: call("prctl", option, 0, 0, 0, 0)) == EPERM


def test_prctl_names_a_thread_and_keeps_privileges_down() -> None:
    name = ctypes.create_string_buffer(b"worker")
    assert filtered(lambda: call("prctl", 15, name, 0, 0, 0)) == ("result", 0)
    assert filtered(lambda: call("prctl", 38, 1, 0, 0, 0)) == ("result", 0)


def test_personality_turns_off_no_randomisation() -> None:
    assert filtered(lambda: call("personality", 0x0040000)) == EPERM
    assert filtered(lambda: call("personality", 0x0400000)) == EPERM
    assert filtered(lambda: call("personality", 0xFFFFFFFF)) == ("result", 0)


O_CREAT, O_TMPFILE = os.O_CREAT | os.O_WRONLY, os.O_TMPFILE | os.O_WRONLY


@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID])
@pytest.mark.parametrize(
    "way", ["chmod", "fchmod", "fchmodat", "fchmodat2", "openat", "tmpfile", "mknodat"]
)
def test_no_file_becomes_set_uid(way: str, bit: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    name, fresh = str(file).encode(), str(tmp_path / "fresh").encode()
    mode = bit | 0o755
    fd = os.open(file, os.O_RDONLY)
    attempts: dict[str, Callable[[], object]] = {
        "chmod": lambda: call("chmod", name, mode),
        "fchmod": lambda: call("fchmod", fd, mode),
        "fchmodat": lambda: call("fchmodat", -100, name, mode),
        "fchmodat2": lambda: call("fchmodat2", -100, name, mode, 0),
        "openat": lambda: call("openat", -100, fresh, O_CREAT, mode),
        "tmpfile": lambda: call("openat", -100, str(tmp_path).encode(), O_TMPFILE, mode),
        "mknodat": lambda: call("mknodat", -100, fresh, stat.S_IFREG | mode, 0),
    }
    try:
        assert filtered(attempts[way]) == EPERM
    finally:
        os.close(fd)
    assert not file.stat().st_mode & 0o7000
    assert not (tmp_path / "fresh").exists()


def test_other_modes_can_be_set(tmp_path: Path) -> None:
    def use() -> int:
        file = tmp_path / "file"
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        file.chmod(0o1777)
        os.mkfifo(tmp_path / "fifo", 0o622)
        return stat.S_IMODE(file.stat().st_mode)

    assert filtered(use) == ("result", 0o1777)


def test_the_mode_of_an_open_that_creates_nothing_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    name = str(tmp_path / "file").encode()
    outcome = filtered(lambda: call("openat", -100, name, os.O_RDONLY, 0o7777))
    assert outcome[0] == "result"  # type: ignore[index]


def test_trusted_may_set_the_group_bit_but_not_the_user_bit(tmp_path: Path) -> None:
    name = str(tmp_path).encode()
    assert filtered(lambda: call("chmod", name, 0o2755), "trusted") == ("result", 0)
    assert filtered(lambda: call("chmod", name, 0o4755), "trusted") == EPERM


def test_code_inside_can_filter_itself_further() -> None:
    allow_all = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
    assert filtered(lambda: load(allow_all)) == ("result", 0)


LOADER = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
class SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
signal.alarm(50)
split = sys.argv.index("--")
assert libc.prctl(38, 1, 0, 0, 0) == 0
for path in sys.argv[1:split]:
    program = open(path, "rb").read()
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = SockFprog(len(program) // 8, ctypes.addressof(buffer))
    assert libc.syscall(317, 1, 0, ctypes.byref(fprog)) == 0
os.execvp(sys.argv[split + 1], sys.argv[split + 1:])
"""


def output_of(profile: str, tmp_path: Path, *command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    files = []
    for at, program in enumerate(compile_filters(load_profile(profile).seccomp)):
        files.append(str(tmp_path / f"{at}.bpf"))
        Path(files[-1]).write_bytes(program)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOADER, *files, "--", *command],
        capture_output=True,
        text=True,
        timeout=55,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PYTHON_AT_WORK = """
import asyncio, ctypes, mmap, multiprocessing, os, pathlib, queue, resource, select, shutil
import signal, socket, sqlite3, subprocess, tempfile, threading, time, concurrent.futures as cf

def square(number):
    return number * number

if __name__ == "__main__":
    with cf.ThreadPoolExecutor(8) as threads:
        assert list(threads.map(square, range(50)))[-1] == 2401
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(square, [3]) == [9]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(square, [4]) == [16]
    assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        assert (await process.communicate(b"hello"))[0] == b"hello"
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        reader, _ = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
    asyncio.run(main())
    with tempfile.TemporaryDirectory() as directory:
        base = sqlite3.connect(directory + "/a.db")
        base.execute("create table t (x)")
        base.close()
        shutil.copytree(directory, directory + "/copy")
        pathlib.Path(directory, "link").symlink_to("a.db")
    assert os.sched_getaffinity(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("done")
"""


@pytest.mark.parametrize("profile", PROFILES)
def test_python_threads_processes_and_sockets_work(profile: str, tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(PYTHON_AT_WORK)
    assert output_of(profile, tmp_path, sys.executable, str(script)) == "done"


@pytest.mark.parametrize("profile", PROFILES)
def test_shell_pipelines_and_jobs_work(profile: str, tmp_path: Path) -> None:
    script = (
        "seq 5 | sort -r | head -1; (sleep 0 & wait); cat <<< here; mkfifo f; chmod 750 f; ls f"
    )
    assert output_of(profile, tmp_path, "bash", "-c", script).split() == ["5", "here", "f"]


@pytest.mark.parametrize("profile", PROFILES)
def test_git_works(profile: str, tmp_path: Path) -> None:
    script = """
        set -e
        git init -q repo; cd repo; echo text > file; git add file
        git -c user.name=a -c user.email=a@b commit -qm first
        git clone -q . ../copy; git -C ../copy log --format=%s; git gc -q
    """
    assert output_of(profile, tmp_path, "bash", "-c", script) == "first"


NODE_AT_WORK = """
const {spawnSync} = require("child_process"), {Worker} = require("worker_threads");
const fs = require("fs"), http = require("http");
const answer = spawnSync("echo", ["from child"]).stdout.toString().trim();
fs.writeFileSync("a.txt", "x"); fs.chmodSync("a.txt", 0o600);
const server = http.createServer((_, reply) => reply.end("served")).listen(0, "127.0.0.1", () =>
  http.get({port: server.address().port, host: "127.0.0.1"}, reply => reply.on("data", data =>
    new Worker("require('worker_threads').parentPort.postMessage('worked')", {eval: true})
      .on("message", word => { console.log(answer, String(data), word); process.exit(0); }))));
"""


@pytest.mark.parametrize("profile", PROFILES)
def test_node_works(profile: str, tmp_path: Path) -> None:
    assert output_of(profile, tmp_path, "node", "-e", NODE_AT_WORK) == "from child served worked"


@pytest.mark.parametrize("profile", PROFILES)
def test_gcc_works(profile: str, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text('#include <stdio.h>\nint main(void) { puts("compiled"); }\n')
    script = "gcc -o a a.c && ./a"
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    assert output_of(profile, tmp_path, "bash", "-c", script) == "compiled"
