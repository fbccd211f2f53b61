"""The compiler itself: libseccomp writes the BPF, this module tells it what about.

Two programs, because libseccomp lets rules say what is allowed or what is refused, not both:
one denies by default and lists what is allowed; the other allows by default and refuses certain
arguments, each with an errno of its own. Calls without a rule about arguments are allowed by
both without looking at arguments, which the kernel notices (since 5.11) and then runs neither.
"""

from __future__ import annotations

import errno
import struct
import tempfile
from pathlib import Path
from typing import Any

from localbox.errors import WallError
from localbox.policy.model import Seccomp
from localbox.policy.seccomp import kernel_version
from localbox.policy.seccomp_oci import parse_oci_profile
from localbox.policy.seccomp_rules import RULES, Match
from localbox.policy.syscall_names import COMMON_NUMBERS, HIGHEST_NUMBER

_BINARY_TREE = 2  # SCMP_FLTATR_CTL_OPTIMIZE
_X32_BIT = 0x40000000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Default actions that let a call through anyway; nothing is pretended then.
_PERMISSIVE = (0x7FFF0000, 0x7FFC0000, 0x7FF00000)  # ALLOW, LOG, TRACE


def build(seccomp: Seccomp, machine: str) -> tuple[tuple[bytes, ...], Path | None]:
    """Compile; also return the libseccomp file that did it, if it can be told.

    Raises:
        WallError: libseccomp is missing or refuses.
    """
    lib = _import_libseccomp()
    try:
        programs: tuple[bytes, ...]
        if seccomp.profile is not None:
            programs = (_oci_program(lib, seccomp.profile_json, machine),)
        else:
            arguments = _argument_program(lib, seccomp, machine)
            programs = (_chained(_main_program(lib, seccomp, machine), arguments),)
    except OSError as error:
        raise WallError(
            "seccomp",
            f"libseccomp cannot compile the filter: {error.strerror}",
            "Use libseccomp 2.5 or later.",
            errno=error.errno,
        ) from error
    return programs, _library_file()


def _import_libseccomp() -> Any:
    try:
        import pyseccomp
    except ModuleNotFoundError as error:
        raise WallError(
            "seccomp",
            "the Python package pyseccomp is missing",
            "Run `pip install pyseccomp`.",
        ) from error
    # RuntimeError: not found; OSError: not loadable; AttributeError: too old for its calls.
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise WallError(
            "seccomp",
            f"libseccomp.so.2 cannot be loaded ({error})",
            "Run `apt install libseccomp2` (Debian, Ubuntu) or `dnf install libseccomp` (Fedora).",
        ) from error
    # Where seccomp(2) itself is filtered, libseccomp concludes that KILL_PROCESS does not
    # exist. Linux 4.14 has it, and older ones are not supported.
    if pyseccomp.get_api() < 3:
        pyseccomp.set_api(3)
    return pyseccomp


def _main_program(lib: Any, seccomp: Seccomp, machine: str) -> bytes:
    """Deny by default: what is allowed, what looks absent, what kills."""
    program = _new_filter(lib, lib.ERRNO(errno.EPERM), machine)
    permits: dict[str, list[Match]] = {}
    for rule in seccomp.rules:
        for call, matches in RULES[rule].permits.items():
            permits.setdefault(call, []).extend(matches)
    for name in seccomp.permitted():
        # A plain rule would swallow the ones with conditions, so it is one or the other.
        for match in permits.get(name, [()]):
            _add(lib, program, lib.ALLOW, name, match)
    # What is denied needs no rule: it gets the default. Except that kill beats deny.
    for name in set(seccomp.enosys) - set(seccomp.deny) - set(seccomp.kill):
        _add(lib, program, lib.ERRNO(errno.ENOSYS), name, ())
    for name in seccomp.kill:
        _add(lib, program, lib.KILL_PROCESS, name, ())
    return _newer_calls_absent(machine) + _export(program)


def _chained(first: bytes, second: bytes) -> bytes:
    """Ask `second` about what `first` allows.

    As two filters they would cost every sandbox a tenth of a millisecond more to load, and each
    call that is not decided by its number alone a little more to make.
    """
    if not second:
        return first
    jump_always, allow = 0x05, struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
    count = len(first) // 8
    steps = [first[8 * index : 8 * index + 8] for index in range(count)]
    chained = (
        struct.pack("=HBBI", jump_always, 0, 0, count - index - 1) if step == allow else step
        for index, step in enumerate(steps)
    )
    return b"".join(chained) + second


def _argument_program(lib: Any, seccomp: Seccomp, machine: str) -> bytes:
    """Allow by default: refuse arguments, each with its own errno. Empty if no rule does."""
    program = _new_filter(lib, lib.ALLOW, machine)
    permitted = set(seccomp.permitted())
    any_rule = False
    for rule in seccomp.rules:
        for call, number, match in RULES[rule].refuses:
            if call in permitted:
                _add(lib, program, lib.ERRNO(number), call, match)
                any_rule = True
    return _export(program) if any_rule else b""


def _oci_program(lib: Any, text: str, machine: str) -> bytes:
    profile = parse_oci_profile(text, machine, kernel_version())
    program = _new_filter(lib, profile.default_action, machine)
    for name in profile.architectures:
        arch = getattr(lib.Arch, name.removeprefix("SCMP_ARCH_"), None)
        if arch is not None and not program.exist_arch(arch):
            program.add_arch(arch)
    for rule in profile.rules:
        number = _number(lib, rule.call)
        # libseccomp refuses rules that only repeat the default.
        if number is not None and rule.action != profile.default_action:
            program.add_rule(rule.action, number, *(lib.Arg(*arg) for arg in rule.args))
    permissive = profile.default_action & 0xFFFF0000 in _PERMISSIVE
    return (b"" if permissive else _newer_calls_absent(machine)) + _export(program)


def _new_filter(lib: Any, default_action: int, machine: str) -> Any:
    program = lib.SyscallFilter(default_action)
    arch = getattr(lib.Arch, machine.upper())
    if lib.system_arch() != arch:  # a test looking at another machine's program
        program.add_arch(arch)
        program.remove_arch(lib.system_arch())
    # int 0x80 and, on x86-64, x32: other numbers for the same calls.
    program.set_attr(lib.Attr.ACT_BADARCH, lib.KILL_PROCESS)
    program.set_attr(lib.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    return program


def _add(lib: Any, program: Any, action: int, name: str, match: Match) -> None:
    number = _number(lib, name)
    if number is not None:
        args = (lib.Arg(index, lib.MASKED_EQ, mask, value) for index, mask, value in match)
        program.add_rule(action, number, *args)


def _number(lib: Any, name: str) -> int | None:
    """The number of a call; None for one this architecture does not have."""
    if name in COMMON_NUMBERS:
        return COMMON_NUMBERS[name]
    number = lib.resolve_syscall(lib.Arch.NATIVE, name)
    # Below zero are libseccomp's stand-ins for other architectures' calls.
    return number if number >= 0 else None


def _newer_calls_absent(machine: str) -> bytes:
    """Answer ENOSYS to numbers newer than our table, before the program proper; as runc does.

    EPERM there would break every program that tries a new call and knows what to do without.
    """
    ld_abs, jeq, jge, jgt, ret = 0x20, 0x15, 0x35, 0x25, 0x06
    offset_of_arch, offset_of_number = 4, 0
    instructions = (
        (ld_abs, 0, 0, offset_of_arch),
        (jeq, 0, 4, _AUDIT_ARCH[machine]),  # foreign: to the program proper, which kills
        (ld_abs, 0, 0, offset_of_number),
        (jge, 2, 0, _X32_BIT),  # likewise
        (jgt, 0, 1, HIGHEST_NUMBER),
        (ret, 0, 0, 0x00050000 | errno.ENOSYS),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _export(program: Any) -> bytes:
    with tempfile.TemporaryFile() as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


def _library_file() -> Path | None:
    """Return the file libseccomp was mapped from."""
    try:
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            path = line.partition("/")[2]
            if "libseccomp.so" in path and not path.endswith("(deleted)"):
                return Path("/" + path)
    except (OSError, UnicodeDecodeError):
        pass
    return None
