"""localbox's own errors, and what E2B's need to survive a trip between processes."""

from __future__ import annotations

import errno
import pickle
import re

import pytest

from localbox import errors


def test_wall_error_names_the_wall_the_reason_and_the_fix():
    error = errors.WallError(
        "landlock",
        "landlock_create_ruleset: EOPNOTSUPP",
        'Boot with "lsm=landlock".',
        errno=errno.EOPNOTSUPP,
    )
    assert str(error) == (
        'cannot build wall "landlock": landlock_create_ruleset: EOPNOTSUPP. '
        'Boot with "lsm=landlock".'
    )
    assert (error.wall, error.reason, error.fix, error.errno) == (
        "landlock",
        "landlock_create_ruleset: EOPNOTSUPP",
        'Boot with "lsm=landlock".',
        errno.EOPNOTSUPP,
    )


def test_wall_error_does_not_double_the_full_stop():
    assert str(errors.WallError("cgroup", "no delegation.", "Do it.")) == (
        'cannot build wall "cgroup": no delegation. Do it.'
    )


def test_wall_error_knows_no_errno_unless_told():
    assert errors.WallError("cgroup", "no delegation", "Do it.").errno is None


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (errors.PolicyError("x"), errors.InvalidArgumentException),
        (errors.WallError("w", "r", "f"), errors.SandboxException),
        (errors.ProtocolError("x"), errors.SandboxException),
    ],
)
def test_own_errors_are_caught_with_those_of_e2b(error: Exception, parent: type):
    assert isinstance(error, parent)


@pytest.mark.parametrize(
    "error",
    [
        errors.WallError("seccomp", "EPERM", "Do it.", errno=errno.EPERM),
        errors.CommandExitException(stderr="e", stdout="o", exit_code=2, error=None),
        errors.CommandExitException("e", "o", 2, "exit status 2"),
        errors.SandboxException("x", status_code=500),
        errors.RateLimitException("x"),
        errors.GuestUnresponsiveException("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_survives_pickling(error: Exception):
    # Worker processes send their errors home this way.
    error.add_note("seen in worker 3")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_command_exit_is_also_the_result():
    error = errors.CommandExitException(stderr="e", stdout="o", exit_code=2, error=None)
    assert (error.stderr, error.stdout, error.exit_code, error.error) == ("e", "o", 2, None)
    assert error == errors.CommandExitException(stderr="e", stdout="o", exit_code=2, error=None)


def test_command_exit_can_be_put_in_a_set():
    first = errors.CommandExitException(stderr="", stdout="", exit_code=1, error=None)
    second = errors.CommandExitException(stderr="", stdout="", exit_code=1, error=None)
    assert len({first, second}) == 1


def test_the_drawn_tree_is_the_real_one():
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.fullmatch(r"    ([|` ]*)(?:- ?)?(\w+)(?: {2,}.*)?", line):
            depth = (len(match[1]) + 2) // 3
            del path[depth:]
            drawn[match[2]] = path[-1] if path else ""
            path.append(match[2])
    drawn.pop("Exception")
    real = {name: getattr(errors, name).__base__.__name__ for name in errors.__all__}
    assert drawn == real
