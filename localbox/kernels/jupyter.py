"""Runs cells of R and Java, through whatever Jupyter kernel for them is installed in the sandbox.

This process is only the client between the host and that kernel. The packages it takes for that
are the sandbox's own, so they are looked for when a context starts; pyzmq's threads are in order
here, for cells run elsewhere.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import re
import secrets
import shutil
import signal
import tempfile
import time

from localbox.kernels.child import Child
from localbox.kernels.languages import LanguageMissing
from localbox.kernels.mime import result_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from localbox.kernels.port import Cell, Port

_TO_INSTALL = {
    "r": "install R and its Jupyter kernel: apt-get install r-base, then in R "
    "install.packages('IRkernel'); IRkernel::installspec()",
    "java": "install a JDK and a Jupyter kernel for it, IJava or JJava: apt-get install "
    "default-jdk, then the kernel's own install.py",
}
# How a variable is set and unset for one cell; a running JVM cannot change its environment.
_SET = {"r": "Sys.setenv({name}={value})", "java": "System.setProperty({quoted}, {value});"}
_UNSET = {"r": "Sys.unsetenv({quoted})", "java": "System.clearProperty({quoted});"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_START_S = 60.0
_TICK_S = 0.25
_STREAMS = {"stdout": 1, "stderr": 2}


def warm_up() -> None:
    """Nothing of the sandbox's own packages can be loaded before it is entered."""


def start_kernel(_port: Port, language: str) -> JupyterKernel:
    try:
        client = importlib.import_module("jupyter_client")
        importlib.import_module("jupyter_client.kernelspec")
        importlib.import_module("jupyter_client.connect")
    except ImportError as error:
        raise LanguageMissing(
            f"{language} needs the package jupyter_client (pip install jupyter_client), "
            f"and its own kernel: {_TO_INSTALL[language]}"
        ) from error
    return JupyterKernel(client, _find_spec(client, language), language)


def _find_spec(client: Any, language: str) -> Any:
    manager = client.kernelspec.KernelSpecManager()
    for name in sorted(manager.find_kernel_specs()):
        try:
            spec = manager.get_kernel_spec(name)
        except (OSError, ValueError, client.kernelspec.NoSuchKernel):
            continue  # somebody's broken kernelspec
        if spec.language.lower() == language:
            return spec
    raise LanguageMissing(
        f"no Jupyter kernel for {language} is installed here: {_TO_INSTALL[language]}"
    )


class JupyterKernel:
    def __init__(self, client: Any, spec: Any, language: str) -> None:
        self._language = language
        self._by_message = spec.interrupt_mode == "message"
        self._interrupts = 0
        self._last_stream: str | None = None
        directory = tempfile.mkdtemp(prefix="localbox-jupyter-")
        try:
            file_name, settings = client.connect.write_connection_file(
                os.path.join(directory, "connection.json"),
                ip="127.0.0.1",
                key=secrets.token_hex(32).encode(),
            )
            self._name = spec.display_name
            self._kernel = self._start(spec, file_name)
            self._client = client.BlockingKernelClient()
            self._client.load_connection_info(settings)
            self._client.start_channels(hb=False, stdin=False)
            self._await_start()
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _start(self, spec: Any, connection_file: str) -> Child:
        places = {"{connection_file}": connection_file, "{resource_dir}": spec.resource_dir}
        argv = list(spec.argv)
        for place, value in places.items():
            argv = [word.replace(place, value) for word in argv]
        lifeline = os.pipe()
        try:
            return Child(
                argv,
                pass_fds=[lifeline[0]],
                lifeline=lifeline,
                env={**os.environ, **spec.env},
            )
        except OSError as error:
            raise LanguageMissing(
                f"the Jupyter kernel {spec.display_name} cannot be started: {error}; "
                f"{_TO_INSTALL[self._language]}"
            ) from error
        finally:
            os.close(lifeline[0])

    def _await_start(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self._client.wait_for_ready(timeout=1)
            except RuntimeError:
                if self._kernel.has_died() or time.monotonic() > deadline:
                    self._kernel.close()
                    raise LanguageMissing(
                        f"the Jupyter kernel {self._name} is installed but does not start; "
                        f"{_TO_INSTALL[self._language]}"
                    ) from None
            else:
                return

    def execute(self, cell: Cell) -> None:
        """Run the cell in the Jupyter kernel, and tell what that says of it."""
        names = [name for name in cell.env if _NAME.fullmatch(name)]
        self._last_stream = None
        self._interrupts = 0
        self._kernel.attend(self._interrupt)
        try:
            for name in names:
                self._set(name, cell.env[name])
            self._run(cell, cell.code)
            if not self._kernel.has_died():
                for name in names:
                    self._set(name, os.environ.get(name))
        finally:
            self._kernel.leave()

    def _set(self, name: str, value: str | None) -> None:
        template = (_UNSET if value is None else _SET)[self._language]
        quoted, quoted_value = (
            json.dumps(text, ensure_ascii=False) for text in (name, value or "")
        )
        self._run(None, template.format(name=name, quoted=quoted, value=quoted_value))

    def _run(self, cell: Cell | None, code: str) -> None:
        """Run code until the kernel is idle again; silently, if it is not a cell's."""
        request = self._client.execute(
            code, silent=cell is None, store_history=cell is not None, allow_stdin=False
        )
        sent = 0
        while True:
            if self._by_message and self._interrupts > sent:
                sent += 1
                self._client.control_channel.send(self._client.session.msg("interrupt_request", {}))
            try:
                message = self._client.get_iopub_msg(timeout=_TICK_S)
            except queue.Empty:
                if not self._kernel.has_died():
                    continue
                if cell is not None:
                    self._kernel.fail(cell, f"the Jupyter kernel {self._name}")
                return
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                self._take_replies(request)
                return
            if cell is not None:
                self._tell(cell, message["msg_type"], content)

    def _take_replies(self, request: str) -> None:
        # They say what iopub has said already, and would pile up.
        while True:
            try:
                reply = self._client.get_shell_msg(timeout=1)
            except queue.Empty:
                return
            if reply["parent_header"].get("msg_id") == request:
                return

    def _tell(self, cell: Cell, kind: str, content: dict[str, Any]) -> None:
        if kind == "execute_input":
            cell.count(content["execution_count"])
        elif kind == "stream":
            self._write(cell, content["name"], content["text"])
        elif kind == "display_data":
            cell.show(result_of(content["data"]))
        elif kind == "execute_result":
            result = result_of(content["data"])
            text = result.get("text", "")
            # As E2B does: a string without the quotes around it.
            if len(text) > 1 and text[0] == text[-1] == "'":
                result["text"] = text[1:-1]
            cell.show(result, is_main=True)
        elif kind == "error":
            traceback = _ANSI.sub("", "\n".join(content["traceback"]))
            cell.fail(content["ename"], content["evalue"], traceback)

    def _write(self, cell: Cell, stream: str, text: str) -> None:
        if self._last_stream not in {None, stream}:
            cell.settle()
        self._last_stream = stream
        data = memoryview(text.encode(errors="surrogateescape"))
        while data:
            data = data[os.write(_STREAMS.get(stream, 1), data) :]

    def _interrupt(self, attempt: int) -> None:
        if attempt == 0:
            self._interrupts += 1
            if not self._by_message:
                self._kernel.signal_group(signal.SIGINT)
