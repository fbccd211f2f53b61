"""Runs in the sandbox: what E2B's ready commands ask `ss`, `curl` and `pgrep`, where they lack.

Source of a program, as unpack.py; it knows no more of those tools than ready commands need.
"""

import os
import re
import sys
import urllib.error
import urllib.request

_LISTENING = "0A"


def listeners(words: list[str]) -> list[str]:
    """The lines about a port of `ss -Htuln sport = :PORT`."""
    port = int(words[-1].rpartition(":")[2])
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        try:
            with open(f"/proc/net/{kind}") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue
        for row in rows:
            listens = kind.startswith("udp") or row[3] == _LISTENING
            if listens and int(row[1].rpartition(":")[2], 16) == port:
                found.append(f"{kind} {row[1]}")
    return found


def status(words: list[str]) -> str:
    """What `curl -w "%{http_code}" URL` prints."""
    try:
        with urllib.request.urlopen(words[-1], timeout=5) as answer:  # noqa: S310
            return f"{answer.status:03}"
    except urllib.error.HTTPError as error:
        return f"{error.code:03}"
    except (OSError, ValueError):
        return "000"


def processes(words: list[str]) -> list[str]:
    """What `pgrep NAME` prints."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as file:
                name = file.read().strip()
        except OSError:
            continue
        if int(pid) not in {1, os.getpid(), os.getppid()} and re.search(words[-1], name):
            found.append(pid)
    return found


if __name__ == "__main__":
    tool, *arguments = sys.argv[1:]
    if tool == "curl":
        code = status(arguments)
        sys.stdout.write(code)
        sys.exit(7 if code == "000" else 0)
    lines = listeners(arguments) if tool == "ss" else processes(arguments)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.exit(0 if lines or tool == "ss" else 1)
