"""`commands.run` and what belongs to it: results, output, surroundings, deadlines."""

from __future__ import annotations

from pathlib import Path

import pytest

from localbox import (
    AsyncSandbox,
    AuthenticationException,
    CommandExitException,
    CommandResult,
    InvalidArgumentException,
    SandboxException,
    TimeoutException,
)
from localbox.policy import load_profile, merge_overrides
from tests.client._async.doing import until

pytestmark = pytest.mark.anyio


async def test_a_command_that_succeeds_returns_its_result(sandbox: AsyncSandbox) -> None:
    result = await sandbox.commands.run("echo out; echo err >&2")
    assert result == CommandResult(stderr="err\n", stdout="out\n", exit_code=0, error=None)


async def test_a_command_that_fails_raises_its_result(sandbox: AsyncSandbox) -> None:
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run("echo out; echo err >&2; exit 3")
    assert caught.value.stdout == "out\n"
    assert caught.value.stderr == "err\n"
    assert caught.value.exit_code == 3
    assert caught.value.error == "exit status 3"
    assert str(caught.value) == "Command exited with code 3 and error:\nerr\n"


async def test_a_command_that_does_not_exist_exits_with_127(sandbox: AsyncSandbox) -> None:
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run("no-such-program")
    assert caught.value.exit_code == 127
    assert "no-such-program" in caught.value.stderr


async def test_a_command_ended_by_a_signal_has_exit_code_minus_one(
    sandbox: AsyncSandbox,
) -> None:
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run("kill -TERM $$")
    assert caught.value.exit_code == -1
    assert caught.value.error == "signal: terminated"


async def test_a_command_runs_in_a_login_shell_in_the_home_directory(
    sandbox: AsyncSandbox,
) -> None:
    result = await sandbox.commands.run("shopt -q login_shell && echo $0; pwd; echo ~; id -un")
    assert result.stdout == "/bin/bash\n/home/user\n/home/user\nuser\n"


async def test_envs_of_the_call_go_over_those_of_the_sandbox() -> None:
    async with await AsyncSandbox.create(envs={"A": "sandbox", "B": "sandbox"}) as sandbox:
        result = await sandbox.commands.run("echo $A $B", envs={"B": "call"})
        assert result.stdout == "sandbox call\n"
        assert (await sandbox.commands.run("echo $A $B")).stdout == "sandbox sandbox\n"


async def test_values_of_envs_arrive_as_they_are(sandbox: AsyncSandbox) -> None:
    value = "a b\n'\"$(false) \\ ü€"
    result = await sandbox.commands.run('printf %s "$V"', envs={"V": value})
    assert result.stdout == value


@pytest.mark.parametrize("envs", [{"A=B": "1"}, {"": "1"}, {"A": "x\0y"}, {"A": 1}])
async def test_envs_that_no_environment_can_hold_are_refused(
    sandbox: AsyncSandbox, envs: dict[str, str]
) -> None:
    with pytest.raises(InvalidArgumentException, match="envs"):
        await sandbox.commands.run("true", envs=envs)
    with pytest.raises(InvalidArgumentException, match="envs"):
        await AsyncSandbox.create(envs=envs)


@pytest.mark.parametrize(
    ("cwd", "expected"),
    [("/tmp", "/tmp"), ("sub", "/home/user/sub"), ("~/sub", "/home/user/sub"), ("~", "/home/user")],
)
async def test_cwd_is_where_the_command_runs(
    sandbox: AsyncSandbox, cwd: str, expected: str
) -> None:
    await sandbox.files.make_dir("sub")
    assert (await sandbox.commands.run("pwd", cwd=cwd)).stdout == f"{expected}\n"
    code = "import os; print(os.getcwd())"
    assert (await sandbox.commands.run_python(code, cwd=cwd)).stdout == f"{expected}\n"


@pytest.mark.parametrize("cwd", ["/no/such/directory", "/etc/passwd", "nul\0nul"])
async def test_a_cwd_that_is_no_directory_is_refused(sandbox: AsyncSandbox, cwd: str) -> None:
    with pytest.raises(InvalidArgumentException):
        await sandbox.commands.run("true", cwd=cwd)
    with pytest.raises(InvalidArgumentException):
        await sandbox.commands.run_python("pass", cwd=cwd)


async def test_a_user_can_be_named(sandbox: AsyncSandbox) -> None:
    assert (await sandbox.commands.run("id -un", user="user")).stdout == "user\n"


async def test_an_unknown_user_is_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(AuthenticationException, match="nobody-here"):
        await sandbox.commands.run("id", user="nobody-here")


@pytest.mark.parametrize("cmd", ["echo \0", b"true", None])
async def test_a_command_that_is_no_text_is_refused(sandbox: AsyncSandbox, cmd: object) -> None:
    with pytest.raises(InvalidArgumentException, match="cmd"):
        await sandbox.commands.run(cmd)  # type: ignore[call-overload]


async def test_a_long_command_arrives_whole(sandbox: AsyncSandbox) -> None:
    # Longer than a datagram holds, shorter than the kernel's limit for one argument.
    text = "x" * 100_000
    assert (await sandbox.commands.run(f"printf %s {text}")).stdout == text


async def test_a_command_longer_than_the_kernel_takes_is_an_error(sandbox: AsyncSandbox) -> None:
    with pytest.raises(SandboxException):
        await sandbox.commands.run(f"true {'x' * 200_000}")
    assert await sandbox.is_running()


async def test_a_command_longer_than_a_request_can_be_is_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="too long"):
        await sandbox.commands.run(f"true {'x' * 9_000_000}")
    assert await sandbox.is_running()


async def test_callbacks_get_the_output_as_it_comes(sandbox: AsyncSandbox) -> None:
    out: list[str] = []
    err: list[str] = []
    result = await sandbox.commands.run(
        "for n in 1 2 3; do echo out $n; echo err $n >&2; done",
        on_stdout=out.append,
        on_stderr=err.append,
    )
    assert "".join(out) == result.stdout == "out 1\nout 2\nout 3\n"
    assert "".join(err) == result.stderr == "err 1\nerr 2\nerr 3\n"


async def test_a_callback_is_called_while_the_command_still_runs(sandbox: AsyncSandbox) -> None:
    # The command waits for a file that only exists once its first line was seen.
    seen: list[str] = []

    # unasync: async
    async def on_stdout(text: str) -> None:
        seen.append(text)
        await sandbox.files.write("go", "")

    # unasync: sync
    # def on_stdout(text: str) -> None:
    #     seen.append(text)
    #     sandbox.files.write("go", "")
    #
    # unasync: end
    result = await sandbox.commands.run(
        "echo ready; until [ -e go ]; do sleep 0.01; done; echo went", on_stdout=on_stdout
    )
    assert "".join(seen) == result.stdout == "ready\nwent\n"


async def test_an_error_in_a_callback_reaches_the_caller(sandbox: AsyncSandbox) -> None:
    def on_stdout(text: str) -> None:
        raise ZeroDivisionError(text)

    with pytest.raises(ZeroDivisionError):
        await sandbox.commands.run("echo x", on_stdout=on_stdout)
    assert (await sandbox.commands.run("echo on")).stdout == "on\n"


async def test_nothing_is_retained_unless_wanted(sandbox: AsyncSandbox) -> None:
    out: list[str] = []
    result = await sandbox.commands.run(
        "echo out; echo err >&2", retain_output=False, on_stdout=out.append
    )
    assert (result.stdout, result.stderr, result.exit_code) == (None, None, 0)
    assert out == ["out\n"]
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run("echo err >&2; exit 4", retain_output=False)
    assert (caught.value.stdout, caught.value.stderr) == (None, None)
    assert str(caught.value) == "Command exited with code 4"


async def test_a_timeout_kills_the_command(sandbox: AsyncSandbox) -> None:
    with pytest.raises(TimeoutException) as caught:
        await sandbox.commands.run("echo $$ > pid; sleep 1000 & wait", timeout=0.5)
    assert caught.type is TimeoutException
    pid = (await sandbox.files.read("pid")).strip()

    async def gone() -> bool:
        return not await sandbox.files.exists(f"/proc/{pid}")

    await until(gone)
    assert await sandbox.commands.list() == []
    # Its children too, which are in its process group.
    assert (await sandbox.commands.run("pgrep -c sleep || true")).stdout == "0\n"


async def test_a_timeout_ends_python_too(sandbox: AsyncSandbox) -> None:
    with pytest.raises(TimeoutException):
        await sandbox.commands.run_python("while True: pass", timeout=0.5)
    assert (await sandbox.commands.run_python("print(1)")).stdout == "1\n"


@pytest.mark.parametrize("timeout", [0, None, 3_000_000])
async def test_no_timeout_is_no_timeout(sandbox: AsyncSandbox, timeout: float | None) -> None:
    assert (await sandbox.commands.run("echo x", timeout=timeout)).stdout == "x\n"


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("inf"), "1"])
async def test_a_negative_timeout_is_refused(sandbox: AsyncSandbox, timeout: float) -> None:
    with pytest.raises(InvalidArgumentException, match="timeout"):
        await sandbox.commands.run("true", timeout=timeout)


async def test_characters_split_between_writes_arrive_whole(sandbox: AsyncSandbox) -> None:
    code = (
        "import os, time\n"
        "for byte in '€ü'.encode():\n"
        "    os.write(1, bytes([byte])); time.sleep(0.02)\n"
    )
    assert (await sandbox.commands.run_python(code)).stdout == "€ü"


async def test_bytes_that_are_not_utf8_become_replacement_characters(
    sandbox: AsyncSandbox,
) -> None:
    result = await sandbox.commands.run(r"printf 'a\377b\342\202'")
    assert result.stdout == "a\ufffdb\ufffd"


async def test_two_hundred_megabytes_of_output_all_come_back(sandbox: AsyncSandbox) -> None:
    result = await sandbox.commands.run("head -c 200000000 /dev/zero | tr '\\0' x")
    assert len(result.stdout) == 200_000_000
    assert result.stdout.count("x") == 200_000_000
    assert result.error is None


async def test_output_over_the_profiles_cap_is_cut_and_says_so(tmp_path: Path) -> None:
    profile = tmp_path / "capped.yaml"
    profile.write_text("resources: {output: 1MiB}\n")
    async with await AsyncSandbox.create(profile=profile) as sandbox:
        counted = 0

        def count(text: str) -> None:
            nonlocal counted
            counted += len(text)

        result = await sandbox.commands.run(
            "head -c 20000000 /dev/zero | tr '\\0' x", on_stdout=count
        )
        assert 0 < len(result.stdout) <= 1 << 20
        assert set(result.stdout) == {"x"}
        assert result.exit_code == 0
        assert result.error is not None
        assert "truncated" in result.error
        assert "resources.output" in result.error
        assert str(20_000_000 - len(result.stdout)) in result.error
        # What is not kept is still shown to whoever listens.
        assert counted == 20_000_000


async def test_output_that_nobody_reads_does_not_hold_up_the_sandbox(
    sandbox: AsyncSandbox,
) -> None:
    handle = await sandbox.commands.run("yes", background=True, retain_output=False, timeout=0)
    assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"
    await handle.kill()


async def test_a_daemon_that_keeps_stdout_does_not_hold_up_the_result(
    sandbox: AsyncSandbox,
) -> None:
    # It goes on writing to the pipe after the command has ended, and must not die of it.
    result = await sandbox.commands.run(
        "setsid bash -c 'for n in $(seq 200); do echo noise || exit 1; done;"
        " until [ -e go ]; do sleep 0.01; done;"
        " echo more && head -c 300000 /dev/zero && touch survived' & echo started"
    )
    assert result.stdout.startswith("started\n") or "started\n" in result.stdout
    await sandbox.files.write("go", "")

    async def survived() -> bool:
        return await sandbox.files.exists("survived")

    await until(survived)


async def test_a_child_left_in_the_background_lives_on(sandbox: AsyncSandbox) -> None:
    pid = (await sandbox.commands.run("sleep 1000 & echo $!")).stdout.strip()

    async def sleeps() -> bool:
        return (await sandbox.commands.run(f"cat /proc/{pid}/comm")).stdout == "sleep\n"

    await until(sleeps)


async def test_a_thousand_short_commands_leave_no_zombie(sandbox: AsyncSandbox) -> None:
    result = await sandbox.commands.run("for n in $(seq 300); do (true &) ; done; wait; echo done")
    assert result.stdout == "done\n"

    async def no_zombies() -> bool:
        count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
        return (await sandbox.commands.run(count)).stdout == "0\n"

    await until(no_zombies)


async def test_python_runs_like_a_fresh_interpreter(sandbox: AsyncSandbox) -> None:
    result = await sandbox.commands.run_python(
        "import sys\nprint(__name__, sys.argv, flush=True)\nprint('err', file=sys.stderr)",
        args=["a", "b"],
        envs={"X": "1"},
    )
    assert result.stdout == "__main__ ['-c', 'a', 'b']\n"
    assert result.stderr == "err\n"
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run_python("1/0", filename="mine.py")
    assert caught.value.exit_code == 1
    assert 'File "mine.py", line 1' in caught.value.stderr
    assert "ZeroDivisionError" in caught.value.stderr
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run_python("import sys; sys.exit(7)")
    assert caught.value.exit_code == 7


async def test_python_processes_share_nothing(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run_python("import builtins; builtins.left = 1")
    result = await sandbox.commands.run_python("import builtins; print(hasattr(builtins, 'left'))")
    assert result.stdout == "False\n"


async def test_python_that_is_not_python_raises_with_its_traceback(sandbox: AsyncSandbox) -> None:
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run_python("def")
    assert "SyntaxError" in caught.value.stderr
    with pytest.raises(CommandExitException) as caught:
        await sandbox.commands.run_python("x = '\0'")
    assert caught.value.exit_code == 1


async def test_a_sandbox_out_of_processes_says_so() -> None:
    policy = merge_overrides(load_profile("default"), pids=12)
    async with await AsyncSandbox.create(profile=policy) as sandbox:
        started = 0

        async def start_too_many() -> None:
            nonlocal started
            while started < 20:
                await sandbox.commands.run("sleep 1000", background=True, timeout=0)
                started += 1

        with pytest.raises(SandboxException, match=r"resources\.pids"):
            await start_too_many()
        assert started > 0
        for process in await sandbox.commands.list():
            await sandbox.commands.kill(process.pid)

        async def works() -> bool:
            return await sandbox.commands.list() == []

        await until(works)
        assert (await sandbox.commands.run("echo again")).stdout == "again\n"


async def test_a_program_ignores_no_signal_it_did_not_ask_to(sandbox: AsyncSandbox) -> None:
    result = await sandbox.commands.run("grep SigIgn /proc/self/status")
    # 32 and 33 are the C library's own, and its posix_spawn leaves them ignored.
    of_the_c_library = 0b11 << 31
    assert int(result.stdout.split()[1], 16) & ~of_the_c_library == 0
    code = "print(open('/proc/self/status').read().split('SigIgn:')[1].split()[0])"
    ignored = int((await sandbox.commands.run_python(code)).stdout, 16)
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25).
    assert ignored & ~of_the_c_library == 1 << 12 | 1 << 24


async def test_pid_1_does_not_tell_whom_it_works_for(sandbox: AsyncSandbox) -> None:
    result = await sandbox.commands.run("tr '\\0' '\\n' < /proc/1/cmdline")
    assert result.stdout.split() == ["localbox.zygote"]
