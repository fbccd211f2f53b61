# generated from tests/client/_async/test_git.py by scripts/unasync.py; edit that, not this
"""git in a sandbox: E2B's methods, names that look like options, and credentials."""

from __future__ import annotations

import shutil
from urllib.parse import quote

import pytest

from localbox import (
    CommandExitException,
    GitAuthException,
    GitBranches,
    GitFileStatus,
    GitStatus,
    GitUpstreamException,
    InvalidArgumentException,
    Sandbox,
    TimeoutException,
)
from tests.client._sync.git_server import PASSWORD, USERNAME, serve

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not shutil.which("git"), reason="this machine has no git"),
]

BARE = "/home/user/bare.git"
WORK = "/home/user/work"


def work(sandbox: Sandbox) -> None:
    """A bare repository, and a clone of it with one commit in it, pushed."""
    git = sandbox.git
    git.configure_user("A Name", "name@example.com")
    git.init(BARE, bare=True, initial_branch="main")
    git.clone(f"file://{BARE}", WORK)
    sandbox.files.write(f"{WORK}/first.txt", "1\n")
    git.add(WORK)
    git.commit(WORK, "first")
    git.push(WORK, "origin", "main")


def log(sandbox: Sandbox, path: str = WORK, form: str = "%s") -> str:
    result = sandbox.commands.run(f"git -C {path} log --format='{form}'")
    return result.stdout.strip()


def test_a_commit_goes_out_and_comes_back(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.git.clone(f"file://{BARE}", "other", cwd="/home/user")
    sandbox.files.write("other/second.txt", "2\n")
    sandbox.git.add("/home/user/other", ["second.txt"])
    sandbox.git.commit("/home/user/other", 'it\'s the "second"\n\n--body $x', "B", "b@c.d")
    result = sandbox.git.push("other", cwd="/home/user")
    assert (result.exit_code, "main -> main" in result.stderr) == (0, True)
    sandbox.git.pull(WORK)
    assert sandbox.files.read(f"{WORK}/second.txt") == "2\n"
    assert log(sandbox, form="%an %ae %B") == (
        'B b@c.d it\'s the "second"\n\n--body $x\n\nA Name name@example.com first'
    )


def test_status_tells_what_changed(sandbox: Sandbox) -> None:
    work(sandbox)
    assert sandbox.git.status(WORK) == GitStatus("main", "origin/main", 0, 0, False, [])
    for name in ("gone", "old name", "both"):
        sandbox.files.write(f"{WORK}/{name}", f"{name}\n" * 5)
    sandbox.git.add(WORK)
    sandbox.git.commit(WORK, "more")
    sandbox.commands.run("git mv 'old name' 'new -> name'; rm gone; echo >> both", cwd=WORK)
    sandbox.git.add(WORK, ["both"])
    sandbox.commands.run("echo >> both", cwd=WORK)
    sandbox.files.write(f"{WORK}/üñ\"tracked'\n", "")
    status = sandbox.git.status(WORK)
    assert (status.ahead, status.behind, status.has_changes) == (1, 0, True)
    assert sorted(status.file_status, key=lambda file: file.name) == [
        GitFileStatus("both", "modified", "M", "M", True),
        GitFileStatus("gone", "deleted", " ", "D", False),
        GitFileStatus("new -> name", "renamed", "R", " ", True, "old name"),
        GitFileStatus("üñ\"tracked'\n", "untracked", "?", "?", False),
    ]
    counts = (status.total_count, status.staged_count, status.unstaged_count)
    assert counts == (4, 2, 2)


def test_a_conflict_is_one(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.git.create_branch(WORK, "side")
    for branch in ("side", "main"):
        sandbox.git.checkout_branch(WORK, branch)
        sandbox.files.write(f"{WORK}/first.txt", branch)
        sandbox.files.write(f"{WORK}/new.txt", branch)
        sandbox.git.add(WORK)
        sandbox.git.commit(WORK, branch)
    with pytest.raises(CommandExitException):
        sandbox.commands.run("git merge side", cwd=WORK)
    status = sandbox.git.status(WORK)
    assert (status.has_conflicts, status.conflict_count) == (True, 2)


def test_branches_come_and_go(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.git.create_branch(WORK, "feature/ü")
    assert sandbox.git.branches(WORK) == GitBranches(["feature/ü", "main"], "feature/ü")
    sandbox.git.checkout_branch(WORK, "main")
    sandbox.git.checkout_branch(WORK, "-")
    assert sandbox.git.status(WORK).current_branch == "feature/ü"
    sandbox.git.checkout_branch(WORK, "main")
    sandbox.git.delete_branch(WORK, "feature/ü")
    sandbox.git.checkout_branch(WORK, log(sandbox, form="%H"))
    assert sandbox.git.branches(WORK) == GitBranches(["main"], None)
    assert sandbox.git.status(WORK).detached


def test_a_branch_is_checked_out_and_not_a_file_of_its_name(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.git.create_branch(WORK, "first.txt")
    sandbox.git.checkout_branch(WORK, "main")
    sandbox.files.write(f"{WORK}/first.txt", "changed")
    sandbox.git.checkout_branch(WORK, "first.txt")
    assert sandbox.files.read(f"{WORK}/first.txt") == "changed"
    assert sandbox.git.status(WORK).current_branch == "first.txt"


def test_what_was_done_is_undone(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.files.write(f"{WORK}/first.txt", "changed")
    sandbox.git.add(WORK, all=False)
    sandbox.git.restore(WORK, ["first.txt"], staged=True)
    assert not sandbox.git.status(WORK).has_staged
    sandbox.git.restore(WORK, ["."])
    assert sandbox.git.status(WORK).is_clean
    sandbox.git.commit(WORK, "empty", allow_empty=True)
    sandbox.git.reset(WORK, "hard", "HEAD~1")
    assert log(sandbox) == "first"
    sandbox.files.write(f"{WORK}/new.txt", "")
    sandbox.git.add(WORK)
    sandbox.git.reset(WORK, paths=["new.txt"])
    assert sandbox.git.status(WORK).untracked_count == 1


def test_remotes_are_added_and_changed(sandbox: Sandbox) -> None:
    work(sandbox)
    assert sandbox.git.remote_get(WORK, "origin") == f"file://{BARE}"
    assert sandbox.git.remote_get(WORK, "upstream") is None
    sandbox.git.remote_add(WORK, "upstream", f"file://{BARE}", fetch=True)
    with pytest.raises(CommandExitException, match="already exists"):
        sandbox.git.remote_add(WORK, "upstream", "file:///tmp")
    sandbox.git.remote_add(WORK, "upstream", f"file://{BARE}/", fetch=True, overwrite=True)
    assert sandbox.git.remote_get(WORK, "upstream") == f"file://{BARE}/"
    sandbox.git.remote_add(WORK, "third", "file:///tmp", overwrite=True)
    assert sandbox.git.remote_get(WORK, "third") == "file:///tmp"


def test_settings_have_scopes(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.git.set_config("a.key", "-global")
    sandbox.git.set_config("a.key", "it's 'local'", " LOCAL ", WORK)
    assert sandbox.git.get_config("a.key") == "-global"
    assert sandbox.git.get_config("a.key", "local", WORK) == "it's 'local'"
    assert sandbox.git.get_config("no.key") is None
    sandbox.git.configure_user("L", "l@example.com", "local", WORK)
    assert sandbox.git.get_config("user.email", "local", WORK) == "l@example.com"


def test_a_shallow_clone_of_one_branch(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.git.create_branch(WORK, "side")
    sandbox.git.commit(WORK, "second", allow_empty=True)
    sandbox.git.push(WORK, "origin", "side")
    sandbox.git.clone(f"file://{BARE}", "shallow", "side", 1)
    assert log(sandbox, "shallow") == "second"
    assert sandbox.git.branches("shallow").branches == ["side"]


def test_without_an_upstream_there_is_nowhere_to_go(sandbox: Sandbox) -> None:
    work(sandbox)
    sandbox.git.create_branch(WORK, "side")
    with pytest.raises(GitUpstreamException, match="set_upstream=True"):
        sandbox.git.push(WORK)
    with pytest.raises(GitUpstreamException, match="git pull"):
        sandbox.git.pull(WORK)
    # One remote is enough to know where a branch goes.
    sandbox.git.push(WORK, branch="side")
    sandbox.git.pull(WORK)


def test_options_in_names_are_not_options(sandbox: Sandbox) -> None:
    work(sandbox)
    evil = "--upload-pack=touch /tmp/evil;"
    git = sandbox.git
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        git.checkout_branch(WORK, "--orphan")
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        git.pull(WORK, evil, "main")
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        git.pull(WORK, "origin", evil)
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        git.push(WORK, "origin", "--force")
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        git.reset(WORK, target="--hard")
    with pytest.raises(CommandExitException, match="not a valid branch name"):
        git.create_branch(WORK, "--orphan")
    with pytest.raises(CommandExitException, match="not found"):
        git.delete_branch(WORK, "--all")
    with pytest.raises(CommandExitException):
        git.clone(evil, "/tmp/clone")
    git.remote_add(WORK, "--mirror=fetch", "file:///tmp")
    assert git.remote_get(WORK, "--mirror=fetch") == "file:///tmp"
    with pytest.raises(CommandExitException, match="--unset"):
        git.set_config("--unset", "user.name")
    assert git.get_config("user.name") == "A Name"
    assert not sandbox.files.exists("/tmp/evil")


@pytest.mark.parametrize("name", ["-rf", "a b", "it's", '"', "$(touch evil)", ";touch evil", "ü\n"])
def test_odd_paths_are_paths(sandbox: Sandbox, name: str) -> None:
    sandbox.git.configure_user("A Name", "name@example.com")
    sandbox.git.init(name, initial_branch="main")
    sandbox.files.write(f"./{name}/{name}", "")
    sandbox.git.add(name, [name])
    sandbox.git.commit(name, name)
    sandbox.git.clone(f"/home/user/{name}", "-copy")
    assert sandbox.files.exists(f"./-copy/{name}")
    assert not sandbox.files.exists("evil")


def test_arguments_that_cannot_be_are_refused(sandbox: Sandbox) -> None:
    git = sandbox.git
    for call in (
        lambda: git.clone("https://example.com/r.git", password="p"),
        lambda: git.clone("file:///tmp/r.git", username="u", password="p"),
        lambda: git.clone("https://example.com/r.git", username="u", password="p\nhost=evil"),
        lambda: git.push(WORK, password="p"),
        lambda: git.pull(WORK, password="p"),
        lambda: git.remote_add(WORK, "", "x"),
        lambda: git.remote_add(WORK, "x", "", overwrite=True),
        lambda: git.remote_get(WORK, ""),
        lambda: git.reset(WORK, "harder"),  # type: ignore[arg-type]
        lambda: git.restore(WORK, []),
        lambda: git.restore(WORK, ["."], staged=False, worktree=False),
        lambda: git.set_config("", "x"),
        lambda: git.set_config("a.b", "x", "everywhere"),
        lambda: git.get_config("a.b", "local"),
        lambda: git.dangerously_authenticate("u", ""),
        lambda: git.configure_user("u", ""),
    ):
        with pytest.raises(InvalidArgumentException):
            call()


def test_credentials_are_asked_for(sandbox: Sandbox) -> None:
    url = serve(sandbox) + "r.git"
    with pytest.raises(GitAuthException, match="pass username and password"):
        sandbox.git.clone(url, WORK)
    with pytest.raises(GitAuthException, match="needs a password or token"):
        sandbox.git.clone(url, WORK, username=USERNAME)
    with pytest.raises(GitAuthException, match="does not accept") as caught:
        sandbox.git.clone(url, WORK, username=USERNAME, password="wr0ng")
    assert "wr0ng" not in str(caught.value)
    sandbox.git.init(WORK)
    sandbox.git.remote_add(WORK, "origin", url)
    with pytest.raises(GitAuthException, match="git pull"):
        sandbox.git.pull(WORK, "origin", "main")
    with pytest.raises(GitAuthException, match="git pull"):
        sandbox.git.pull(WORK, branch="main", username=USERNAME, password="wr0ng")


def test_credentials_are_used_and_left_nowhere(sandbox: Sandbox) -> None:
    url = serve(sandbox) + "r.git"
    git = sandbox.git
    # It would like to keep them.
    git.set_config("credential.helper", "store")
    git.configure_user("A Name", "name@example.com")
    git.clone(url, WORK, username=USERNAME, password=PASSWORD)
    git.commit(WORK, "first", allow_empty=True)
    git.push(WORK, "origin", "main", username=USERNAME, password=PASSWORD)
    git.pull(WORK, username=USERNAME, password=PASSWORD)
    git.clone(url.replace("//", f"//{USERNAME}:{quote(PASSWORD, safe='')}@"), "other")
    assert log(sandbox, "other") == "first"
    for path in (WORK, "/home/user/other"):
        assert git.remote_get(path, "origin") == url
    left = sandbox.commands.run("grep -rl s3cret /home/user /tmp || true")
    assert left.stdout == ""
    seen = sandbox.files.read("seen")
    assert "git-remote-http" in seen
    assert "s3cret" not in seen


def test_credentials_are_stored_for_who_insists(sandbox: Sandbox) -> None:
    url = serve(sandbox) + "r.git"
    sandbox.git.clone(
        url,
        WORK,
        username=USERNAME,
        password=PASSWORD,
        dangerously_store_credentials=True,
    )
    assert "s3cret" in (sandbox.git.remote_get(WORK, "origin") or "")


def test_git_can_be_authenticated_for_good(sandbox: Sandbox) -> None:
    url = serve(sandbox)
    host = url.split("/")[2]
    sandbox.git.dangerously_authenticate(USERNAME, PASSWORD, f" {host} ", "http")
    sandbox.git.clone(f"{url}r.git", WORK)


def test_a_redirect_to_another_server_gets_no_credentials(sandbox: Sandbox) -> None:
    url = serve(sandbox) + "elsewhere/r.git"
    with pytest.raises(GitAuthException):
        sandbox.git.clone(url, WORK, username=USERNAME, password=PASSWORD)
    seen = [line.split(" ", 2) for line in sandbox.files.read("seen").splitlines()]
    assert {given for host, given, _ in seen if host.startswith("localhost")} == {"None"}


def test_a_sandbox_without_git_says_so(sandbox: Sandbox) -> None:
    sandbox.files.write(".bash_profile", "PATH=/nowhere")
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        sandbox.git.status(WORK)
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        sandbox.git.get_config("user.name")
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        sandbox.git.remote_get(WORK, "origin")
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        sandbox.git.pull(WORK)


def test_a_timeout_ends_git(sandbox: Sandbox) -> None:
    sandbox.files.write(".bash_profile", "git() { exec sleep 1000; }")
    with pytest.raises(TimeoutException):
        sandbox.git.status(WORK, timeout=0.2)


def test_variables_reach_git(sandbox: Sandbox) -> None:
    work(sandbox)
    envs = {"GIT_COMMITTER_NAME": "Some Body"}
    sandbox.git.commit(WORK, "second", allow_empty=True, envs=envs)
    assert log(sandbox, form="%cn") == "Some Body\nA Name"
