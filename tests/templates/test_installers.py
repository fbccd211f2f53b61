"""What a build takes over of the user's settings for pip and npm."""

from __future__ import annotations

from pathlib import Path

import pytest

from localbox.policy import load_profile
from localbox.templates.installers import installer_variables, with_installer_files


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_CERT", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_pip_s_file_gives_the_index(home: Path):
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://index.example/simple\n"
        "[install]\ntrusted_host =\n  a.example\n  b.example\nclient-cert = /key.pem\n"
    )
    variables = installer_variables()
    assert variables["PIP_INDEX_URL"] == "https://index.example/simple"
    assert variables["PIP_TRUSTED_HOST"] == "a.example b.example"
    assert "PIP_CLIENT_CERT" not in variables


def test_a_variable_wins_over_a_file(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / ".pip").mkdir()
    (home / ".pip" / "pip.conf").write_text("[global]\nindex-url = https://file.example/\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example/")
    assert installer_variables()["PIP_INDEX_URL"] == "https://variable.example/"


def test_no_address_is_made_up():
    variables = installer_variables()
    assert not any("pypi" in value and "PIP_INDEX_URL" in name for name, value in variables.items())
    assert variables["PIP_NO_CACHE_DIR"] == "1"


def test_a_file_that_pip_would_not_read_is_left_to_pip(home: Path):
    (home / ".pip").mkdir()
    (home / ".pip" / "pip.conf").write_text("not a configuration")
    assert "PIP_INDEX_URL" not in installer_variables()


def test_npm_s_registry_is_found_and_its_token_is_not_taken(home: Path):
    (home / ".npmrc").write_text(
        "//r.example/:_authToken=secret\nregistry = https://r.example/\nfund=false\n"
    )
    variables = installer_variables()
    assert variables["npm_config_registry"] == "https://r.example/"
    assert not any("secret" in value for value in variables.values())


def test_local_indexes_are_shown_and_nothing_beside_them(home: Path):
    for name in ("simple", "packages", "private"):
        (home / "mirror" / name).mkdir(parents=True)
    variables = {
        "PIP_INDEX_URL": f"file://{home}/mirror/simple",
        "PIP_FIND_LINKS": f"{home}/missing https://elsewhere.example/",
        "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
    }
    policy = with_installer_files(load_profile("trusted"), variables)
    assert [mount.host_path for mount in policy.filesystem.readonly] == [
        f"{home}/mirror/simple",
        f"{home}/mirror/packages",
    ]
