"""localbox.models against E2B's dataclasses, enums and typed dictionaries."""

from __future__ import annotations

import dataclasses
from enum import Enum

import e2b
import e2b_code_interpreter
import pytest
from e2b import connection_config
from e2b.sandbox import sandbox_api
from e2b.sandbox.filesystem import filesystem
from e2b_code_interpreter import charts

import localbox
from localbox import models
from tests.compat.introspection import dataclass_shape, typed_dict_shape

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
}

DATACLASSES = [
    "CommandResult",
    "EntryInfo",
    "FilesystemEvent",
    "ProcessInfo",
    "PtySize",
    "SandboxInfo",
    "WriteInfo",
]
ENUMS = ["FileType", "FilesystemEventType", "SandboxState"]
TYPED_DICTS = [
    (models.ApiParams, connection_config.ApiParams),
    (models.AsyncWriteEntry, filesystem.AsyncWriteEntry),
    (models.SandboxInfoLifecycle, sandbox_api.SandboxInfoLifecycle),
    (models.SandboxLifecycle, sandbox_api.SandboxLifecycle),
    (models.SandboxNetworkInfo, sandbox_api.SandboxNetworkInfo),
    (models.SandboxOnTimeoutKill, sandbox_api.SandboxOnTimeoutKill),
    (models.SandboxOnTimeoutPause, sandbox_api.SandboxOnTimeoutPause),
    (models.SyncWriteEntry, filesystem.SyncWriteEntry),
    (models.WriteEntry, filesystem.WriteEntry),
]


def test_the_package_offers_e2b_names_and_a_known_few_more():
    theirs = {*dir(e2b_code_interpreter), *dir(charts), "__version__"}
    assert set(localbox.__all__) - theirs == OWN


def test_every_model_the_package_offers_is_compared_here():
    classes = {
        name
        for name in localbox.__all__
        if dataclasses.is_dataclass(value := getattr(models, name, None))
        or (isinstance(value, type) and issubclass(value, Enum))
    }
    assert classes - OWN == {*DATACLASSES, *ENUMS}


@pytest.mark.parametrize("name", DATACLASSES)
def test_dataclass_has_the_fields_of_e2b_in_order(name: str):
    assert dataclass_shape(getattr(localbox, name)) == dataclass_shape(getattr(e2b, name))


@pytest.mark.parametrize("name", ENUMS)
def test_enum_has_the_members_of_e2b(name: str):
    ours, theirs = getattr(localbox, name), getattr(e2b, name)
    assert [(m.name, m.value, str(m)) for m in ours] == [(m.name, m.value, str(m)) for m in theirs]
    assert [base.__name__ for base in ours.__mro__] == [base.__name__ for base in theirs.__mro__]


@pytest.mark.parametrize(("ours", "theirs"), TYPED_DICTS, ids=lambda side: side.__name__)
def test_typed_dictionary_has_the_keys_of_e2b(ours: type, theirs: type):
    assert typed_dict_shape(ours) == typed_dict_shape(theirs)


@pytest.mark.parametrize("name", ["PtyOutput", "Stderr", "Stdout", "Username"])
def test_alias_means_the_same_type(name: str):
    assert getattr(localbox, name) is getattr(e2b, name)


def test_api_params_are_those_of_e2b():
    assert models.ApiParams.__total__ is connection_config.ApiParams.__total__ is False
