"""`localbox template`: build templates, list them, remove them."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from localbox.cli import options
from localbox.cli.failures import UserError, complain, in_one_line

app = typer.Typer(
    help="Build templates on this machine; list and remove them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class _UsageError(UserError):
    """There is nothing to build. Not 1, which says that a build has failed."""

    exit_code = 2


@app.command()
def build(
    path: Annotated[
        str,
        typer.Argument(
            metavar="[PATH]", help="The directory files are copied from.", show_default=False
        ),
    ] = ".",
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", metavar="FILE", help="The Dockerfile. [PATH/Dockerfile]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME[:TAG]", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="One more tag.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step.")] = False,
    memory_mb: Annotated[
        int | None,
        typer.Option("--memory-mb", metavar="MIB", min=1, help="What its sandboxes may use."),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            "-p",
            help="What contains the build; its network is the host's in any case.",
            autocompletion=options.complete_profile,
        ),
    ] = "trusted",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was built as JSON; the log goes to stderr.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No log.")] = False,
) -> None:
    """Build a template from a Dockerfile.

    \b
    localbox template build . --name my-template
    localbox template build -f docker/Dockerfile.dev --name my-template:dev
    """
    from localbox._sync.template import Template
    from localbox.templates.dockerfile import DockerfileSyntaxError
    from localbox.templates.logs import DefaultBuildLogger

    with in_one_line():
        dockerfile = _dockerfile(path, file)
        if not name:
            raise _UsageError("the template needs a name: --name NAME")
        logger = DefaultBuildLogger(stream=sys.stderr if as_json else sys.stdout)
        try:
            template = Template(path).from_dockerfile(str(dockerfile))
        except DockerfileSyntaxError as error:
            raise UserError(str(error)) from error
        except OSError as error:
            raise _UsageError(f"cannot read {dockerfile}: {error.strerror}") from error
        info = Template.build(
            template,
            name,
            tags=tag,
            memory_mb=memory_mb,
            skip_cache=no_cache,
            on_build_logs=None if quiet else logger.logger,
            profile=profile,
        )
    if as_json:
        _print_json(
            {
                "template_id": info.template_id,
                "build_id": info.build_id,
                "name": info.name,
                "tags": info.tags,
            }
        )


@app.command(name="list")
def list_templates(
    as_json: Annotated[bool, typer.Option("--json", help="For machines: JSON on stdout.")] = False,
) -> None:
    """List the templates of this user."""
    from localbox.templates import registry

    with in_one_line():
        rows = [_describe(template) for template in registry.templates()]
    if as_json:
        _print_json(rows)
        return
    if not rows:
        print("no templates; make one with `localbox template build`", file=sys.stderr)
        return
    table = [("NAME", "TAGS", "ID", "BUILT")]
    for row in rows:
        tags = ", ".join(row["tags"]) or "(no build has succeeded)"
        table.append((row["name"], tags, row["template_id"], row["built_at"] or "-"))
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line[:3], widths, strict=True))
        print("  ".join([*cells, line[3]]))


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False)],
) -> None:
    """Remove templates, and what was kept of their steps. Sandboxes made from them go on.

    NAME:TAG removes only the tag.
    """
    from localbox.errors import NotFoundException, TemplateException
    from localbox.templates import cache, registry

    failed = False
    with in_one_line():
        for name in names:
            try:
                _base, tag = registry.split_name(name)
                if tag is None:
                    registry.remove(name)
                else:
                    registry.remove_tags(name, [tag])
            except (NotFoundException, TemplateException) as error:
                complain(error)
                failed = True
        cache.prune()
    raise typer.Exit(1 if failed else 0)


@app.command()
def prune() -> None:
    """Remove what was kept of steps that no template needs; later builds run them again."""
    from localbox.templates import cache

    with in_one_line():
        print(f"{cache.prune()} layers removed")


def _dockerfile(path: str, file: str | None) -> Path:
    if not os.path.isdir(path):
        raise _UsageError(f"{path} is not a directory; give the Dockerfile with -f")
    dockerfile = Path(file) if file is not None else Path(path) / "Dockerfile"
    if not dockerfile.is_file():
        raise _UsageError(f"there is no {dockerfile}; give another with -f")
    return dockerfile


def _describe(template: Any) -> dict[str, Any]:
    built = [since for _build, since in template.tags.values()]
    at = datetime.fromtimestamp(max(built), UTC).isoformat(timespec="seconds") if built else None
    return {
        "name": template.name,
        "template_id": template.template_id,
        "tags": sorted(template.tags),
        "built_at": at,
    }


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
