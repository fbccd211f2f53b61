"""Classic BPF, run by hand: what a compiled filter answers, for any call and any machine."""

from __future__ import annotations

import struct

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003}
MASK = 0xFFFFFFFF


def errno_action(number: int) -> int:
    return 0x00050000 | number


def run(program: bytes, number: int, args: tuple[int, ...] = (), machine: str = "x86_64") -> int:
    """Run one program over struct seccomp_data; see seccomp(2)."""
    padded = [value & 0xFFFFFFFFFFFFFFFF for value in (*args, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number & MASK, AUDIT_ARCH[machine], 0, *padded)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, k = code[at]
        at += 1
        match operation:
            case 0x20:  # ld [k]
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:  # and #k
                accumulator &= k
            case 0x05:  # ja
                at += k
            case 0x15:  # jeq
                at += if_true if accumulator == k else if_false
            case 0x25:  # jgt
                at += if_true if accumulator > k else if_false
            case 0x35:  # jge
                at += if_true if accumulator >= k else if_false
            case 0x45:  # jset
                at += if_true if accumulator & k else if_false
            case 0x06:  # ret #k
                return int(k)
            case _:
                raise AssertionError(f"operation {operation:#x}")


def verdict(
    programs: tuple[bytes, ...], number: int, args: tuple[int, ...] = (), machine: str = "x86_64"
) -> int:
    """What the kernel does with several: the strictest, and of two equal ones the last loaded."""
    answers = [run(program, number, args, machine) for program in reversed(programs)]

    def strictness(action: int) -> int:
        kind = action & 0xFFFF0000
        return kind - (1 << 32) if kind & 0x80000000 else kind

    return min(answers, key=strictness)
