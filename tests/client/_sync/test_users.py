# generated from tests/client/_async/test_users.py by scripts/unasync.py; edit that, not this
"""`user=`: what is done as root, by an agent of its own that is made when first asked for."""

from __future__ import annotations

import os

import pytest

from localbox import (
    AuthenticationException,
    CommandExitException,
    FileNotFoundException,
    NotFoundException,
    Sandbox,
    SandboxException,
    SandboxNotRunningException,
)
from localbox.models import PtySize
from tests.client._sync.doing import all_at_once

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="an ordinary user has one id to give")


@needs_root
def test_root_is_uid_0_in_its_own_home(sandbox: Sandbox) -> None:
    result = sandbox.commands.run("id -u; id -g; id -un; pwd; echo ~", user="root")
    assert result.stdout == "0\n0\nroot\n/root\n/root\n"


@needs_root
def test_roots_variables_are_the_sandboxs_but_for_its_name_and_home() -> None:
    with Sandbox.create(envs={"MINE": "1", "OTHER": "1"}) as sandbox:
        result = sandbox.commands.run(
            "echo $HOME $USER $LOGNAME $MINE $OTHER", user="root", envs={"OTHER": "2"}
        )
    assert result.stdout == "/root root root 1 2\n"


@needs_root
def test_the_default_user_stays_user(sandbox: Sandbox) -> None:
    sandbox.commands.run("true", user="root")
    assert sandbox.commands.run("id -un").stdout == "user\n"
    assert sandbox.commands.run("id -un", user="user").stdout == "user\n"


@needs_root
def test_files_of_root_are_roots_and_relative_paths_its_homes(sandbox: Sandbox) -> None:
    written = sandbox.files.write("notes/file", "x", user="root")
    assert written.path == "/root/notes/file"
    info = sandbox.files.get_info("notes/file", user="root")
    assert (info.owner, info.group) == ("root", "root")
    assert sandbox.files.read("~/notes/file", user="root") == "x"
    assert sandbox.files.exists("notes", user="root")
    assert sandbox.files.make_dir("other", user="root")
    sandbox.files.rename("notes/file", "other/file", user="root")
    assert [e.name for e in sandbox.files.list("other", user="root")] == ["file"]
    sandbox.files.remove("other", user="root")
    assert not sandbox.files.exists("/root/other", user="root")
    assert not sandbox.files.exists("notes/file")


@needs_root
def test_the_user_cannot_look_into_what_is_roots(sandbox: Sandbox) -> None:
    sandbox.files.write("/tmp/secret", "of root", user="root")
    sandbox.files.write("secret", "of root", user="root")
    sandbox.commands.run("chmod 600 /tmp/secret /root/secret", user="root")
    for path in ("/tmp/secret", "/root/secret"):
        with pytest.raises(SandboxException):
            sandbox.files.read(path)
    with pytest.raises(CommandExitException):
        sandbox.commands.run("echo mine > /tmp/secret")
    assert sandbox.files.read("/tmp/secret", user="root") == "of root"


@needs_root
def test_root_owns_gives_away_and_reads_what_is_the_users(sandbox: Sandbox) -> None:
    sandbox.files.write("private", "of user")
    sandbox.commands.run("chmod 000 private")
    assert sandbox.files.read("/home/user/private", user="root") == "of user"
    sandbox.commands.run("chown root:root /home/user/private", user="root")
    assert sandbox.files.get_info("private").owner == "root"
    sandbox.commands.run("chown 33:34 /home/user/private", user="root")
    info = sandbox.files.get_info("private")
    assert (info.owner, info.group) == ("33", "34")
    sandbox.files.write("gift", "for user", user="root")
    sandbox.commands.run("mv gift /home/user; chown user: /home/user/gift", user="root")
    sandbox.files.write("gift", "mine now")


@needs_root
@pytest.mark.parametrize(
    "become",
    [
        "su user -c",
        "runuser -u user -- sh -c",
        "setpriv --reuid=user --regid=user --init-groups sh -c",
    ],
)
def test_root_can_become_the_user_and_is_then_without_power(sandbox: Sandbox, become: str) -> None:
    sandbox.files.write("/root/secret", "x", user="root")
    sandbox.commands.run("chmod 600 /root/secret", user="root")
    command = f"{become} 'id -u; id -G; grep -E Cap[PEA] /proc/self/status; cat /root/secret'"
    with pytest.raises(CommandExitException) as caught:
        sandbox.commands.run(command, user="root")
    uid, gids, *capabilities = caught.value.stdout.splitlines()
    assert (uid, gids) == ("1000", "1000")
    assert {line.split()[1].strip("0") for line in capabilities} == {""}
    assert len(capabilities) == 3
    assert "Permission denied" in caught.value.stderr


@needs_root
def test_commands_of_both_users_are_listed_and_found_by_their_pid(
    sandbox: Sandbox,
) -> None:
    mine = sandbox.commands.run("cat", background=True, stdin=True)
    roots = sandbox.commands.run("cat", background=True, stdin=True, user="root")
    assert {p.pid for p in sandbox.commands.list()} == {mine.pid, roots.pid}
    for pid, text in ((mine.pid, "to user"), (roots.pid, "to root")):
        again = sandbox.commands.connect(pid)
        sandbox.commands.send_stdin(pid, text)
        sandbox.commands.close_stdin(pid)
        assert again.wait().exit_code == 0
    assert (mine.wait().stdout, roots.wait().stdout) == ("to user", "to root")
    assert sandbox.commands.list() == []
    with pytest.raises(NotFoundException):
        sandbox.commands.send_stdin(roots.pid, "x")


@needs_root
def test_commands_of_both_users_are_killed_by_their_pid(sandbox: Sandbox) -> None:
    mine = sandbox.commands.run("sleep 100", background=True)
    roots = sandbox.commands.run("su user -c 'sleep 100'", background=True, user="root")
    assert sandbox.commands.kill(roots.pid)
    assert sandbox.commands.kill(mine.pid)
    for handle in (mine, roots):
        with pytest.raises(CommandExitException) as caught:
            handle.wait()
        assert caught.value.error == "signal: killed"
        assert not handle.kill()


@needs_root
def test_a_terminal_can_be_roots(sandbox: Sandbox) -> None:
    seen = bytearray()
    terminal = sandbox.pty.create(PtySize(24, 80), user="root")
    sandbox.pty.resize(terminal.pid, PtySize(30, 90))
    sandbox.pty.send_stdin(terminal.pid, b"echo $(id -un) on $(stty size)\nexit\n")
    terminal.wait(on_pty=seen.extend)
    assert b"root on 30 90" in seen


@needs_root
def test_an_agent_of_root_that_was_killed_is_made_again(sandbox: Sandbox) -> None:
    sandbox.files.write("kept", "x", user="root")
    with pytest.raises(SandboxException, match="agent of root") as caught:
        sandbox.commands.run("kill -9 $PPID; sleep 100", user="root")
    assert not isinstance(caught.value, SandboxNotRunningException)
    assert sandbox.files.read("kept", user="root") == "x"
    assert sandbox.commands.run("id -u", user="root").stdout == "0\n"


@needs_root
def test_all_who_ask_for_root_at_once_get_the_same_agent(sandbox: Sandbox) -> None:
    def ask() -> str:
        return str(sandbox.commands.run("echo $PPID", user="root").stdout)

    assert len(set(all_at_once([ask] * 10))) == 1


@needs_root
def test_isolation_says_what_root_may_do_once_there_is_one(sandbox: Sandbox) -> None:
    before = sandbox.isolation
    assert not any("root:" in wall.detail for wall in before)
    sandbox.commands.run("true", user="root")
    details = {wall.name: wall.detail for wall in sandbox.isolation}
    assert "root: chown, dac_override, fowner, kill, setgid, setuid" in details["capabilities"]
    assert [wall.name for wall in sandbox.isolation] == [wall.name for wall in before]


@needs_root
def test_root_ends_with_its_sandbox(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 100", background=True, user="root")
    sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        handle.wait()
    with pytest.raises(SandboxNotRunningException):
        sandbox.commands.run("true", user="root")


def test_a_user_there_is_not_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationException, match="nobody-here"):
        sandbox.commands.run("true", user="nobody-here")
    with pytest.raises(AuthenticationException, match="nobody-here"):
        sandbox.files.read("x", user="nobody-here")


def test_a_profile_can_forbid_root() -> None:
    with Sandbox.create(profile="strict") as sandbox:
        with pytest.raises(AuthenticationException, match="root_user: false"):
            sandbox.commands.run("true", user="root")
        with pytest.raises(AuthenticationException, match="'strict'"):
            sandbox.files.write("x", "x", user="root")
        with pytest.raises(FileNotFoundException):
            sandbox.files.read("x")


@pytest.mark.skipif(ROOT, reason="root has ids for both")
def test_without_root_outside_there_is_none_inside_and_the_error_says_so(
    sandbox: Sandbox,
) -> None:
    for _ in range(2):
        with pytest.raises(AuthenticationException, match="run the program as root"):
            sandbox.commands.run("true", user="root")
    assert sandbox.commands.run("id -un").stdout == "user\n"
