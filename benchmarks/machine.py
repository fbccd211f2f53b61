"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sys


def describe() -> dict[str, str]:
    libc, version = platform.libc_ver()
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": f"{libc} {version}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
        # Other people's work on this machine widens p95 first.
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Processor", "CPU part"):
                return value.strip()
    return "unknown"
