"""The names of languages, and what somebody is told whose language is not there."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localbox.kernels import bash, languages, node
from localbox.kernels.languages import ALIASES, LANGUAGES, LanguageMissing
from localbox.kernels.port import Port


def test_the_languages_are_e2bs() -> None:
    assert set(LANGUAGES) == {"python", "javascript", "typescript", "r", "java", "bash"}
    assert ALIASES["js"] == "javascript"
    assert ALIASES["ts"] == "typescript"
    assert set(ALIASES.values()) <= set(LANGUAGES)


@pytest.mark.parametrize("name", sorted(set(LANGUAGES) - {"python"}))
def test_each_language_has_a_module_that_can_be_warmed_up(name: str) -> None:
    module = importlib.import_module(languages.module_of(name))
    module.warm_up()
    assert callable(module.start_kernel)


def test_names_cost_no_import() -> None:
    code = (
        "import sys; import localbox.kernels; before = set(sys.modules);"
        "import localbox.kernels.languages; print(*set(sys.modules) - before)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(told.stdout.split()) <= {"localbox.kernels.languages", "__future__"}


def test_a_missing_interpreter_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])
    port = object.__new__(Port)
    with pytest.raises(LanguageMissing, match="apt-get install nodejs, or pip install nodejs-whe"):
        node.start_kernel(port, "javascript")
    with pytest.raises(LanguageMissing, match="apt-get install bash"):
        bash.start_kernel(port, "bash")


def test_a_node_without_typescript_says_which_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "node"
    hello = '{"hello": "v18.0.0", "typescript": false}'
    # Says hello as the driver does: the pipe for that is in the last argument.
    old.write_text(
        f"#!{sys.executable}\nimport os, re, sys\n"
        f"fd = re.search(r'\"reports\": (\\d+)', sys.argv[-1]).group(1)\n"
        f"os.write(int(fd), b'{hello}\\n')\n"
    )
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])
    node.warm_up()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(LanguageMissing, match=r"v18\.0\.0 .*22\.13.*npm install -g typescript"):
        node.start_kernel(object.__new__(Port), "typescript")


def test_the_driver_of_node_is_beside_its_module() -> None:
    # The wheel has every file of the package.
    assert Path(node.__file__).with_name("node_driver.js").is_file()
