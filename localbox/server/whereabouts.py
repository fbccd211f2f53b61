"""Where the user's servers are, for `localbox env`: a file for each, readable by nobody else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from localbox.engine import data_dir

_DIRECTORY = "servers"
# A server on this machine that does not accept in this time is none.
_PATIENCE_S = 1.0


@contextmanager
def announced(env: Mapping[str, str]) -> Iterator[None]:
    """While the block runs, `find` finds this server.

    Raises:
        SandboxException: there is no directory for it.
    """
    host_path = data_dir.subdirectory(_DIRECTORY) / f"{_port_of(env)}.json"
    data_dir.write_atomically(host_path, json.dumps(dict(env)).encode())
    try:
        yield
    finally:
        host_path.unlink(missing_ok=True)


def find(port: int | None = None) -> dict[str, str] | None:
    """The variables of the server on that port, or of the one that was started last."""
    if not data_dir.has_subdirectory(_DIRECTORY):
        return None
    found = []
    for host_path in data_dir.subdirectory(_DIRECTORY).glob("[0-9]*.json"):
        try:
            found.append((host_path.stat().st_mtime_ns, host_path, _read(host_path)))
        except (OSError, ValueError):
            continue  # it has just ended
    for _time, host_path, env in sorted(found, reverse=True, key=lambda one: one[0]):
        if port is not None and _port_of(env) != port:
            continue
        if _accepts(env):
            return env
        # Killed before it could do so itself.
        host_path.unlink(missing_ok=True)
    return None


def _read(host_path: Path) -> dict[str, str]:
    env = json.loads(host_path.read_text("utf-8"))
    if not isinstance(env, dict) or "E2B_API_URL" not in env:
        raise ValueError(f"{host_path} is not what a server writes")
    return {str(name): str(value) for name, value in env.items()}


def _accepts(env: Mapping[str, str]) -> bool:
    host = urlsplit(env["E2B_API_URL"]).hostname or ""
    try:
        socket.create_connection((host, _port_of(env) or 0), _PATIENCE_S).close()
    except OSError:
        return False
    return True


def _port_of(env: Mapping[str, str]) -> int | None:
    return urlsplit(env["E2B_API_URL"]).port
