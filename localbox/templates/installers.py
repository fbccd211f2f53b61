"""What installers in a build need to know of the user's own settings: indexes, proxies.

It is given to each command and kept nowhere: an index's address may hold a password.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Where packages come from. Not the paths of certificates and keys: sandboxes do not see them.
_PIP_SETTINGS = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "no-index",
    "proxy",
    "timeout",
    "retries",
    "prefer-binary",
)
_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
)
# A cache inside would become part of the template.
_ALWAYS = {
    "PIP_NO_CACHE_DIR": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "npm_config_update_notifier": "false",
}


def installer_variables() -> dict[str, str]:
    """Environment variables for the commands of a build."""
    variables = dict(_ALWAYS)
    for path in _pip_files():
        variables.update(_pip_settings(path))
    for setting in _PIP_SETTINGS:
        name = _variable(setting)
        if name in os.environ:
            variables[name] = os.environ[name]
    registry = _npm_registry()
    if registry is not None:
        variables["npm_config_registry"] = registry
    variables.update({name: os.environ[name] for name in _VARIABLES if name in os.environ})
    return variables


def _variable(setting: str) -> str:
    return f"PIP_{setting.upper().replace('-', '_')}"


def _pip_files() -> Iterator[str]:
    """In pip's order, what comes later winning."""
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    for directory in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep):
        yield f"{directory}/pip/pip.conf"
    yield "/etc/pip.conf"
    home = Path.home()
    yield str(home / ".pip" / "pip.conf")
    yield os.path.join(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    yield os.path.join(sys.prefix, "pip.conf")
    if chosen:
        yield chosen


def _pip_settings(path: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, "utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # pip will not read it either, and it is pip's to say so.
        return {}
    found: dict[str, str] = {}
    for section in ("global", "install"):
        for setting in _PIP_SETTINGS:
            value = parser.get(section, setting, fallback=None)
            value = value or parser.get(section, setting.replace("-", "_"), fallback=None)
            if value:
                found[_variable(setting)] = " ".join(value.split())
    return found


def _npm_registry() -> str | None:
    path = os.environ.get("NPM_CONFIG_USERCONFIG") or Path.home() / ".npmrc"
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and name.strip() == "registry":
            return value.strip()
    return None
