"""`AsyncTemplate`: describes templates, and has them built and named on this machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localbox.engine import creation
from localbox.errors import InvalidArgumentException, TemplateException
from localbox.templates import registry
from localbox.templates.base import TemplateBase
from localbox.templates.builder import TemplateClass
from localbox.templates.logs import LogEntry
from localbox.templates.model import (
    BuildInfo,
    TemplateBuildStatusResponse,
    TemplateTag,
    TemplateTagInfo,
)
from localbox.transport import asyncio as transport

if TYPE_CHECKING:
    from localbox._async.sandbox_birth import Profile
    from localbox.templates.job import Job


class AsyncTemplate(TemplateBase):
    """A template, and what can be done with templates.

    `AsyncTemplate().from_python_image().run_cmd(...)` describes one, `AsyncTemplate.build` builds
    it, and `AsyncSandbox.create("its-name")` makes sandboxes from it. Templates are kept in the
    user's data directory.
    """

    @classmethod
    async def build(
        cls,
        template: TemplateClass,
        name: str | None = None,
        *,
        alias: str | None = None,
        tags: list[str] | None = None,
        cpu_count: int | None = None,
        memory_mb: int | None = None,
        min_free_disk_mb: int | None = None,
        skip_cache: bool = False,
        on_build_logs: Callable[[LogEntry], None] | None = None,
        profile: Profile | None = None,
        **opts: Any,
    ) -> BuildInfo:
        """Build a template and return when that is done.

        Every step runs in a sandbox that stands on what the steps before it left, with the
        network of this machine. A step that was built before, on the same steps, is not run again.

        Args:
            template: what to build.
            name: "name" or "name:tag"; without a tag, and without `tags`, the tag is "default".
            alias: E2B's former word for `name`.
            tags: more tags for this build.
            cpu_count: accepted; sandboxes have all processors.
            memory_mb: what sandboxes made from it may use, in MiB, instead of their profile's.
            min_free_disk_mb: the least disk that sandboxes made from it have, in MiB.
            skip_cache: run every step, whatever is kept of earlier builds.
            on_build_logs: called with each line of the log; see `default_build_logger`.
            profile: not in E2B: what contains the build, "trusted" if not given. Its network is
                the host's in any case.

        Raises:
            BuildException: a step failed, or what it starts from is not to be had here. Nothing
                has changed but that the steps before are kept for the next time.
            InvalidArgumentException: it cannot be a name or a tag.
            TemplateException: no name.
        """
        creation.check_options(opts)
        # unasync: async
        from localbox.templates.loops import on_this_loop

        if on_build_logs is not None:
            on_build_logs = on_this_loop(on_build_logs)
        # unasync: end
        job = await cls._job(
            template, name, alias, tags, memory_mb, min_free_disk_mb, skip_cache, profile
        )
        # unasync: async
        try:
            return await transport.run(job.run, on_build_logs)
        except BaseException:
            # Its thread is not ours to stop, but the sandbox it is waiting for is.
            job.cancel()
            raise
        # unasync: sync
        # return job.run(on_build_logs)
        # unasync: end

    @classmethod
    async def build_in_background(
        cls,
        template: TemplateClass,
        name: str | None = None,
        *,
        alias: str | None = None,
        tags: list[str] | None = None,
        cpu_count: int | None = None,
        memory_mb: int | None = None,
        min_free_disk_mb: int | None = None,
        skip_cache: bool = False,
        on_build_logs: Callable[[LogEntry], None] | None = None,
        profile: Profile | None = None,
        **opts: Any,
    ) -> BuildInfo:
        """Begin to build a template, in a thread, and return at once; see `build`.

        This program does not end before the build does. How it goes, `get_build_status` says.

        Args:
            on_build_logs: called, in that thread, with each line of the log.
        """
        creation.check_options(opts)
        job = await cls._job(
            template, name, alias, tags, memory_mb, min_free_disk_mb, skip_cache, profile
        )
        return job.start(on_build_logs)

    @classmethod
    async def _job(
        cls,
        template: TemplateClass,
        name: str | None,
        alias: str | None,
        tags: list[str] | None,
        memory_mb: int | None,
        min_free_disk_mb: int | None,
        skip_cache: bool,
        profile: Profile | None,
    ) -> Job:
        from localbox.templates.job import Job

        name = name or alias
        if not name:
            raise TemplateException("a template needs a name: build(template, name)")
        # A template without a single step has no builder yet.
        inner = template if isinstance(template, TemplateBase) else template._template
        for what, value in (("memory_mb", memory_mb), ("min_free_disk_mb", min_free_disk_mb)):
            if value is not None and (not isinstance(value, int) or value < 0):
                raise InvalidArgumentException(f"{what} must be a number of MiB, not {value!r}")
        if skip_cache:
            inner._force = True
        return await transport.run(Job, inner, name, tags, memory_mb, min_free_disk_mb, profile)

    @classmethod
    async def get_build_status(
        cls, build_info: BuildInfo, logs_offset: int | None = None, **opts: Any
    ) -> TemplateBuildStatusResponse:
        """How far a build is and what it has said; of any program's build.

        Args:
            logs_offset: how many entries of the log to leave out at its beginning.

        Raises:
            NotFoundException: there is no such build.
        """
        from localbox.templates.status import status_of

        creation.check_options(opts)
        return await transport.run(status_of, build_info, logs_offset or 0)

    @classmethod
    async def exists(cls, name: str, **opts: Any) -> bool:
        """Whether there is a template of this name, built or built-in."""
        return await cls.alias_exists(name, **opts)

    @classmethod
    async def alias_exists(cls, alias: str, **opts: Any) -> bool:
        """E2B's former word for `exists`."""
        creation.check_options(opts)
        if not creation.is_stored(alias):
            return True
        template = await transport.run(registry.find, alias)
        # One without a tag has never been built to its end.
        return template is not None and bool(template.tags)

    @classmethod
    async def assign_tags(
        cls, target_name: str, tags: str | list[str], **opts: Any
    ) -> TemplateTagInfo:
        """Let tags mean the build that "name:tag" means now.

        Raises:
            NotFoundException: there is no such template or tag.
        """
        creation.check_options(opts)
        several = [tags] if isinstance(tags, str) else list(tags)
        build_id = await transport.run(registry.assign_tags, target_name, several)
        return TemplateTagInfo(build_id, several)

    @classmethod
    async def remove_tags(cls, name: str, tags: str | list[str], **opts: Any) -> None:
        """Let tags of a template mean nothing any more.

        Raises:
            NotFoundException: there is no such template or tag.
        """
        creation.check_options(opts)
        several = [tags] if isinstance(tags, str) else list(tags)
        await transport.run(registry.remove_tags, name, several)

    @classmethod
    async def get_tags(cls, template_id: str, **opts: Any) -> list[TemplateTag]:
        """The tags of a template, by its name or id.

        Raises:
            NotFoundException: there is no such template.
        """
        creation.check_options(opts)
        template = await transport.run(registry.get, template_id)
        return [
            TemplateTag(tag, build_id, datetime.fromtimestamp(since, UTC))
            for tag, (build_id, since) in sorted(template.tags.items())
        ]
