"""localbox.errors against e2b.exceptions: names, parents, construction, text."""

from __future__ import annotations

import inspect

import e2b
import e2b.exceptions
import pytest
from e2b.sandbox.commands.command_handle import CommandExitException as TheirExit

import localbox
from localbox import errors

THEIRS = {
    name: value
    for name, value in vars(e2b.exceptions).items()
    if inspect.isclass(value) and issubclass(value, BaseException)
} | {"CommandExitException": TheirExit}
OWN = {"PolicyError", "ProtocolError", "WallError"}


def lineage(exception: type) -> list[str]:
    return [parent.__name__ for parent in exception.__mro__]


def test_every_exception_of_e2b_exists_and_nothing_unannounced_does():
    # E2B keeps some in other modules; tests/compat/surface.py compares those.
    elsewhere = {name for name in errors.__all__ if hasattr(e2b, name)}
    assert set(errors.__all__) == set(THEIRS) | elsewhere | OWN


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_exception_has_the_parents_e2b_gives_it(name: str):
    assert lineage(getattr(errors, name)) == lineage(THEIRS[name])


@pytest.mark.parametrize("name", sorted(THEIRS.keys() - {"CommandExitException"}))
def test_exception_is_built_and_shown_as_e2b_does(name: str):
    ours, theirs = getattr(errors, name)("what failed"), THEIRS[name]("what failed")
    assert (str(ours), ours.args) == (str(theirs), theirs.args)
    assert getattr(ours, "status_code", "none") == getattr(theirs, "status_code", "none")
    assert getattr(ours, "code", "none") == getattr(theirs, "code", "none")


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_exception_takes_the_arguments_e2b_takes(name: str):
    def parameters(exception: type) -> list[tuple[str, object]]:
        listed = inspect.signature(exception.__init__).parameters.values()
        return [(parameter.name, parameter.default) for parameter in listed]

    assert parameters(getattr(errors, name)) == parameters(THEIRS[name])


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_exception_is_reached_from_the_package_as_in_e2b(name: str):
    assert getattr(localbox, name) is getattr(errors, name)


@pytest.mark.parametrize("stderr", ["no such file\n", "", None])
def test_command_exit_reads_as_in_e2b(stderr: str | None):
    fields = {"stderr": stderr, "stdout": "some", "exit_code": 2, "error": "exit status 2"}
    ours, theirs = errors.CommandExitException(**fields), TheirExit(**fields)
    assert str(ours) == str(theirs)
    assert repr(ours) == repr(theirs)
    assert ours.status_code == theirs.status_code
