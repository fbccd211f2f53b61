"""What installers in a build need of the user's own settings: indexes, proxies, certificates.

The variables are given to each command and kept nowhere: an index's address may hold a password.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from localbox.errors import PolicyError
from localbox.policy import Policy, merge_overrides

# Where packages come from and whom to believe. Not the user's own certificate, which has a key.
_PIP_SETTINGS = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "no-index",
    "proxy",
    "timeout",
    "retries",
    "prefer-binary",
    "default-timeout",
    "find-links",
    "cert",
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
# Files and directories of certificates that are believed.
_AUTHORITIES = (
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)
_LOCAL = re.compile(r"(?:file://(?:localhost)?)?(/.*)")
# What every sandbox sees of this machine.
_SHOWN = ("/usr/", "/bin/", "/lib/", "/etc/ssl/", "/etc/pki/", "/etc/ca-certificates/")
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
    names = (*_VARIABLES, *_AUTHORITIES)
    variables.update({name: os.environ[name] for name in names if name in os.environ})
    return variables


def with_installer_files(policy: Policy, variables: dict[str, str]) -> Policy:
    """The policy with what the variables name on this machine to be read: indexes, certificates."""
    for name in (
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_CERT",
        *_AUTHORITIES,
    ):
        for word in variables.get(name, "").split():
            match = _LOCAL.fullmatch(word)
            if match is None:
                continue
            path = os.path.normpath(match[1])
            wanted = [path]
            if os.path.basename(path) == "simple":
                # An index; what it leads to lies beside it. Not all that does: that may be a home.
                wanted += [f"{os.path.dirname(path)}/{name}" for name in ("packages", "files")]
            for host_path in wanted:
                policy = _showing(policy, host_path)
    return policy


def _showing(policy: Policy, host_path: str) -> Policy:
    is_shown = host_path.startswith(_SHOWN) or any(
        host_path == mount.guest_path or host_path.startswith(mount.guest_path + "/")
        for mount in policy.filesystem.readonly
    )
    if is_shown or not os.path.exists(host_path):
        return policy
    try:
        return merge_overrides(policy, readonly=[host_path])
    except PolicyError:
        # Such as one in /etc: the installer will say that it is missing.
        return policy


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
