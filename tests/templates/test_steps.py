"""What steps mean, as pure functions."""

from __future__ import annotations

import pytest

from localbox.errors import BuildException
from localbox.templates.steps import State, chain, check_user, expand, place_of, places_in

SHOWN = ["/usr", "/bin", "/etc/ssl", "/etc/passwd", "/home/user", "/tmp", "/var/tmp", "/opt/venv"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/app", "/app"),
        ("/app/deep/er", "/app"),
        ("/opt/tool/bin", "/opt/tool"),
        ("/opt", None),
        ("/opt/venv/lib", None),
        ("/etc/my/conf", "/etc/my"),
        ("/etc/ssl/x", None),
        ("/etc", None),
        ("/home/user/x", None),
        ("/home/me/x", "/home/me"),
        ("/var/lib/data", "/var/lib"),
        ("/var/tmp", None),
        ("/usr/lib/x", None),
        ("/usr/src/app", "/usr/src"),
        ("/proc/x", None),
        ("/dev/x", None),
        ("/", None),
    ],
)
def test_a_place_covers_nothing_and_is_as_near_to_the_top_as_can_be(path: str, place: str | None):
    assert place_of(path, SHOWN) == place


@pytest.mark.parametrize(
    ("command", "places"),
    [
        ("mkdir -p /data '/srv/x y' && true", {"/data", "/srv"}),
        ("git clone https://example.com/a/b.git /code/b", {"/code"}),
        ("awk '/pattern/ {print}' /tmp/x/y", set()),
        ("echo x > /out/file; X=/y/z ./run", {"/out", "/y"}),
        ("sed -i s/a/b/c/ f", set()),
        ("ls /usr/bin/env", set()),
    ],
)
def test_commands_say_where_they_write(command: str, places: set[str]):
    assert places_in(command, SHOWN) == places


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A/${A}x", "a/ax"),
        ("${NONE:-b}${NONE-c}${EMPTY:-d}${EMPTY-e}", "bcd"),
        ("${A:+b}${NONE:+c}${EMPTY:+d}${EMPTY+e}", "be"),
        (r"\$A $NONE.", "$A ."),
        ("100% $ ${", "100% $ ${"),
        ("$(date) `date`", "$(date) `date`"),
    ],
)
def test_variables_are_expanded_and_commands_are_not(text: str, value: str):
    assert expand(text, {"A": "a", "EMPTY": ""}) == value


def test_paths_are_relative_to_the_working_directory():
    state = State().with_workdir("/app").with_workdir("src/../lib")
    assert state.workdir == "/app/lib"
    assert state.absolute("x/") == "/app/lib/x/"
    assert state.absolute("~/x") == "/home/user/x"
    assert state.absolute("/") == "/"
    assert state.absolute(".") == "/app/lib"


def test_users_are_the_two_there_are():
    for user in ("user", "root", "root:root", "1000:1000"):
        check_user(user)
    with pytest.raises(BuildException, match="no user 'www-data'"):
        check_user("www-data")


def test_a_key_depends_on_all_that_came_before():
    keys = {chain("", "a"), chain("", "b"), chain(chain("", "a"), "b"), chain("", "a", "b")}
    assert len(keys) == 4
