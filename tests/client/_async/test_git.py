"""git in a sandbox: E2B's methods, names that look like options, and credentials."""

from __future__ import annotations

import shutil
from urllib.parse import quote

import pytest

from localbox import (
    AsyncSandbox,
    CommandExitException,
    GitAuthException,
    GitBranches,
    GitFileStatus,
    GitStatus,
    GitUpstreamException,
    InvalidArgumentException,
    TimeoutException,
)
from tests.client._async.git_server import PASSWORD, USERNAME, serve

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not shutil.which("git"), reason="this machine has no git"),
]

BARE = "/home/user/bare.git"
WORK = "/home/user/work"


async def work(sandbox: AsyncSandbox) -> None:
    """A bare repository, and a clone of it with one commit in it, pushed."""
    git = sandbox.git
    await git.configure_user("A Name", "name@example.com")
    await git.init(BARE, bare=True, initial_branch="main")
    await git.clone(f"file://{BARE}", WORK)
    await sandbox.files.write(f"{WORK}/first.txt", "1\n")
    await git.add(WORK)
    await git.commit(WORK, "first")
    await git.push(WORK, "origin", "main")


async def log(sandbox: AsyncSandbox, path: str = WORK, form: str = "%s") -> str:
    result = await sandbox.commands.run(f"git -C {path} log --format='{form}'")
    return result.stdout.strip()


async def test_a_commit_goes_out_and_comes_back(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.git.clone(f"file://{BARE}", "other", cwd="/home/user")
    await sandbox.files.write("other/second.txt", "2\n")
    await sandbox.git.add("/home/user/other", ["second.txt"])
    await sandbox.git.commit("/home/user/other", 'it\'s the "second"\n\n--body $x', "B", "b@c.d")
    result = await sandbox.git.push("other", cwd="/home/user")
    assert (result.exit_code, "main -> main" in result.stderr) == (0, True)
    await sandbox.git.pull(WORK)
    assert await sandbox.files.read(f"{WORK}/second.txt") == "2\n"
    assert await log(sandbox, form="%an %ae %B") == (
        'B b@c.d it\'s the "second"\n\n--body $x\n\nA Name name@example.com first'
    )


async def test_status_tells_what_changed(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    assert await sandbox.git.status(WORK) == GitStatus("main", "origin/main", 0, 0, False, [])
    for name in ("gone", "old name", "both"):
        await sandbox.files.write(f"{WORK}/{name}", f"{name}\n" * 5)
    await sandbox.git.add(WORK)
    await sandbox.git.commit(WORK, "more")
    await sandbox.commands.run("git mv 'old name' 'new -> name'; rm gone; echo >> both", cwd=WORK)
    await sandbox.git.add(WORK, ["both"])
    await sandbox.commands.run("echo >> both", cwd=WORK)
    await sandbox.files.write(f"{WORK}/üñ\"tracked'\n", "")
    status = await sandbox.git.status(WORK)
    assert (status.ahead, status.behind, status.has_changes) == (1, 0, True)
    assert sorted(status.file_status, key=lambda file: file.name) == [
        GitFileStatus("both", "modified", "M", "M", True),
        GitFileStatus("gone", "deleted", " ", "D", False),
        GitFileStatus("new -> name", "renamed", "R", " ", True, "old name"),
        GitFileStatus("üñ\"tracked'\n", "untracked", "?", "?", False),
    ]
    counts = (status.total_count, status.staged_count, status.unstaged_count)
    assert counts == (4, 2, 2)


async def test_a_conflict_is_one(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.git.create_branch(WORK, "side")
    for branch in ("side", "main"):
        await sandbox.git.checkout_branch(WORK, branch)
        await sandbox.files.write(f"{WORK}/first.txt", branch)
        await sandbox.files.write(f"{WORK}/new.txt", branch)
        await sandbox.git.add(WORK)
        await sandbox.git.commit(WORK, branch)
    with pytest.raises(CommandExitException):
        await sandbox.commands.run("git merge side", cwd=WORK)
    status = await sandbox.git.status(WORK)
    assert (status.has_conflicts, status.conflict_count) == (True, 2)


async def test_branches_come_and_go(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.git.create_branch(WORK, "feature/ü")
    assert await sandbox.git.branches(WORK) == GitBranches(["feature/ü", "main"], "feature/ü")
    await sandbox.git.checkout_branch(WORK, "main")
    await sandbox.git.checkout_branch(WORK, "-")
    assert (await sandbox.git.status(WORK)).current_branch == "feature/ü"
    await sandbox.git.checkout_branch(WORK, "main")
    await sandbox.git.delete_branch(WORK, "feature/ü")
    await sandbox.git.checkout_branch(WORK, await log(sandbox, form="%H"))
    assert await sandbox.git.branches(WORK) == GitBranches(["main"], None)
    assert (await sandbox.git.status(WORK)).detached


async def test_a_branch_is_checked_out_and_not_a_file_of_its_name(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.git.create_branch(WORK, "first.txt")
    await sandbox.git.checkout_branch(WORK, "main")
    await sandbox.files.write(f"{WORK}/first.txt", "changed")
    await sandbox.git.checkout_branch(WORK, "first.txt")
    assert await sandbox.files.read(f"{WORK}/first.txt") == "changed"
    assert (await sandbox.git.status(WORK)).current_branch == "first.txt"


async def test_what_was_done_is_undone(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.files.write(f"{WORK}/first.txt", "changed")
    await sandbox.git.add(WORK, all=False)
    await sandbox.git.restore(WORK, ["first.txt"], staged=True)
    assert not (await sandbox.git.status(WORK)).has_staged
    await sandbox.git.restore(WORK, ["."])
    assert (await sandbox.git.status(WORK)).is_clean
    await sandbox.git.commit(WORK, "empty", allow_empty=True)
    await sandbox.git.reset(WORK, "hard", "HEAD~1")
    assert await log(sandbox) == "first"
    await sandbox.files.write(f"{WORK}/new.txt", "")
    await sandbox.git.add(WORK)
    await sandbox.git.reset(WORK, paths=["new.txt"])
    assert (await sandbox.git.status(WORK)).untracked_count == 1


async def test_remotes_are_added_and_changed(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    assert await sandbox.git.remote_get(WORK, "origin") == f"file://{BARE}"
    assert await sandbox.git.remote_get(WORK, "upstream") is None
    await sandbox.git.remote_add(WORK, "upstream", f"file://{BARE}", fetch=True)
    with pytest.raises(CommandExitException, match="already exists"):
        await sandbox.git.remote_add(WORK, "upstream", "file:///tmp")
    await sandbox.git.remote_add(WORK, "upstream", f"file://{BARE}/", fetch=True, overwrite=True)
    assert await sandbox.git.remote_get(WORK, "upstream") == f"file://{BARE}/"
    await sandbox.git.remote_add(WORK, "third", "file:///tmp", overwrite=True)
    assert await sandbox.git.remote_get(WORK, "third") == "file:///tmp"


async def test_settings_have_scopes(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.git.set_config("a.key", "-global")
    await sandbox.git.set_config("a.key", "it's 'local'", " LOCAL ", WORK)
    assert await sandbox.git.get_config("a.key") == "-global"
    assert await sandbox.git.get_config("a.key", "local", WORK) == "it's 'local'"
    assert await sandbox.git.get_config("no.key") is None
    await sandbox.git.configure_user("L", "l@example.com", "local", WORK)
    assert await sandbox.git.get_config("user.email", "local", WORK) == "l@example.com"


async def test_a_shallow_clone_of_one_branch(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.git.create_branch(WORK, "side")
    await sandbox.git.commit(WORK, "second", allow_empty=True)
    await sandbox.git.push(WORK, "origin", "side")
    await sandbox.git.clone(f"file://{BARE}", "shallow", "side", 1)
    assert await log(sandbox, "shallow") == "second"
    assert (await sandbox.git.branches("shallow")).branches == ["side"]


async def test_without_an_upstream_there_is_nowhere_to_go(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    await sandbox.git.create_branch(WORK, "side")
    with pytest.raises(GitUpstreamException, match="set_upstream=True"):
        await sandbox.git.push(WORK)
    with pytest.raises(GitUpstreamException, match="git pull"):
        await sandbox.git.pull(WORK)
    # One remote is enough to know where a branch goes.
    await sandbox.git.push(WORK, branch="side")
    await sandbox.git.pull(WORK)


async def test_options_in_names_are_not_options(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    evil = "--upload-pack=touch /tmp/evil;"
    git = sandbox.git
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        await git.checkout_branch(WORK, "--orphan")
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        await git.pull(WORK, evil, "main")
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        await git.pull(WORK, "origin", evil)
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        await git.push(WORK, "origin", "--force")
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        await git.reset(WORK, target="--hard")
    with pytest.raises(CommandExitException, match="not a valid branch name"):
        await git.create_branch(WORK, "--orphan")
    with pytest.raises(CommandExitException, match="not found"):
        await git.delete_branch(WORK, "--all")
    with pytest.raises(CommandExitException):
        await git.clone(evil, "/tmp/clone")
    await git.remote_add(WORK, "--mirror=fetch", "file:///tmp")
    assert await git.remote_get(WORK, "--mirror=fetch") == "file:///tmp"
    with pytest.raises(CommandExitException, match="--unset"):
        await git.set_config("--unset", "user.name")
    assert await git.get_config("user.name") == "A Name"
    assert not await sandbox.files.exists("/tmp/evil")


@pytest.mark.parametrize("name", ["-rf", "a b", "it's", '"', "$(touch evil)", ";touch evil", "ü\n"])
async def test_odd_paths_are_paths(sandbox: AsyncSandbox, name: str) -> None:
    await sandbox.git.configure_user("A Name", "name@example.com")
    await sandbox.git.init(name, initial_branch="main")
    await sandbox.files.write(f"./{name}/{name}", "")
    await sandbox.git.add(name, [name])
    await sandbox.git.commit(name, name)
    await sandbox.git.clone(f"/home/user/{name}", "-copy")
    assert await sandbox.files.exists(f"./-copy/{name}")
    assert not await sandbox.files.exists("evil")


async def test_arguments_that_cannot_be_are_refused(sandbox: AsyncSandbox) -> None:
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
            await call()


async def test_credentials_are_asked_for(sandbox: AsyncSandbox) -> None:
    url = await serve(sandbox) + "r.git"
    with pytest.raises(GitAuthException, match="pass username and password"):
        await sandbox.git.clone(url, WORK)
    with pytest.raises(GitAuthException, match="needs a password or token"):
        await sandbox.git.clone(url, WORK, username=USERNAME)
    with pytest.raises(GitAuthException, match="does not accept") as caught:
        await sandbox.git.clone(url, WORK, username=USERNAME, password="wr0ng")
    assert "wr0ng" not in str(caught.value)
    await sandbox.git.init(WORK)
    await sandbox.git.remote_add(WORK, "origin", url)
    with pytest.raises(GitAuthException, match="git pull"):
        await sandbox.git.pull(WORK, "origin", "main")
    with pytest.raises(GitAuthException, match="git pull"):
        await sandbox.git.pull(WORK, branch="main", username=USERNAME, password="wr0ng")


async def test_credentials_are_used_and_left_nowhere(sandbox: AsyncSandbox) -> None:
    url = await serve(sandbox) + "r.git"
    git = sandbox.git
    # It would like to keep them.
    await git.set_config("credential.helper", "store")
    await git.configure_user("A Name", "name@example.com")
    await git.clone(url, WORK, username=USERNAME, password=PASSWORD)
    await git.commit(WORK, "first", allow_empty=True)
    await git.push(WORK, "origin", "main", username=USERNAME, password=PASSWORD)
    await git.pull(WORK, username=USERNAME, password=PASSWORD)
    await git.clone(url.replace("//", f"//{USERNAME}:{quote(PASSWORD, safe='')}@"), "other")
    assert await log(sandbox, "other") == "first"
    for path in (WORK, "/home/user/other"):
        assert await git.remote_get(path, "origin") == url
    left = await sandbox.commands.run("grep -rl s3cret /home/user /tmp || true")
    assert left.stdout == ""
    seen = await sandbox.files.read("seen")
    assert "git-remote-http" in seen
    assert "s3cret" not in seen


async def test_credentials_are_stored_for_who_insists(sandbox: AsyncSandbox) -> None:
    url = await serve(sandbox) + "r.git"
    await sandbox.git.clone(
        url,
        WORK,
        username=USERNAME,
        password=PASSWORD,
        dangerously_store_credentials=True,
    )
    assert "s3cret" in (await sandbox.git.remote_get(WORK, "origin") or "")


async def test_git_can_be_authenticated_for_good(sandbox: AsyncSandbox) -> None:
    url = await serve(sandbox)
    host = url.split("/")[2]
    await sandbox.git.dangerously_authenticate(USERNAME, PASSWORD, f" {host} ", "http")
    await sandbox.git.clone(f"{url}r.git", WORK)


async def test_a_redirect_to_another_server_gets_no_credentials(sandbox: AsyncSandbox) -> None:
    url = await serve(sandbox) + "elsewhere/r.git"
    with pytest.raises(GitAuthException):
        await sandbox.git.clone(url, WORK, username=USERNAME, password=PASSWORD)
    seen = [line.split(" ", 2) for line in (await sandbox.files.read("seen")).splitlines()]
    assert {given for host, given, _ in seen if host.startswith("localhost")} == {"None"}


async def test_a_sandbox_without_git_says_so(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write(".bash_profile", "PATH=/nowhere")
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        await sandbox.git.status(WORK)
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        await sandbox.git.get_config("user.name")
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        await sandbox.git.remote_get(WORK, "origin")
    with pytest.raises(CommandExitException, match="git is not installed in this sandbox"):
        await sandbox.git.pull(WORK)


async def test_a_timeout_ends_git(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write(".bash_profile", "git() { exec sleep 1000; }")
    with pytest.raises(TimeoutException):
        await sandbox.git.status(WORK, timeout=0.2)


async def test_variables_reach_git(sandbox: AsyncSandbox) -> None:
    await work(sandbox)
    envs = {"GIT_COMMITTER_NAME": "Some Body"}
    await sandbox.git.commit(WORK, "second", allow_empty=True, envs=envs)
    assert await log(sandbox, form="%cn") == "Some Body\nA Name"
