"""`localbox code`: Python from a file, from -c or from standard input."""

from __future__ import annotations

from tests.cli.command import complaint, localbox


def test_a_file_runs_with_its_arguments(tmp_path):
    file = tmp_path / "program.py"
    file.write_text("import sys; print(sys.argv)")
    result = localbox("code", str(file), "one", "--timeout", "-c")
    assert result.stdout.decode() == f"{[str(file), 'one', '--timeout', '-c']}\n"


def test_a_traceback_names_the_file_and_the_exit_code_is_1(tmp_path):
    file = tmp_path / "program.py"
    file.write_text("def broken():\n    return 1 / 0\n\nbroken()\n")
    result = localbox("code", str(file))
    assert result.returncode == 1
    stderr = result.stderr.decode()
    assert f'File "{file}", line 2, in broken' in stderr
    assert stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "localbox/" not in stderr


def test_c_is_the_program_and_the_rest_its_arguments():
    result = localbox("code", "-c", "import sys; print(sys.argv)", "one", "-x")
    assert result.stdout == b"['-c', 'one', '-x']\n"


def test_sys_exit_is_the_exit_code():
    assert localbox("code", "-c", "raise SystemExit(5)").returncode == 5


def test_piped_input_is_the_program():
    program = b"import sys; print(sys.argv, repr(sys.stdin.read()))"
    assert localbox("code", stdin=program).stdout == b"['-'] ''\n"
    assert localbox("code", "-", "one", stdin=program).stdout == b"['-', 'one'] ''\n"


def test_with_a_program_input_is_its_stdin():
    code = "import sys; print(sys.stdin.read().upper(), end='')"
    assert localbox("code", "-c", code, stdin=b"shout\n").stdout == b"SHOUT\n"


def test_bytes_come_through_as_they_are():
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)))"
    assert localbox("code", "-c", code).stdout == bytes(range(256))


def test_source_is_decoded_as_python_does(tmp_path):
    file = tmp_path / "latin.py"
    file.write_bytes(b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n")
    assert localbox("code", str(file)).stdout == b"'\\xe9'\n"


def test_what_is_no_source_is_one_line(tmp_path):
    file = tmp_path / "binary.py"
    file.write_bytes(b"\xff\xfe\x00")
    result = localbox("code", str(file))
    assert result.returncode == 1
    assert "is not Python source" in complaint(result)


def test_a_missing_file_is_one_line(tmp_path):
    for path, reason in ((tmp_path / "none.py", "No such file"), (tmp_path, "Is a directory")):
        result = localbox("code", str(path))
        assert result.returncode == 1
        assert f"cannot read {path}: {reason}" in complaint(result)


def test_a_timeout_is_124():
    result = localbox("code", "--timeout", "0.5", "-c", "while True: pass")
    assert result.returncode == 124
    assert complaint(result) == "localbox: timeout: killed after 0.5 s"
