"""The template `base`: what of this machine a sandbox sees, read-only, and its own small /etc."""

from __future__ import annotations

import os
from typing import Any

HOME = "/home/user"
USER = "user"

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu")
# Of /etc only what programs need to find libraries, certificates, fonts, time zones and
# alternatives; no accounts, no hosts, no service configuration.
_ETC = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/java-17-openjdk",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/pki",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl",
    "/etc/terminfo",
    "/etc/timezone",
)

_PASSWD = f"""\
root:x:0:0:root:/root:/bin/bash
{USER}:x:1000:1000::{HOME}:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = f"root:x:0:\ntty:x:5:\n{USER}:x:1000:\nnogroup:x:65534:\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
# `commands.run` is a login shell, and the host's profile can cost more than everything else.
_PROFILE = "umask 022\n"

# `su user -c ...` as the sandbox's root; for everybody else su is a program like any other, for
# set-uid bits mean nothing here.
_PAM = """\
auth required pam_rootok.so
account required pam_permit.so
session required pam_permit.so
"""


def base_template(hostname: str, host_network: bool) -> dict[str, Any]:
    """The parts of a plan's template that every sandbox has."""
    binds: list[dict[str, Any]] = []
    symlinks: list[tuple[str, str]] = []
    copies: list[tuple[str, str]] = []
    for path in _SYSTEM + _ETC + (("/etc/resolv.conf",) if host_network else ()):
        if os.path.islink(path) and path in _SYSTEM:
            # /bin -> usr/bin and the like; a target that is not shown stays a dead link.
            symlinks.append((path, os.readlink(path)))
        elif os.path.isdir(path):
            binds.append(bind(os.path.realpath(path), path))
        elif os.path.isfile(path):
            # A mount for each would have to be copied for every sandbox.
            copies.append((os.path.realpath(path), path))
    files = [
        ("/etc/passwd", _PASSWD, 0o644),
        ("/etc/group", _GROUP, 0o644),
        ("/etc/nsswitch.conf", _NSSWITCH, 0o644),
        ("/etc/profile", _PROFILE, 0o644),
        *((f"/etc/pam.d/{name}", _PAM, 0o644) for name in ("su", "su-l", "runuser", "runuser-l")),
        ("/etc/hostname", f"{hostname}\n", 0o644),
        ("/etc/hosts", f"127.0.0.1 localhost {hostname}\n::1 localhost\n", 0o644),
    ]
    if not host_network:
        files.append(("/etc/resolv.conf", "# no network\n", 0o644))
    directories = [("/etc", 0o755), ("/home", 0o755), (HOME, 0o755), ("/root", 0o755)]
    directories += [("/var", 0o755), ("/run", 0o755), ("/mnt", 0o755), ("/opt", 0o755)]
    directories += [("/var/tmp", 0o1777)]
    return {
        "binds": binds,
        "copies": copies,
        "symlinks": [*symlinks, ("/var/run", "/run")],
        "files": files,
        "directories": directories,
    }


def bind(source: str, target: str, *, writable: bool = False) -> dict[str, Any]:
    return {
        "source": source,
        "target": target,
        "file": not os.path.isdir(source),
        "writable": writable,
        "late": None,
    }
