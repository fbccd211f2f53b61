"""The steps of a template, in E2B's words: each method adds one and returns the builder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from localbox.errors import BuildException
from localbox.templates.context import check_source
from localbox.templates.model import CopyItem, Instruction, InstructionType
from localbox.templates.readycmd import ReadyCmd, wait_for_file

if TYPE_CHECKING:
    from localbox.templates.base import TemplateBase

OnePath = str | Path
Paths = str | Path | list[str | Path]


class TemplateBuilder:
    """A template that has a base; add steps, then give it to `Template.build`."""

    def __init__(self, template: TemplateBase) -> None:
        self._template = template

    def copy(
        self,
        src: Paths,
        dest: OnePath,
        force_upload: Literal[True] | None = None,
        user: str | None = None,
        mode: int | None = None,
        resolve_symlinks: bool | None = None,
        gzip: bool | None = None,
    ) -> TemplateBuilder:
        """Copy files of the context directory: a directory gives its content, a file itself.

        Args:
            src: paths or globs, relative to the context directory.
            dest: where to, relative to the working directory. A directory if it ends in "/", if
                it is one already, or if several files come.
            force_upload, gzip: accepted as E2B does; nothing is uploaded.
            user: accepted; everything in a sandbox is its one user's.
            mode: permissions, such as 0o755, in place of those of the files.
            resolve_symlinks: copy what links lead to instead of the links.

        Raises:
            TemplateException: a path is absolute or leads out of the context directory.
        """
        for source in [src] if isinstance(src, str | Path) else src:
            check_source(str(source))
            self._add(
                InstructionType.COPY,
                [str(source), str(dest), user or "", "" if mode is None else f"{mode:04o}"],
                force=force_upload or self._template._force_next_layer,
                force_upload=force_upload,
                resolve_symlinks=resolve_symlinks,
                gzip=gzip,
            )
        return self

    def copy_items(self, items: list[CopyItem]) -> TemplateBuilder:
        """Several `copy` at once: `[{"src": ..., "dest": ..., "mode": ...}, ...]`."""
        for item in items:
            self.copy(
                item["src"],
                item["dest"],
                item.get("forceUpload"),
                item.get("user"),
                item.get("mode"),
                item.get("resolveSymlinks"),
                item.get("gzip"),
            )
        return self

    def remove(
        self,
        path: Paths,
        force: bool = False,
        recursive: bool = False,
        user: str | None = None,
    ) -> TemplateBuilder:
        """Remove files, with `recursive` directories; `force` does not mind what is not there."""
        flags = [*(["-r"] if recursive else []), *(["-f"] if force else [])]
        return self.run_cmd(" ".join(["rm", *flags, *_quoted(path)]), user=user)

    def rename(
        self, src: OnePath, dest: OnePath, force: bool = False, user: str | None = None
    ) -> TemplateBuilder:
        """Move or rename a file or directory; `force` replaces what is there."""
        flags = ["-f"] if force else []
        return self.run_cmd(" ".join(["mv", *_quoted([src, dest]), *flags]), user=user)

    def make_dir(
        self, path: Paths, mode: int | None = None, user: str | None = None
    ) -> TemplateBuilder:
        """Make directories and their parents, with permissions such as 0o755."""
        flags = [] if mode is None else [f"-m {mode:04o}"]
        return self.run_cmd(" ".join(["mkdir", "-p", *flags, *_quoted(path)]), user=user)

    def make_symlink(
        self, src: OnePath, dest: OnePath, user: str | None = None, force: bool = False
    ) -> TemplateBuilder:
        """Make a symbolic link at `dest` that leads to `src`; `force` replaces what is there."""
        flags = ["-f"] if force else []
        return self.run_cmd(" ".join(["ln", "-s", *flags, *_quoted([src, dest])]), user=user)

    def run_cmd(self, command: str | list[str], user: str | None = None) -> TemplateBuilder:
        """Run a shell command while the template is built; of several, each if the last succeeded.

        Args:
            user: accepted; everything in a sandbox is its one user's.
        """
        joined = command if isinstance(command, str) else " && ".join(command)
        return self._add(InstructionType.RUN, [joined, user] if user else [joined])

    def set_workdir(self, workdir: OnePath) -> TemplateBuilder:
        """The working directory of later steps and of sandboxes; it is made if it is not there."""
        return self._add(InstructionType.WORKDIR, [str(workdir)])

    def set_user(self, user: str) -> TemplateBuilder:
        """The user of later steps: accepted; everything in a sandbox is its one user's."""
        return self._add(InstructionType.USER, [user])

    def set_envs(self, envs: dict[str, str]) -> TemplateBuilder:
        """Environment variables of later steps and of sandboxes."""
        if not envs:
            return self
        return self._add(InstructionType.ENV, [word for pair in envs.items() for word in pair])

    def pip_install(
        self, packages: str | list[str] | None = None, g: bool = True
    ) -> TemplateBuilder:
        """Install Python packages with pip; none means the project in the working directory.

        Args:
            g: into the Python environment; False for the user's own directory.
        """
        flags = [] if g else ["--user"]
        return self._install(["pip", "install", *flags], packages or ["."], g)

    def npm_install(
        self,
        packages: str | list[str] | None = None,
        g: bool | None = False,
        dev: bool | None = False,
    ) -> TemplateBuilder:
        """Install packages with npm; none means those of package.json in the working directory."""
        flags = [*(["-g"] if g else []), *(["--save-dev"] if dev else [])]
        return self._install(["npm", "install", *flags], packages or [], g)

    def bun_install(
        self,
        packages: str | list[str] | None = None,
        g: bool | None = False,
        dev: bool | None = False,
    ) -> TemplateBuilder:
        """Install packages with bun; none means those of package.json in the working directory."""
        flags = [*(["-g"] if g else []), *(["--dev"] if dev else [])]
        return self._install(["bun", "install", *flags], packages or [], g)

    def apt_install(
        self,
        packages: str | list[str],
        no_install_recommends: bool = False,
        fix_missing: bool = False,
    ) -> TemplateBuilder:
        """Described as in E2B; it cannot be built here, where the system is this machine's own."""
        flags = ["--no-install-recommends"] if no_install_recommends else []
        flags += ["--fix-missing"] if fix_missing else []
        quiet = "DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes"
        install = [quiet, "apt-get install -y", *flags, *_words(packages)]
        return self.run_cmd(["apt-get update", " ".join(install)], user="root")

    def git_clone(
        self,
        url: str,
        path: OnePath | None = None,
        branch: str | None = None,
        depth: int | None = None,
        user: str | None = None,
    ) -> TemplateBuilder:
        """Clone a git repository, of a branch only what leads to it, of that the last `depth`."""
        words = ["git", "clone", shlex.quote(url)]
        if branch:
            words += ["--branch", shlex.quote(branch), "--single-branch"]
        if depth:
            words += ["--depth", str(depth)]
        if path:
            words += _quoted(path)
        return self.run_cmd(" ".join(words), user=user)

    def skip_cache(self) -> TemplateBuilder:
        """Build all that follows anew, whatever was kept of earlier builds."""
        self._template._force_next_layer = True
        return self

    def set_start_cmd(self, start_cmd: str, ready_cmd: str | ReadyCmd) -> TemplateFinal:
        """What every sandbox starts with, and how to tell that it is ready.

        Args:
            start_cmd: runs in the background of each new sandbox.
            ready_cmd: asked again and again until its exit code is 0; only then `create` returns.
        """
        self._template._start_cmd = start_cmd
        return self.set_ready_cmd(ready_cmd)

    def set_ready_cmd(self, ready_cmd: str | ReadyCmd) -> TemplateFinal:
        """How to tell that a new sandbox is ready; see `set_start_cmd`."""
        if isinstance(ready_cmd, ReadyCmd):
            ready_cmd = ready_cmd.get_cmd()
        self._template._ready_cmd = ready_cmd
        self._template._note_line()
        return TemplateFinal(self._template)

    def add_mcp_server(self, servers: str | list[str]) -> TemplateBuilder:
        """
        Raises:
            BuildException: the template is not `from_template("mcp-gateway")`, which only E2B has.
        """
        self._require_base("mcp-gateway", "MCP servers")
        return self.run_cmd(" ".join(["mcp-gateway pull", *_words(servers)]), user="root")

    def beta_dev_container_prebuild(self, devcontainer_directory: OnePath) -> TemplateBuilder:
        """
        Raises:
            BuildException: the template is not `from_template("devcontainer")`, which only E2B has.
        """
        self._require_base("devcontainer", "dev containers")
        directory = shlex.quote(str(devcontainer_directory))
        return self.run_cmd(f"devcontainer build --workspace-folder {directory}", user="root")

    def beta_set_dev_container_start(self, devcontainer_directory: OnePath) -> TemplateFinal:
        """
        Raises:
            BuildException: the template is not `from_template("devcontainer")`, which only E2B has.
        """
        self._require_base("devcontainer", "dev containers")
        directory = shlex.quote(str(devcontainer_directory))
        up = " && ".join(
            [
                f"sudo devcontainer up --workspace-folder {directory}",
                f"sudo /prepare-exec.sh {directory} | sudo tee /devcontainer.sh > /dev/null",
                "sudo chmod +x /devcontainer.sh",
                "sudo touch /devcontainer.up",
            ]
        )
        return self.set_start_cmd(up, wait_for_file("/devcontainer.up"))

    def _require_base(self, name: str, what: str) -> None:
        if self._template._base_template != name:
            raise BuildException(
                f"{what} need from_template({name!r}), a template of E2B's cloud; here, install "
                "and start the server with run_cmd and set_start_cmd"
            )

    def _install(
        self, command: list[str], packages: str | list[str], everywhere: bool | None
    ) -> TemplateBuilder:
        user = "root" if everywhere else None
        return self.run_cmd(" ".join([*command, *_words(packages)]), user=user)

    def _add(
        self,
        kind: InstructionType,
        args: list[str],
        *,
        force: bool | None = None,
        force_upload: Literal[True] | None = None,
        resolve_symlinks: bool | None = None,
        gzip: bool | None = None,
    ) -> TemplateBuilder:
        template = self._template
        instruction: Instruction = {
            "type": kind,
            "args": args,
            "force": template._force_next_layer if force is None else force,
            "forceUpload": force_upload,
        }
        if kind is InstructionType.COPY:
            instruction["resolveSymlinks"] = resolve_symlinks
            instruction["gzip"] = gzip
        template._instructions.append(instruction)
        template._note_line()
        return self


class TemplateFinal:
    """A template whose start or ready command is set; there is nothing to add but to build it."""

    def __init__(self, template: TemplateBase) -> None:
        self._template = template


TemplateClass = TemplateFinal | TemplateBuilder


def _words(one_or_more: str | list[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else list(one_or_more)


def _quoted(paths: str | Path | list[str | Path]) -> list[str]:
    several = [paths] if isinstance(paths, str | Path) else paths
    return [shlex.quote(str(path)) for path in several]
