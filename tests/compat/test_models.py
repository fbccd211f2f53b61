"""The names the package offers, and E2B's typed dictionaries that it does not export.

All it does export is compared in test_surface.py.
"""

from __future__ import annotations

import e2b_code_interpreter
import pytest
from e2b import connection_config
from e2b.sandbox import sandbox_api
from e2b.sandbox.filesystem import filesystem
from e2b_code_interpreter import charts

import localbox
from localbox import models
from tests.compat.introspection import typed_dict_shape

# What the package offers beyond E2B's package. WriteEntry lives in a submodule there.
OWN = {
    "CodeInterpreter",
    "Isolation",
    "PolicyError",
    "ProtocolError",
    "Wall",
    "WallError",
    "WriteEntry",
    "load_profile",
    "mock_e2b",
    "serve",
}

TYPED_DICTS = [
    (models.AsyncWriteEntry, filesystem.AsyncWriteEntry),
    (models.SandboxOnTimeoutKill, sandbox_api.SandboxOnTimeoutKill),
    (models.SandboxOnTimeoutPause, sandbox_api.SandboxOnTimeoutPause),
    (models.SyncWriteEntry, filesystem.SyncWriteEntry),
    (models.WriteEntry, filesystem.WriteEntry),
]


def test_the_package_offers_e2b_names_and_a_known_few_more():
    theirs = {*dir(e2b_code_interpreter), *dir(charts), "__version__"}
    assert set(localbox.__all__) - theirs == OWN


@pytest.mark.parametrize(("ours", "theirs"), TYPED_DICTS, ids=lambda side: side.__name__)
def test_typed_dictionary_has_the_keys_of_e2b(ours: type, theirs: type):
    assert typed_dict_shape(ours) == typed_dict_shape(theirs)


def test_api_params_are_those_of_e2b():
    assert models.ApiParams.__total__ is connection_config.ApiParams.__total__ is False


def test_what_a_server_says_of_an_upload_is_read_as_in_e2b():
    for answer in [
        {"name": "a", "type": "file", "path": "/a", "metadata": {"k": "v"}},
        {"name": "a", "type": "dir", "path": "/a", "metadata": {}},
        {"name": "a", "path": "/a"},
    ]:
        ours, theirs = models.WriteInfo.from_dict(answer), filesystem.WriteInfo.from_dict(answer)
        assert repr(ours) == repr(theirs)
