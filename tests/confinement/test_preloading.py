"""Modules imported before the first sandbox: there in each of them, and shared by none."""

from __future__ import annotations

from pathlib import Path

import pytest

from localbox import InvalidArgumentException, Sandbox

_DRAW = "import numpy, random; print(numpy.random.rand(), random.random())"


def write_profile(directory: Path, module: str) -> Path:
    profile = directory / "preloading.yaml"
    profile.write_text(f"extends: default\nprocess: {{preload: [{module}]}}\n")
    return profile


def test_preloaded_modules_are_there_before_anything_is_imported() -> None:
    with Sandbox.create(profile="data-analysis") as sandbox:
        loaded = sandbox.commands.run_python("import sys; print('pandas' in sys.modules)")
        assert loaded.stdout == "True\n"


def test_other_sandboxes_are_born_without_them() -> None:
    with Sandbox.create(profile="data-analysis"), Sandbox.create() as sandbox:
        loaded = sandbox.commands.run_python("import sys; print('pandas' in sys.modules)")
        assert loaded.stdout == "False\n"


def test_no_two_programs_draw_the_same_random_numbers() -> None:
    with (
        Sandbox.create(profile="data-analysis") as first,
        Sandbox.create(profile="data-analysis") as second,
    ):
        draws = [
            sandbox.commands.run_python(_DRAW).stdout for sandbox in (first, first, second, second)
        ]
    numbers = [number for draw in draws for number in draw.split()]
    assert len(set(numbers)) == len(numbers) == 8


def test_the_environment_of_the_import_is_not_the_guests() -> None:
    """The zygote imports with one thread for each library; programs may have more."""
    with Sandbox.create(profile="data-analysis") as sandbox:
        environment = sandbox.commands.run("env").stdout
        assert "NUM_THREADS" not in environment
        assert "HOME=/home/user" in environment


def test_a_module_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentException, match="no_such_module"):
        Sandbox.create(profile=write_profile(tmp_path, "no_such_module"))
