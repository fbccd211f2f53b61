"""Ten sandboxes from ten threads, or from one event loop: each gets its own answers."""

from __future__ import annotations

import pytest

from localbox import AsyncSandbox
from tests.client._async.doing import all_at_once

pytestmark = pytest.mark.anyio

COUNT = 10
# Long enough to come in several pieces.
REPEATED = 20_000


async def use(sandbox: AsyncSandbox, mark: str) -> None:
    """Commands, files and cells, each of which says the mark and must give back no other."""
    seen: list[str] = []
    command = f"import sys; sys.stdout.write({mark!r} * {REPEATED}); sys.stderr.write({mark!r})"
    done = await sandbox.commands.run(f'python3 -c "{command}"', on_stdout=seen.append)
    assert done.stdout == "".join(seen) == mark * REPEATED
    assert done.stderr == mark

    await sandbox.files.write("mark", mark * REPEATED)
    await sandbox.files.write_files(
        [{"path": f"mine/{mark}{number}", "data": f"{mark}{number}"} for number in range(3)]
    )
    assert await sandbox.files.read("mark") == mark * REPEATED
    names = [entry.name for entry in await sandbox.files.list("mine")]
    assert names == [f"{mark}{number}" for number in range(3)]

    lines: list[str] = []
    cell = f"before = globals().get('before', '') + {mark!r}; print(before); open('mark').read(7)"
    for round_number in [1, 2]:
        execution = await sandbox.run_code(
            cell, on_stdout=lambda message: lines.append(message.line)
        )
        assert execution.error is None
        assert execution.logs.stdout == [mark * round_number + "\n"]
        assert execution.text == (mark * 7)[:7]
    assert "".join(lines) == mark + "\n" + mark * 2 + "\n"


async def test_ten_sandboxes_made_and_used_at_once_do_not_mix() -> None:
    async def one(number: int) -> str:
        mark = f"<{number}>"
        async with await AsyncSandbox.create(
            metadata={"mark": mark}, envs={"MARK": mark}
        ) as sandbox:
            await use(sandbox, mark)
            assert (await sandbox.get_info()).metadata == {"mark": mark}
            assert (await sandbox.commands.run("echo $MARK")).stdout == f"{mark}\n"
            return sandbox.sandbox_id

    ids = await all_at_once([lambda n=n: one(n) for n in range(COUNT)])  # type: ignore[misc]
    assert len(set(ids)) == COUNT


async def test_one_sandbox_used_ten_times_at_once_does_not_mix(sandbox: AsyncSandbox) -> None:
    async def one(number: int) -> None:
        mark = f"<{number}>"
        done = await sandbox.commands.run(f"printf '{mark}%.0s' $(seq 3000)")
        assert done.stdout == mark * 3000
        await sandbox.files.write(f"/tmp/{number}", mark * REPEATED)
        assert await sandbox.files.read(f"/tmp/{number}") == mark * REPEATED
        execution = await sandbox.run_code(f"print({mark!r}); {mark!r}")
        assert execution.logs.stdout == [f"{mark}\n"]
        assert execution.text == mark

    await all_at_once([lambda n=n: one(n) for n in range(COUNT)])  # type: ignore[misc]
