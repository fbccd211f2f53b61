"""Reads a Dockerfile into the steps of a template.

The package `e2b-dockerfile-utils` knows the syntax, as BuildKit does; this knows what the
instructions mean. What would silently mean nothing here is an error that names the line.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from localbox.errors import TemplateException
from localbox.templates.readycmd import wait_for_timeout

if TYPE_CHECKING:
    from localbox.templates.builder import TemplateBuilder

SUPPORTED = ("FROM", "RUN", "COPY", "ADD", "WORKDIR", "ENV", "ARG", "USER", "CMD", "ENTRYPOINT")
# They describe an image and change nothing in it.
_DESCRIBE = ("EXPOSE", "VOLUME", "LABEL", "MAINTAINER")

# What each instruction's flags may be. Those that are False change how fast a build is, or what
# an image says of itself, and are passed over.
_FLAGS = {
    "FROM": {"platform": False},
    "RUN": {"mount": False, "network": False, "security": False, "device": False},
    "COPY": {
        "chown": True,
        "chmod": True,
        "from": True,
        "link": False,
        "exclude": False,
        "parents": False,
    },
}
_FLAGS["ADD"] = {**_FLAGS["COPY"], "keep-git-dir": False, "checksum": False, "unpack": False}
_OCTAL = re.compile(r"[0-7]{3,4}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# E2B's: nobody has said how to tell that the command is ready.
_ASSUMED_READY_AFTER_MS = 20_000


class DockerfileSyntaxError(ValueError):
    """A Dockerfile is not valid, or asks for what cannot be built here.

    Args:
        line: where, from 1; None if it is about the whole.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        where = "Dockerfile" if line is None else f"Dockerfile, line {line}"
        super().__init__(f"{where}: {message}")


def read_dockerfile(content_or_path: str, builder: TemplateBuilder) -> str:
    """Add to `builder` what a Dockerfile says; returns the image it starts from.

    Raises:
        DockerfileSyntaxError: it is not valid, or not possible here; the message names the line.
        TemplateException: what reads Dockerfiles is not installed.
    """
    try:
        import e2b_dockerfile_utils as syntax
    except ImportError:
        raise TemplateException(
            "Dockerfiles need a package that is not installed: pip install 'localbox[templates]'"
        ) from None
    try:
        tree = syntax.parse_dockerfile_ast(_content(content_or_path))
    except syntax.DockerfileSyntaxError as error:
        raise DockerfileSyntaxError(_without_prefix(str(error)), error.line) from None
    builder._template._warnings += [
        f"Dockerfile, line {warning.line}: {warning.message}" for warning in tree.warnings
    ]
    return _Reader(builder, tree.escape_token, syntax).read(tree.instructions)


def _content(content_or_path: str) -> str:
    try:
        if os.path.isfile(content_or_path):
            with open(content_or_path, encoding="utf-8") as file:
                return file.read()
    except ValueError:
        # Text with a NUL byte is no path; whether it is a Dockerfile, the parser says.
        pass
    return content_or_path


def _without_prefix(message: str) -> str:
    return re.sub(r"^Dockerfile parse error(?: on line \d+)?: ", "", message)


class _Reader:
    def __init__(self, builder: TemplateBuilder, escape: str, syntax: Any) -> None:
        self._builder = builder
        self._syntax = syntax
        # Variables are left for the build, which knows those of the base as well.
        self._words = syntax.ShellLex(escape)
        self._values: dict[str, str] = {}
        self._known = syntax.ShellLex(escape, env=self._values, skip_unset_env=False)
        self._bodies = syntax.ShellLex(
            escape, env=self._values, skip_unset_env=False, skip_process_quotes=True
        )
        self._seen: set[str] = set()
        self._command: Any = None
        self._entrypoint: Any = None
        self._line: int | None = None

    def read(self, instructions: list[Any]) -> str:
        froms = [each for each in instructions if each.name == "FROM"]
        if not froms:
            self._fail("there is no FROM")
        if len(froms) > 1:
            self._line = froms[1].start_line
            self._fail("builds of several stages are not supported; a second FROM begins one")
        image = ""
        for each in instructions:
            self._line = each.start_line
            if each.name == "FROM":
                image = self._from(each)
                # Docker's defaults.
                self._builder.set_user("root").set_workdir("/")
            elif not image and each.name != "ARG":
                self._fail(f"{each.name} comes before FROM; only ARG may")
            else:
                self._instruction(each)
        self._line = None
        self._set_start_command()
        # A sandbox's defaults, where nothing else was said.
        if "USER" not in self._seen:
            self._builder.set_user("user")
        if "WORKDIR" not in self._seen:
            self._builder.set_workdir("/home/user")
        return image

    def _fail(self, message: str) -> NoReturn:
        raise DockerfileSyntaxError(message, self._line)

    def _instruction(self, each: Any) -> None:
        name = each.name
        self._seen.add(name)
        if name == "RUN":
            self._flags(each)
            self._builder.run_cmd(self._run_command(each))
        elif name in {"COPY", "ADD"}:
            self._copy(each)
        elif name == "WORKDIR":
            self._builder.set_workdir(self._one_word(each))
        elif name == "USER":
            self._builder.set_user(self._one_word(each))
        elif name == "ENV":
            self._set_variables(zip(each.args[::3], each.args[1::3], strict=True), each)
        elif name == "ARG":
            pairs = (word.partition("=") for word in each.args)
            self._set_variables(((key, value) for key, _equals, value in pairs), each)
        elif name == "CMD":
            self._flags(each)
            self._command = each
        elif name == "ENTRYPOINT":
            self._flags(each)
            self._entrypoint = each
        elif name not in _DESCRIBE:
            self._fail(f"{name} is not supported; supported are {', '.join(SUPPORTED)}")

    def _word(self, text: str, lexer: Any = None) -> str:
        """Without quotes and escapes; variables stay."""
        try:
            return str((lexer or self._words).process_word(text))
        except ValueError as error:
            self._fail(str(error))

    def _one_word(self, each: Any) -> str:
        self._flags(each)
        if len(each.args) != 1:
            self._fail(f"{each.name} takes one argument, not {len(each.args)}")
        return self._word(each.args[0])

    def _flags(self, each: Any) -> dict[str, str]:
        allowed = _FLAGS.get(each.name, {})
        values: dict[str, str] = {}
        for flag in each.flags:
            name, equals, value = flag.removeprefix("--").partition("=")
            if name not in allowed:
                self._fail(f"{each.name} has no flag {flag!r}")
            if name in values:
                self._fail(f"{each.name} has flag --{name} twice")
            if allowed[name] and not equals:
                self._fail(f"flag --{name} of {each.name} needs a value")
            values[name] = value
            if not allowed[name]:
                self._builder._template._warnings.append(
                    f"Dockerfile, line {self._line}: {each.name} {flag} has no effect here"
                )
        return values

    def _from(self, each: Any) -> str:
        self._flags(each)
        words = each.args
        if len(words) != 1 and not (len(words) == 3 and words[1].lower() == "as"):
            self._fail("FROM takes an image, and perhaps AS and a name")
        return self._word(words[0], self._known)

    def _run_command(self, each: Any) -> str:
        if not each.args:
            self._fail("RUN takes a command")
        if each.json:
            return shlex.join(each.args)
        line = str(each.args[0])
        if not each.heredocs:
            return line
        first = each.heredocs[0]
        if len(each.heredocs) > 1 or self._syntax.parse_heredoc(line.strip()) is None:
            # Part of a command, such as `cat <<EOF > file`: the shell knows what to do.
            return line + "".join(f"\n{part.content}{part.name}" for part in each.heredocs)
        script = self._body(first)
        if not script.startswith("#!"):
            return script
        path = "/tmp/dockerfile-script"
        return (
            f"{_write_text(script, path)} && chmod +x {path} && {path}\n"
            f"code=$?; rm -f {path}; exit $code"
        )

    def _body(self, heredoc: Any) -> str:
        content = heredoc.content
        return str(self._syntax.chomp_heredoc_content(content) if heredoc.chomp else content)

    def _copy(self, each: Any) -> None:
        flags = self._flags(each)
        if len(each.args) < 2:
            self._fail(f"{each.name} takes what to copy and where to")
        if "from" in flags:
            self._fail(
                f"{each.name} --from={flags['from']} is not supported: there is one stage, and no "
                "other image to copy from"
            )
        *sources, dest = each.args
        if self._syntax.parse_heredoc(dest) is not None:
            self._fail(f"{each.name} cannot copy to a here-document")
        dest = self._word(dest)
        user = self._word(flags["chown"]) if "chown" in flags else None
        mode = self._mode(flags["chmod"]) if "chmod" in flags else None
        bodies = {heredoc.name: heredoc for heredoc in each.heredocs}
        for raw in sources:
            marker = self._syntax.parse_heredoc(raw)
            if marker is not None:
                self._copy_heredoc(bodies[marker.name], dest, mode)
                continue
            source = self._word(raw)
            if each.name == "ADD" and _URL.match(source):
                self._fail(
                    f"ADD of {source} is not supported: download it with RUN, or add a local file"
                )
            self._builder.copy(source, dest, user=user, mode=mode)

    def _mode(self, flag: str) -> int:
        value = self._word(flag, self._known)
        if not _OCTAL.fullmatch(value):
            self._fail(f"--chmod={flag} is not an octal mode, such as 0755")
        return int(value, 8)

    def _copy_heredoc(self, heredoc: Any, dest: str, mode: int | None) -> None:
        text = self._body(heredoc)
        if heredoc.expand:
            text = self._word(text, self._bodies)
        name = shlex.quote(heredoc.name)
        steps = [f"dest={shlex.quote(dest)}"]
        if dest.endswith("/"):
            steps.append(f'dest="$dest"{name}')
        else:
            steps.append(f'if [ -d "$dest" ]; then dest="$dest"/{name}; fi')
        steps.append(f'mkdir -p "$(dirname "$dest")" && {_write_text(text, None)}')
        if mode is not None:
            steps.append(f'chmod {mode:o} "$dest"')
        self._builder.run_cmd("\n".join(steps), user="root")

    def _set_variables(self, pairs: Any, each: Any) -> None:
        self._flags(each)
        envs: dict[str, str] = {}
        for raw_name, raw_value in pairs:
            name = self._word(raw_name)
            if not name:
                self._fail(f"a variable of {each.name} has no name")
            envs[name] = self._word(raw_value)
            self._values[name] = self._word(raw_value, self._known)
        if not envs:
            self._fail(f"{each.name} takes at least one variable")
        self._builder.set_envs(envs)

    def _set_start_command(self) -> None:
        """ENTRYPOINT and CMD together, by Docker's rules."""
        command, entrypoint = self._command, self._entrypoint
        whole = ""
        if entrypoint is None:
            whole = _shell(command) if command is not None else ""
        elif not entrypoint.json:
            # A shell takes no further arguments.
            whole = _shell(entrypoint)
        else:
            words = list(entrypoint.args)
            if command is not None and command.json:
                words += command.args
            elif command is not None and command.args:
                words += ["/bin/sh", "-c", command.args[0]]
            whole = shlex.join(words)
        if whole.strip():
            self._builder.set_start_cmd(whole, wait_for_timeout(_ASSUMED_READY_AFTER_MS))
            self._builder._template._ready_is_assumed = True


def _shell(each: Any) -> str:
    if each.json:
        return shlex.join(each.args)
    return str(each.args[0]) if each.args else ""


def _write_text(text: str, path: str | None) -> str:
    """A shell command that writes `text` to `path`, or to "$dest"; no delimiter could be in it."""
    target = '"$dest"' if path is None else shlex.quote(path)
    return f"printf %s {shlex.quote(text)} > {target}"
