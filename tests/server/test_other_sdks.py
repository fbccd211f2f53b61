"""E2B's SDKs that cannot be installed beside the tests' own: JavaScript's, and an older pair.

npm install --prefix DIR e2b @e2b/code-interpreter; LOCALBOX_TEST_NODE=DIR
pip install --target DIR e2b==2.31.0; LOCALBOX_TEST_OLD_E2B=DIR
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from localbox.server.run import Server

NODE = os.environ.get("LOCALBOX_TEST_NODE")
OLD = os.environ.get("LOCALBOX_TEST_OLD_E2B")

JAVASCRIPT = """
import { Sandbox } from "e2b"
import { Sandbox as Interpreter } from "@e2b/code-interpreter"
const seen = {}
const metadata = { "a b": "c&d=\\u00e9" }
const sandbox = await Sandbox.create({ timeoutMs: 60000, metadata, envs: { NAME: "you" } })
seen.run = (await sandbox.commands.run("echo hi $NAME")).stdout
await sandbox.files.write("a.txt", "hello")
seen.read = await sandbox.files.read("a.txt")
seen.list = (await sandbox.files.list(".")).map((entry) => entry.name)
const pages = Sandbox.list({ query: { metadata, state: ["running", "paused"] } })
seen.found = (await pages.nextItems()).map((info) => info.sandboxId === sandbox.sandboxId)
seen.paused = await sandbox.pause()
seen.kept = await (await Sandbox.connect(sandbox.sandboxId)).files.read("a.txt")
seen.metrics = (await sandbox.getMetrics()).length > 0
let hear
const heard = new Promise((resolve) => { hear = resolve })
const watcher = await sandbox.files.watchDir(".", (event) => hear(event.name))
await sandbox.files.write("b.txt", "")
seen.heard = await heard
await watcher.stop()
try { await sandbox.commands.run("exit 3") } catch (error) { seen.exit = error.exitCode }
const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => {} })
await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode("exit\\n"))
seen.terminal = (await terminal.wait()).exitCode
seen.killed = await sandbox.kill()
seen.running = await sandbox.isRunning()
const interpreter = await Interpreter.create({ timeoutMs: 60000 })
seen.cell = (await interpreter.runCode("x = 20\\nx * 2 + 2")).text
await interpreter.kill()
console.log(JSON.stringify(seen))
"""

PYTHON = """
import json, sys
sys.path.insert(0, sys.argv[1])
import e2b
seen = {}
sandbox = e2b.Sandbox.create(timeout=60, metadata={"a b": "c&d="}, envs={"NAME": "you"})
seen["run"] = sandbox.commands.run("echo hi $NAME").stdout
sandbox.files.write("a.txt", "hello")
seen["read"] = sandbox.files.read("a.txt")
seen["list"] = [entry.name for entry in sandbox.files.list(".")]
query = e2b.SandboxQuery(metadata={"a b": "c&d="})
found = e2b.Sandbox.list(query).next_items()
seen["found"] = [info.sandbox_id == sandbox.sandbox_id for info in found]
sandbox.pause()
seen["kept"] = e2b.Sandbox.connect(sandbox.sandbox_id).files.read("a.txt")
seen["metrics"] = len(sandbox.get_metrics()) > 0
snapshot = sandbox.create_snapshot()
seen["snapshot"] = e2b.Sandbox.delete_snapshot(snapshot.snapshot_id)
try:
    sandbox.commands.run("exit 3")
except e2b.CommandExitException as error:
    seen["exit"] = error.exit_code
seen["killed"] = sandbox.kill()
seen["running"] = sandbox.is_running()
print(json.dumps(seen))
"""

SEEN = {
    "run": "hi you\n",
    "read": "hello",
    "list": ["a.txt"],
    "found": [True],
    "kept": "hello",
    "metrics": True,
    "exit": 3,
    "killed": True,
    "running": False,
}


def seen_by(command: list[str], server: Server, cwd: Path) -> dict[str, object]:
    environment = {**os.environ, **server.env}
    done = subprocess.run(
        command, env=environment, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="LOCALBOX_TEST_NODE names no directory")
def test_the_javascript_sdk(server: Server):
    assert NODE is not None
    script = Path(NODE) / "localbox-test.mjs"
    script.write_text(JAVASCRIPT, "utf-8")
    more = {"paused": True, "heard": "b.txt", "terminal": 0, "cell": "42"}
    assert seen_by(["node", str(script)], server, Path(NODE)) == SEEN | more


@pytest.mark.skipif(OLD is None, reason="LOCALBOX_TEST_OLD_E2B names no directory")
def test_an_older_python_sdk(server: Server, tmp_path: Path):
    command = [sys.executable, "-I", "-c", PYTHON, str(OLD)]
    assert seen_by(command, server, tmp_path) == SEEN | {"snapshot": True}
