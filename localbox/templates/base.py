"""`TemplateBase`: what a template starts from, and how it is written as JSON or a Dockerfile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from localbox.errors import InvalidArgumentException
from localbox.templates.builder import TemplateBuilder, TemplateClass
from localbox.templates.caller import caller_directory, caller_line
from localbox.templates.context import RESOLVE_SYMLINKS, Context
from localbox.templates.model import Instruction, InstructionType, RegistryConfig, TemplateType

BASE_IMAGE = "e2bdev/base"


class TemplateBase:
    """A template without steps: choose what it starts from."""

    def __init__(
        self,
        file_context_path: str | Path | None = None,
        file_ignore_patterns: list[str] | None = None,
    ) -> None:
        """
        Args:
            file_context_path: the directory `copy` takes files from; if not given, that of the
                file this is called in.
            file_ignore_patterns: what not to take, in `.dockerignore` syntax; they come after
                those of a `.dockerignore` in the directory, and so win over them.
        """
        self._base_image: str | None = BASE_IMAGE
        self._base_template: str | None = None
        self._registry_config: RegistryConfig | None = None
        self._start_cmd: str | None = None
        self._ready_cmd: str | None = None
        # Of a Dockerfile nobody has said how to tell that its command is ready.
        self._ready_is_assumed = False
        self._force = False
        self._force_next_layer = False
        self._instructions: list[Instruction] = []
        # Where the base and each step come from, for messages.
        self._lines: list[str | None] = []
        # About what has no effect; a build logs them.
        self._warnings: list[str] = []
        given = None if file_context_path is None else str(file_context_path)
        self._file_context_path = given or caller_directory() or "."
        self._file_ignore_patterns = list(file_ignore_patterns or [])

    def skip_cache(self) -> TemplateBase:
        """Build all that follows anew, whatever was kept of earlier builds."""
        self._force_next_layer = True
        return self

    def from_debian_image(self, variant: str = "stable") -> TemplateBuilder:
        """Debian; it can be built where this machine runs that Debian."""
        return self.from_image(f"debian:{variant}")

    def from_ubuntu_image(self, variant: str = "latest") -> TemplateBuilder:
        """Ubuntu; it can be built where this machine runs that Ubuntu."""
        return self.from_image(f"ubuntu:{variant}")

    def from_fedora_image(self, variant: str = "44") -> TemplateBuilder:
        """Fedora; it can be built where this machine runs that Fedora."""
        return self.from_image(f"fedora:{variant}")

    def from_alpine_image(self, variant: str = "3.24") -> TemplateBuilder:
        """Alpine; it can be built where this machine runs that Alpine."""
        return self.from_image(f"alpine:{variant}")

    def from_arch_image(self, variant: str = "latest") -> TemplateBuilder:
        """Arch Linux; it can be built where this machine runs it."""
        return self.from_image(f"archlinux:{variant}")

    def from_python_image(self, version: str = "3") -> TemplateBuilder:
        """Python; it can be built where localbox runs under that version."""
        return self.from_image(f"python:{version}")

    def from_node_image(self, variant: str = "lts") -> TemplateBuilder:
        """Node.js; it can be built where that version is installed."""
        return self.from_image(f"node:{variant}")

    def from_bun_image(self, variant: str = "latest") -> TemplateBuilder:
        """Bun; it can be built where it is installed."""
        return self.from_image(f"oven/bun:{variant}")

    def from_base_image(self) -> TemplateBuilder:
        """What `Sandbox.create()` uses: this machine's system and Python environment."""
        return self.from_image(BASE_IMAGE)

    def from_image(
        self, image: str, username: str | None = None, password: str | None = None
    ) -> TemplateBuilder:
        """An image by its name. Nothing is downloaded: `build` says which are to be had here.

        Raises:
            InvalidArgumentException: a name without a password, or the reverse.
        """
        config: RegistryConfig | None = None
        if username is not None or password is not None:
            if not username or not password:
                raise InvalidArgumentException(
                    "a registry needs both username= and password=, or neither"
                )
            config = {"type": "registry", "username": username, "password": password}
        return self._from_image(image, config)

    def from_template(self, template: str) -> TemplateBuilder:
        """Another template of this machine, by its name, `name:tag` or id."""
        self._base_template = template
        self._base_image = None
        return self._start()

    def from_dockerfile(self, dockerfile_content_or_path: str) -> TemplateBuilder:
        """What a Dockerfile says, given as a path or as its text.

        Raises:
            DockerfileSyntaxError: it is not valid, or asks for what cannot be built here; the
                message names the line.
        """
        from localbox.templates.dockerfile import read_dockerfile

        builder = TemplateBuilder(self)
        self._base_image = read_dockerfile(dockerfile_content_or_path, builder)
        self._start()
        return builder

    def from_aws_registry(
        self, image: str, access_key_id: str, secret_access_key: str, region: str
    ) -> TemplateBuilder:
        """An image in AWS's registry: described as in E2B; it cannot be built here."""
        config: RegistryConfig = {
            "type": "aws",
            "awsAccessKeyId": access_key_id,
            "awsSecretAccessKey": secret_access_key,
            "awsRegion": region,
        }
        return self._from_image(image, config)

    def from_gcp_registry(
        self, image: str, service_account_json: str | dict[str, Any]
    ) -> TemplateBuilder:
        """An image in Google's registry: described as in E2B; it cannot be built here.

        Args:
            service_account_json: the account, or the path of its file in the context directory.
        """
        if isinstance(service_account_json, str):
            path = os.path.join(self._file_context_path, service_account_json)
            account = Path(path).read_text("utf-8")
        else:
            account = json.dumps(service_account_json)
        return self._from_image(image, {"type": "gcp", "serviceAccountJson": account})

    @staticmethod
    def to_json(template: TemplateClass) -> str:
        """The template as E2B's API takes it, with the hashes of the files it copies."""
        inner = template._template
        return json.dumps(inner._serialize(), indent=2)

    @staticmethod
    def to_dockerfile(template: TemplateClass) -> str:
        """The template as a Dockerfile.

        Raises:
            ValueError: it starts from another template, for which Dockerfiles have no word.
        """
        inner = template._template
        if inner._base_template is not None:
            raise ValueError(
                f"a template from template {inner._base_template!r} cannot be a Dockerfile, which "
                "starts from an image"
            )
        lines = [f"FROM {inner._base_image}"]
        for instruction in inner._instructions:
            kind, args = instruction["type"], instruction["args"]
            if kind is InstructionType.RUN:
                args = args[:1]
            elif kind is InstructionType.COPY:
                args = args[:2]
            elif kind is InstructionType.ENV:
                pairs = zip(args[::2], args[1::2], strict=True)
                args = [f"{name}={value}" for name, value in pairs]
            lines.append(f"{kind.value} {' '.join(args)}")
        if inner._start_cmd:
            lines.append(f"ENTRYPOINT {inner._start_cmd}")
        return "".join(f"{line}\n" for line in lines)

    def _from_image(self, image: str, config: RegistryConfig | None) -> TemplateBuilder:
        self._base_image = image
        self._base_template = None
        if config is not None:
            self._registry_config = config
        return self._start()

    def _start(self) -> TemplateBuilder:
        if self._force_next_layer:
            self._force = True
        # First, where a Dockerfile's steps have been added already.
        self._lines.insert(0, caller_line())
        return TemplateBuilder(self)

    def _note_line(self) -> None:
        self._lines.append(caller_line())

    def _context(self) -> Context:
        return Context(self._file_context_path, tuple(self._file_ignore_patterns))

    def _files_hash(self, instruction: Instruction) -> str | None:
        """Of a COPY, the digest of what it copies."""
        if instruction["type"] is not InstructionType.COPY:
            return None
        source, dest, *_rest = instruction["args"]
        follow = instruction.get("resolveSymlinks")
        return self._context().hash(source, dest, RESOLVE_SYMLINKS if follow is None else follow)

    def _serialize(self) -> TemplateType:
        steps: list[Instruction] = []
        for instruction in self._instructions:
            step: Instruction = {
                "type": instruction["type"],
                "args": instruction["args"],
                "force": instruction["force"],
            }
            files_hash = self._files_hash(instruction)
            if files_hash is not None:
                step["filesHash"] = files_hash
            force_upload = instruction.get("forceUpload")
            if force_upload is not None:
                step["forceUpload"] = force_upload
            steps.append(step)
        whole: TemplateType = {"steps": steps, "force": self._force}
        if self._base_image is not None:
            whole["fromImage"] = self._base_image
        if self._base_template is not None:
            whole["fromTemplate"] = self._base_template
        if self._registry_config is not None:
            whole["fromImageRegistry"] = self._registry_config
        if self._start_cmd is not None:
            whole["startCmd"] = self._start_cmd
        if self._ready_cmd is not None:
            whole["readyCmd"] = self._ready_cmd
        return whole
