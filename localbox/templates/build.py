"""Builds a template: each step in a sandbox of its own, whose changes become a layer.

The sandboxes are contained as all others are, but for the network, which is the host's: steps
install packages. What a step does it can do to nothing but the template.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from localbox._sync.sandbox import Sandbox
from localbox.engine import layer_store, layers
from localbox.engine.creation import DEFAULT_TEMPLATE
from localbox.engine.plan import make_plan
from localbox.engine.python_environment import current_environment
from localbox.errors import (
    BuildException,
    CommandExitException,
    NotFoundException,
    SandboxException,
)
from localbox.policy import Policy, load_profile, merge_overrides
from localbox.templates import cache, registry, use
from localbox.templates.base import BASE_IMAGE, TemplateBase
from localbox.templates.context import RESOLVE_SYMLINKS
from localbox.templates.images import base_for
from localbox.templates.installers import installer_variables, with_installer_files
from localbox.templates.logs import LogEntry, LogEntryLevel, strip_escapes
from localbox.templates.model import Instruction, InstructionType
from localbox.templates.output import Lines, failed, hint, why
from localbox.templates.registry import Build
from localbox.templates.steps import (
    State,
    chain,
    check_user,
    expand,
    place_of,
    places_in,
    shown_paths,
)

DEFAULT_PROFILE = "trusted"
_LIFETIME_S = 7 * 86400
_LAST_LINES = 15
_ARCHIVE = "/tmp/.localbox-copy"
# Changes whenever the same steps would leave other files.
_CACHE_VERSION = 1

OnLog = Callable[[LogEntry], None]


class BuildCancelledError(BuildException):
    """Whoever waited for the build does not want it any more."""


class Builder:
    """One build of one template, from its first step to the tags."""

    def __init__(
        self,
        template: TemplateBase,
        name: str,
        build: Build,
        on_log: OnLog,
        profile: str | os.PathLike[str] | Policy | None = None,
    ) -> None:
        self._template = template
        self._name = name
        self._build = build
        self._on_log = on_log
        self._variables = installer_variables()
        policy = (
            profile if isinstance(profile, Policy) else load_profile(profile or DEFAULT_PROFILE)
        )
        self._policy = with_installer_files(
            merge_overrides(policy, network="host"), self._variables
        )
        self._state = State()
        self._key = ""
        self._layer_id: str | None = None
        self._places: set[str] = set()
        self._sandbox: Sandbox | None = None
        self._cancelled = threading.Event()
        # Where it is, for messages: a step's number, or what is before and after them.
        self.step = "base"

    def cancel(self) -> None:
        """End it as soon as can be; from any thread."""
        self._cancelled.set()
        sandbox = self._sandbox
        if sandbox is not None:
            with contextlib.suppress(SandboxException):
                sandbox.kill()

    def run(self) -> Build:
        """Returns the build as it is to be written down.

        Raises:
            BuildException: a step has failed.
        """
        template = self._template
        for warning in template._warnings:
            self._log("warn", warning)
        force = template._force
        base = self._start_from(template)
        self._find_places(template)
        steps = template._instructions
        for number, instruction in enumerate(steps, 1):
            self.step = str(number)
            if self._cancelled.is_set():
                raise BuildCancelledError("the build was cancelled")
            force = force or instruction["force"]
            where = template._lines[number] if number < len(template._lines) else None
            try:
                self._run_step(instruction, f"[{number}/{len(steps)}]", force=force)
            except (BuildException, SandboxException, OSError, ValueError) as error:
                if self._cancelled.is_set():
                    raise BuildCancelledError("the build was cancelled") from None
                raise failed(error, number, len(steps), where, instruction) from error
        self.step = "finalize"
        build = dataclasses.replace(
            self._build,
            status="ready",
            base=base,
            layer_id=self._layer_id,
            envs=dict(self._state.envs),
            workdir=self._state.workdir.rstrip("/") or "/",
            user=self._state.user,
            places=tuple(sorted(self._places)),
            start_cmd=template._start_cmd,
            ready_cmd=template._ready_cmd,
            waits=not template._ready_is_assumed,
        )
        self._try_start(build)
        return build

    def _start_from(self, template: TemplateBase) -> str:
        """Set everything to what the template starts from; returns the built-in one below it."""
        if template._registry_config is not None:
            raise BuildException(
                f"image {template._base_image!r} cannot be had from its registry: images are not "
                "downloaded here; see from_base_image() and from_python_image()"
            )
        base, notes = DEFAULT_TEMPLATE, list[str]()
        if template._base_template is not None:
            self._log("info", f"[base] FROM template {template._base_template}")
            below = _parent(template._base_template)
            if isinstance(below, str):
                base = below
            else:
                base, self._layer_id = below.base, below.layer_id
                self._state = State(below.envs, below.workdir or State().workdir, below.user)
                self._places.update(below.places)
                if template._start_cmd is None:
                    template._start_cmd = below.start_cmd
                    template._ready_cmd = template._ready_cmd or below.ready_cmd
                    template._ready_is_assumed = not below.waits
        else:
            image = template._base_image or BASE_IMAGE
            self._log("info", f"[base] FROM {image}")
            base, notes = base_for(image)
        for note in notes:
            self._log("warn", note)
        environment = current_environment()
        self._key = chain(
            "",
            _CACHE_VERSION,
            base,
            self._layer_id,
            dataclasses.asdict(self._state),
            environment.prefix,
            environment.sys_path,
            os.uname().machine,
            self._policy.digest,
        )
        return base

    def _find_places(self, template: TemplateBase) -> None:
        """Directories such as /app, that have to be there before the first step writes to them."""
        self._policy = use.with_places(self._policy, self._places)
        shown = shown_paths(make_plan(self._policy)[1])
        state = self._state
        for instruction in template._instructions:
            kind, args = instruction["type"], instruction["args"]
            paths: list[str] = []
            if kind is InstructionType.ENV:
                state = state.with_variables(args, {})
            elif kind is InstructionType.WORKDIR:
                state = state.with_workdir(expand(args[0], state.envs))
                paths = [state.workdir]
            elif kind is InstructionType.COPY:
                paths = [self._directory_of(args, state)]
            elif kind is InstructionType.RUN:
                self._places |= places_in(args[0], shown)
            places = (place_of(path, shown) for path in paths)
            self._places |= {place for place in places if place is not None}
        # They decide where layers have files, and so whether a layer can be used.
        self._key = chain(self._key, sorted(self._places))
        self._policy = use.with_places(self._policy, self._places)

    def _directory_of(self, args: list[str], state: State) -> str:
        """The directory that a COPY writes to."""
        source, dest = args[0], state.absolute(expand(args[1], state.envs))
        context = self._template._file_context_path
        if dest.endswith("/") or not os.path.isfile(os.path.join(context, source)):
            return dest
        return os.path.dirname(dest)

    def _run_step(self, instruction: Instruction, label: str, *, force: bool) -> None:
        kind, args = instruction["type"], instruction["args"]
        shown = " ".join(args[:2] if kind is InstructionType.COPY else args[:1])
        what = f"{label} {kind.value} {shown}"
        if kind is InstructionType.ENV:
            # Not the values: they may be what nobody else is to read.
            self._log("info", f"{label} ENV {' '.join(args[::2])}")
            self._key = chain(self._key, kind.value, args)
            self._state = self._state.with_variables(args, self._known(args))
            return
        if kind is InstructionType.USER:
            self._log("info", what)
            self._key = chain(self._key, kind.value, args)
            self._state = self._state.with_user(expand(args[0], self._state.envs))
            return
        if kind is InstructionType.WORKDIR:
            self._state = self._state.with_workdir(self._expanded(args[0]))
            self._key = chain(self._key, kind.value, self._state.workdir)
            action: Callable[[Sandbox], None] = self._make_workdir
        elif kind is InstructionType.RUN:
            if len(args) > 1:
                check_user(args[1])
            self._key = chain(self._key, kind.value, args)

            def action(sandbox: Sandbox) -> None:
                self._run(sandbox, args[0], label)
        else:
            source, dest = self._expanded(args[0]), self._state.absolute(self._expanded(args[1]))
            if args[2]:
                check_user(self._expanded(args[2]))
            follow = bool(instruction.get("resolveSymlinks") or RESOLVE_SYMLINKS)
            files_hash = self._template._context().hash(source, dest, follow)
            self._key = chain(self._key, kind.value, dest, args[3], files_hash)

            def action(sandbox: Sandbox) -> None:
                self._copy(sandbox, source, dest, args[3], follow)

        known, layer_id = (False, None) if force else cache.find(self._key)
        if known:
            self._log("info", f"{what} (from the cache)")
            self._layer_id = layer_id
            return
        self._log("info", what)
        with self._sandbox_on_layers() as sandbox:
            action(sandbox)
            if kind is not InstructionType.WORKDIR or self._made_workdir:
                self._keep(sandbox)
        cache.store(self._key, self._layer_id)

    def _keep(self, sandbox: Sandbox) -> None:
        """Make a layer of what the sandbox has written, if it has."""
        # No limit: it takes as long as there is to copy.
        layer = sandbox._capture_use("template", 0)
        stack = layer.stack
        layer.close()
        if stack.layers[-1].parts:
            self._layer_id = stack.layer_id
        else:
            layer_store.retire(stack.layer_id)

    @contextlib.contextmanager
    def _sandbox_on_layers(self) -> Any:
        stack = layers.resolve(self._layer_id) if self._layer_id else None
        record = Sandbox._launch(
            DEFAULT_TEMPLATE,
            _LIFETIME_S,
            None,
            None,
            self._policy,
            None,
            {},
            stack=stack,
        )
        with Sandbox._of(record) as sandbox:
            self._sandbox = sandbox
            try:
                yield sandbox
            finally:
                self._sandbox = None

    def _known(self, words: list[str]) -> dict[str, str]:
        """The variables that a sandbox has anyway; nobody needs them where none is named."""
        if not any("$" in word for word in words):
            return {}
        _digest, plan = make_plan(self._policy)
        return dict(plan["env"])

    def _expanded(self, text: str) -> str:
        return expand(text, {**self._known([text]), **self._state.envs})

    def _make_workdir(self, sandbox: Sandbox) -> None:
        path = self._state.workdir
        self._made_workdir = not sandbox.files.exists(path)
        if self._made_workdir:
            sandbox.files.make_dir(path)

    def _run(self, sandbox: Sandbox, command: str, label: str) -> None:
        last: deque[str] = deque(maxlen=_LAST_LINES)
        lines = {
            name: Lines(functools.partial(self._output, f"{label} [{name}]", last))
            for name in ("stdout", "stderr")
        }
        try:
            sandbox.commands.run(
                command,
                envs={**self._variables, **self._state.envs},
                cwd=self._state.workdir,
                on_stdout=lines["stdout"].feed,
                on_stderr=lines["stderr"].feed,
                timeout=0,
                retain_output=False,
            )
        except CommandExitException as error:
            for each in lines.values():
                each.end()
            raise BuildException(why(command, error.exit_code, list(last))) from None
        for each in lines.values():
            each.end()

    def _output(self, label: str, last: deque[str], line: str) -> None:
        last.append(strip_escapes(line))
        self._log("info", f"{label}: {line}")

    def _copy(self, sandbox: Sandbox, source: str, dest: str, mode: str, follow: bool) -> None:
        context = self._template._context()
        with tempfile.TemporaryFile() as archive:
            single = context.write_archive(archive, source, follow, int(mode, 8) if mode else None)
            archive.seek(0)
            sandbox.files.write(_ARCHIVE, archive)
        program = files("localbox.templates").joinpath("unpack.py").read_text("utf-8")
        try:
            sandbox.commands.run_python(program, args=[_ARCHIVE, dest, single or ""], timeout=0)
        except CommandExitException as error:
            reason = (error.stderr or "").strip().rpartition("\n")[2]
            raise BuildException(f"cannot copy to {dest}: {reason}{hint('', reason)}") from None

    def _try_start(self, build: Build) -> None:
        if build.start_cmd is None and build.ready_cmd is None:
            return
        from localbox._sync.template_start import start

        self._log("info", f"[finalize] starting {build.start_cmd or 'nothing'}")
        with self._sandbox_on_layers() as sandbox:
            sandbox._record.cwd = build.workdir
            try:
                start(sandbox, build, dict(build.envs), is_trial=True)
            except SandboxException as error:
                raise BuildException(f"the template does not start: {error}") from error
        self._log("info", "[finalize] it is ready")

    _made_workdir = False

    def _log(self, level: LogEntryLevel, message: str) -> None:
        self._on_log(LogEntry(datetime.now(UTC).astimezone(), level, message))


def _parent(name: str) -> Build | str:
    """The local template to build on, or the name of a built-in one.

    Raises:
        BuildException: there is none.
    """
    from localbox.engine.creation import is_stored

    if not is_stored(name):
        return name
    try:
        found = registry.find_build(name)
        if found is None:
            registry.get(name)
    except NotFoundException as error:
        raise BuildException(str(error)) from error
    assert found is not None
    return found
