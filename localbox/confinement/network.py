"""The sandbox's own network namespace: nothing in it but, if asked for, a loopback interface."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        # struct ifreq: the name, then flags. A new lo has no flags worth keeping but IFF_LOOPBACK,
        # which the kernel does not let us clear.
        request = struct.pack("16sh22x", b"lo", _IFF_UP)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, request)
