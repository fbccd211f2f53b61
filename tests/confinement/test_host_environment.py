"""The zygote: nothing of the host program's environment or memory comes along by fork."""

from __future__ import annotations

import secrets

import pytest

from localbox import Sandbox
from localbox.engine.zygote_process import stop_zygotes
from tests.confinement.attack import ask, lines


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """In our environment and memory before the zygote is started."""
    value = f"secret{secrets.token_hex(16)}"
    monkeypatch.setenv("LOCALBOX_TEST_SECRET", value)
    stop_zygotes()
    return value


def test_guest_cannot_find_the_hosts_environment(secret: str) -> None:
    with Sandbox.create() as sandbox:
        # Asked by its halves, so that the question itself is not found.
        halves = f"{secret[:16]!r} + {secret[16:]!r}"
        found = ask(
            sandbox,
            f"""
needle = ({halves}).encode()
answer = []
for name in os.listdir('/proc'):
    for file in ('environ', 'cmdline'):
        try:
            with open(f'/proc/{{name}}/{{file}}', 'rb') as stream:
                if needle in stream.read():
                    answer.append(name)
        except OSError:
            pass
""",
        )
        assert found == []
        assert not any("LOCALBOX_TEST_SECRET" in line for line in lines(sandbox, "env"))


def test_guest_cannot_find_the_hosts_memory_in_its_own(secret: str) -> None:
    """A forked interpreter has the zygote's memory; the zygote never had ours."""
    with Sandbox.create() as sandbox:
        found = ask(
            sandbox,
            f"""
marker = ('planted' + 'here').encode()
def search(needle_parts):
    hits = 0
    with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:
        for line in maps:
            area, mode = line.split()[:2]
            if 'r' not in mode or line.rstrip().endswith(('[vvar]', '[vsyscall]', '[vvar_vclock]')):
                continue
            start, end = (int(x, 16) for x in area.split('-'))
            try:
                memory.seek(start)
                content = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            first, second = needle_parts
            at = content.find(first)
            while at >= 0:
                hits += content[at + len(first):].startswith(second)
                at = content.find(first, at + 1)
    return hits
secret = {secret[:16]!r}.encode(), {secret[16:]!r}.encode()
answer = [search((b'planted', b'here')), search(secret)]
""",
        )
        # The search finds what is there.
        assert found[0] >= 1
        assert found[1] == 0


def test_guest_has_the_environment_it_was_given() -> None:
    with Sandbox.create(envs={"GIVEN": "yes"}) as sandbox:
        names = {line.split("=")[0] for line in lines(sandbox, "env")}
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "VIRTUAL_ENV", "GIVEN"}
    # The last three are bash's own.
    assert names <= allowed | {"PWD", "SHLVL", "_", "OLDPWD"}
    assert "GIVEN" in names


def test_guest_cannot_learn_the_hosts_name(sandbox: Sandbox) -> None:
    assert ask(sandbox, "answer = [os.uname().nodename, socket.gethostname()]") == [
        "localbox",
        "localbox",
    ]


def test_guest_cannot_change_its_host_name(sandbox: Sandbox) -> None:
    assert ask(sandbox, "answer = outcome(socket.sethostname, 'x')") == "EPERM"
