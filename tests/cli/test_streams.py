"""Output comes as it is printed, input goes as it is written, and nobody waits for the other."""

from __future__ import annotations

import os
import subprocess

from tests.cli.command import ARGV, PATIENCE_S, environment, localbox, start


def test_a_line_arrives_while_the_command_still_runs():
    process = start("run", "--", "sh", "-c", "echo first; read line; echo got $line")
    with process:
        # It cannot end before the second line is written, which is not before this one is read.
        assert process.stdout.readline() == b"first\n"
        process.stdin.write(b"second\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"got second\n"
        assert process.wait(PATIENCE_S) == 0


def test_a_part_of_a_line_arrives_too():
    with start("run", "--", "sh", "-c", "printf prompt; read line") as process:
        assert os.read(process.stdout.fileno(), 100) == b"prompt"
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 1


def test_stdin_reaches_the_command_to_its_end():
    assert localbox("run", "--", "cat", stdin=b"hi\n").stdout == b"hi\n"
    assert localbox("run", "--", "wc", "-c", stdin=b"").stdout == b"0\n"


def test_megabytes_go_through_and_come_back_whole():
    data = os.urandom(5_000_000)
    assert localbox("run", "--", "cat", stdin=data).stdout == data


def test_an_open_stdin_that_nobody_reads_does_not_hold_up_the_end():
    process = start("run", "--", "true")
    try:
        # Its stdin is still open, and nothing comes.
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.communicate()


def test_endless_input_ends_with_the_command():
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        process = start("run", "--", "head", "-c", "4", stdin=endless.stdout)
        out, _ = process.communicate(timeout=PATIENCE_S)
        endless.kill()
    assert (process.returncode, out) == (0, b"y\ny\n")


def test_a_command_that_never_reads_its_input_is_not_waited_for():
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        process = start("run", "--", "sh", "-c", "echo done", stdin=endless.stdout)
        out, _ = process.communicate(timeout=PATIENCE_S)
        endless.kill()
    assert (process.returncode, out) == (0, b"done\n")


def test_it_ends_quietly_when_nobody_reads_its_output():
    with start("run", "--", "yes") as process:
        assert process.stdout.read(2) == b"y\n"
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 128 + 13
        assert process.stderr.read() == b""


def test_without_input_the_command_reads_the_end_of_the_file():
    result = subprocess.run(
        [*ARGV, "run", "--", "cat"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=True,
    )
    assert result.stdout == b""


def test_a_terminal_is_not_read_from():
    master, terminal = os.openpty()
    try:
        process = start("run", "--", "cat", stdin=terminal)
        out, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        os.close(master)
        os.close(terminal)
    assert (process.returncode, out) == (0, b"")
