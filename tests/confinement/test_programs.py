"""The partner of all attacks: the programs people run work behind all these walls."""

from __future__ import annotations

import shutil

import pytest

from localbox import Sandbox
from tests.confinement.attack import lines


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} here")


def test_python_is_the_one_localbox_runs_under(sandbox: Sandbox) -> None:
    import sys

    assert lines(sandbox, "python -c 'import sys; print(sys.prefix, sys.version_info[:2])'") == [
        f"{sys.prefix} {sys.version_info[:2]}"
    ]


def test_pip_works(sandbox: Sandbox) -> None:
    assert lines(sandbox, "python -m pip --version")[0].startswith("pip ")


def test_packages_that_are_installed_can_be_imported(any_sandbox: Sandbox) -> None:
    assert lines(any_sandbox, "python -c 'import yaml; print(yaml.__name__)'") == ["yaml"]
    assert any_sandbox.commands.run_python("import yaml; print(yaml.__name__)").stdout == "yaml\n"


def test_a_venv_can_be_made(sandbox: Sandbox) -> None:
    sandbox.commands.run("python -m venv --without-pip env")
    assert lines(sandbox, "env/bin/python -c 'print(6 * 7)'") == ["42"]


def test_multiprocessing_and_asyncio_work(sandbox: Sandbox) -> None:
    sandbox.files.write(
        "many.py",
        """
import asyncio, concurrent.futures, multiprocessing, subprocess, tempfile, threading
def square(n): return n * n
async def main():
    process = await asyncio.create_subprocess_exec('echo', 'sub', stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()
if __name__ == '__main__':
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(4))))
    print(asyncio.run(main()))
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(square, range(4))))
    with tempfile.NamedTemporaryFile() as file:
        print(file.name.startswith('/tmp/'))
""",
    )
    assert lines(sandbox, "python many.py") == ["[0, 1, 4, 9]", "sub", "14", "True"]


@needs("node")
def test_node_works(sandbox: Sandbox) -> None:
    assert lines(sandbox, "node -e 'console.log(6 * 7)'") == ["42"]
    # spawnSync uses socket options and shutdown(2).
    spawn = (
        "console.log(require('child_process').spawnSync('echo', ['x']).stdout.toString().trim())"
    )
    assert lines(sandbox, f'node -e "{spawn}"') == ["x"]


@needs("git")
def test_git_works(sandbox: Sandbox) -> None:
    sandbox.commands.run(
        "git init -q repo && cd repo && echo x > file && git add file &&"
        " git -c user.name=a -c user.email=a@b commit -q -m first"
    )
    assert lines(sandbox, "git -C repo log --format=%s") == ["first"]


@needs("gcc")
def test_gcc_works(sandbox: Sandbox) -> None:
    sandbox.files.write("hello.c", '#include <stdio.h>\nint main() { puts("hello"); }\n')
    assert lines(sandbox, "gcc -o hello hello.c && ./hello") == ["hello"]


@needs("perl")
def test_perl_works(sandbox: Sandbox) -> None:
    assert lines(sandbox, "perl -e 'print 6 * 7'") == ["42"]


def test_the_shell_has_its_tools(any_sandbox: Sandbox) -> None:
    script = (
        "printf 'b\\na\\n' | sort | tee out | head -1; grep -c . out; find . -name out;"
        " tar c out | tar t"
    )
    assert lines(any_sandbox, script) == ["a", "2", "./out", "out"]


def test_job_control_and_traps_work(sandbox: Sandbox) -> None:
    script = "trap 'echo got it' USR1; kill -USR1 $$; sleep 0.01 & wait $!; echo $?"
    assert lines(sandbox, script) == ["got it", "0"]


def test_names_and_groups_of_users_resolve(any_sandbox: Sandbox) -> None:
    assert lines(any_sandbox, "id") == ["uid=1000(user) gid=1000(user) groups=1000(user)"]
    assert lines(any_sandbox, "echo ~ ~user") == ["/home/user /home/user"]
