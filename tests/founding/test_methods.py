"""What `Sandbox` had before E2B 1.0 and the founding document goes on using."""

from __future__ import annotations

import io
import os
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localbox import (
    CodeInterpreter,
    FileNotFoundException,
    InvalidArgumentException,
    Sandbox,
)
from tests.leftovers import wait_until


def test_a_file_goes_up_under_its_own_name_unless_told_otherwise(sandbox: Sandbox, tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"\x00\xff")
    with (tmp_path / "a.bin").open("rb") as file:
        assert sandbox.upload_file(file) == "/home/user/a.bin"
        file.seek(0)
        assert sandbox.upload_file(file, "/tmp/deep/b.bin") == "/tmp/deep/b.bin"
    assert sandbox.download_file("a.bin") == sandbox.download_file("/tmp/deep/b.bin") == b"\x00\xff"


@pytest.mark.parametrize("name", [None, 3, "", "/"])
def test_a_file_without_a_name_needs_a_path(sandbox: Sandbox, name: object):
    file = io.BytesIO(b"x")
    file.name = name  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgumentException, match="give a path"):
        sandbox.upload_file(file)
    assert sandbox.upload_file(file, "/tmp/x") == "/tmp/x"


def test_downloading_what_is_not_there_is_an_error(sandbox: Sandbox):
    with pytest.raises(FileNotFoundException):
        sandbox.download_file("/tmp/nothing")


def test_list_with_a_path_lists_files_and_without_one_sandboxes(sandbox: Sandbox):
    sandbox.filesystem.write("/home/user/a", "12345")
    assert [(entry.name, entry.size) for entry in sandbox.list("/home/user")] == [("a", 5)]
    for listing in (sandbox.list, Sandbox.list):
        assert sandbox.sandbox_id in [info.sandbox_id for info in listing().next_items()]


def test_filesystem_reads_and_writes_text_and_bytes(sandbox: Sandbox):
    files = sandbox.filesystem
    files.make_dir("/home/user/d/e")
    files.write("d/text", "é")
    files.write_bytes("d/bytes", b"\xff")
    assert (files.read("d/text"), files.read_bytes("d/bytes")) == ("é", b"\xff")
    assert isinstance(files.read_bytes("d/text"), bytes)
    listed = {entry.name: entry.is_dir for entry in files.list("/home/user/d")}
    assert listed == {"e": True, "text": False, "bytes": False}
    assert sandbox.exists("/home/user/d/e")
    files.remove("/home/user/d")
    assert not sandbox.exists("/home/user/d")


def test_closing_ends_the_sandbox_and_may_be_repeated():
    sandbox = Sandbox()
    assert sandbox.is_open
    assert sandbox.id == sandbox.sandbox_id
    sandbox.close()
    assert not sandbox.is_open
    sandbox.close()


def test_keep_alive_lengthens_a_life_and_does_not_shorten_it(sandbox: Sandbox):
    def remaining_s() -> float:
        return (sandbox.get_info().end_at - datetime.now(UTC)).total_seconds()

    sandbox.keep_alive(10)
    assert remaining_s() > 60
    sandbox.keep_alive(3000)
    assert remaining_s() > 2900
    with pytest.raises(InvalidArgumentException, match="0 to 3600"):
        sandbox.keep_alive(3601)


def test_get_hostname_leads_to_a_server_inside(sandbox: Sandbox):
    assert sandbox.get_hostname(8080) == sandbox.get_host(8080)
    sandbox.filesystem.write("index.html", "<p>hello")
    sandbox.process.start("exec python -m http.server 8080 --bind 127.0.0.1")

    def page() -> bytes:
        try:
            with urllib.request.urlopen(f"http://{sandbox.get_hostname(8080)}", timeout=10) as it:
                return bytes(it.read())
        except OSError:
            return b""  # it does not listen yet

    wait_until(page)
    assert page() == b"<p>hello"
    with pytest.raises(InvalidArgumentException, match="which port"):
        sandbox.get_hostname()


def test_clearing_ends_processes_that_have_hidden(sandbox: Sandbox):
    def sleeps() -> bool:
        return "sleep" in sandbox.commands.run("cat /proc/[0-9]*/comm 2>&- || true").stdout

    sandbox.commands.run("setsid sleep 1000 >/dev/null 2>&1 &")
    wait_until(sleeps)
    sandbox.clear()
    assert not sleeps()


def test_clearing_empties_what_can_be_written_whoever_forbids_it(sandbox: Sandbox):
    sandbox.files.write("/home/user/.bash_profile", "echo do not; exit 1")
    sandbox.files.write("/tmp/locked/x", "x")
    sandbox.files.write("/dev/shm/x", "x")
    sandbox.files.write("/var/tmp/x", "x")
    sandbox.commands.run_python("import os; os.chmod('/tmp/locked', 0)")
    sandbox.clear()
    left = sandbox.commands.run("ls -A ~ /tmp /dev/shm /var/tmp").stdout
    assert not {"x", "locked"} & set(left.split())
    assert sandbox.list("/home/user") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's sandboxes have no root")
def test_clearing_ends_and_empties_what_is_roots(sandbox: Sandbox):
    def run(command: str) -> str:
        return sandbox.commands.run(command, user="root").stdout

    before = sandbox.get_info().end_at
    run("echo 'touch /tmp/again' > ~/.bash_profile")
    run("umask 077; mkdir -p ~/a /tmp/b /home/user/c; echo x | tee ~/a/x /tmp/b/x /home/user/c/x")
    sandbox.commands.run("sleep 1000", user="root", background=True)
    sandbox.clear()
    assert "sleep" not in sandbox.commands.run("cat /proc/[0-9]*/comm 2>&- || true").stdout
    left = run("ls -A /root /tmp /home/user")
    assert not {"a", "b", "c", "again", ".bash_profile"} & set(left.split())
    assert abs(sandbox.get_info().end_at - before).total_seconds() < 2


def test_a_sandbox_of_a_snapshot_is_not_cleared(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path))
    sandbox.files.write("x", "x")
    snapshot = sandbox.create_snapshot()
    with (
        Sandbox.create(snapshot.snapshot_id) as copy,
        pytest.raises(InvalidArgumentException, match="would go too"),
    ):
        copy.clear()
    Sandbox.delete_snapshot(snapshot.snapshot_id)


def test_clearing_spares_the_python_environment(sandbox: Sandbox):
    sandbox.clear()
    assert sandbox.commands.run("python -c 'print(6 * 7)'").stdout == "42\n"
    assert sandbox.run_code("1 + 1").text == "2"


def test_a_cell_tells_as_it_goes_and_its_error_has_lines():
    told: list[str] = []
    with CodeInterpreter(env_vars={"A": "1"}, envs={"B": "2"}) as interpreter:
        execution = interpreter.notebook.exec_cell(
            "import os, sys\nprint(os.environ['A'] + os.environ['B'])\n"
            "print('err', file=sys.stderr)\ndisplay('shown')\n1 / 0",
            on_stdout=lambda message: told.append(message.line),
            on_stderr=lambda message: told.append(message.line),
            on_result=lambda result: told.append(str(result.text)),
        )
    assert told == ["12\n", "err\n", "shown"]
    assert execution.error is not None
    assert execution.error.name == "ZeroDivisionError"
    assert execution.error.traceback_raw == execution.error.traceback.split("\n")
    assert (execution.text, execution.data) == (None, None)
    assert execution.execution_count == 1


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("import pandas\npandas.DataFrame({'a': [1, 2]})", {"a": [1, 2]}),
        ("{'a': [1]}", {"a": [1]}),
        ("[1, 2]", [1, 2]),
        ("3", None),
        ("display({'a': 1})\n3", None),
        ("x = {'a': 1}", None),
    ],
)
def test_data_is_what_the_main_result_holds(code: str, data: object):
    with CodeInterpreter() as interpreter:
        assert interpreter.notebook.exec_cell(code).data == data


def test_kernels_are_contexts_of_their_own():
    with CodeInterpreter() as interpreter:
        notebook = interpreter.notebook
        default = notebook.default_kernel_id
        kernel = notebook.create_kernel(cwd="/tmp", kernel_name="python3")
        assert set(notebook.list_kernels()) == {default, kernel}
        notebook.exec_cell("x = 1")
        assert notebook.exec_cell("x", kernel_id=default).text == "1"
        assert notebook.exec_cell("x", kernel_id=kernel).error is not None
        assert notebook.exec_cell("import os; os.getcwd()", kernel_id=kernel).text == "/tmp"
        notebook.restart_kernel()
        assert notebook.exec_cell("x").error is not None
        notebook.shutdown_kernel(kernel)
        assert notebook.list_kernels() == [default]
        notebook.close()


def test_shutting_down_the_default_kernel_makes_room_for_another():
    with CodeInterpreter() as interpreter:
        notebook = interpreter.notebook
        default = notebook.default_kernel_id
        notebook.exec_cell("x = 1")
        notebook.shutdown_kernel()
        assert notebook.exec_cell("x").error is not None
        assert default not in notebook.list_kernels()


@pytest.mark.parametrize("template", ["code-interpreter-stateful", "python-data-analysis", None])
def test_names_of_e2bs_templates_are_accepted(template: str | None):
    with CodeInterpreter(template=template, api_key="none", metadata={"a": "b"}) as interpreter:
        assert interpreter.get_info().metadata == {"a": "b"}
        assert os.path.basename(interpreter.notebook.exec_cell("import sys; sys.executable").text)
