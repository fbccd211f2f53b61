"""The build context: which files a COPY takes, their hash, and the archive they travel in.

Nothing outside the context directory is taken, except where `resolve_symlinks` asks for what the
links in it lead to.
"""

from __future__ import annotations

import glob
import hashlib
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from localbox.errors import TemplateException

RESOLVE_SYMLINKS = False
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Context:
    """A directory, and patterns in `.dockerignore` syntax for what is not to be seen of it."""

    directory: str
    ignore: tuple[str, ...] = ()

    def files(self, source: str) -> list[str]:
        """What `source`, a path or a glob relative to the directory, takes: sorted host paths.

        A directory comes with all that is below it.

        Raises:
            TemplateException: a pattern is not valid, or `source` leads out of the context.
        """
        root = os.path.abspath(self.directory)
        matcher = _matcher([*read_dockerignore(root), *self.ignore], root)
        taken: set[str] = set()
        for host_path in _matches(source, root):
            name = _relative(host_path, root)
            if name != "." and _is_ignored(matcher, name):
                continue
            taken.add(host_path)
            if _is_directory(host_path):
                taken.update(_below(host_path, name, matcher))
        return sorted(taken)

    def hash(self, source: str, dest: str, resolve_symlinks: bool) -> str:
        """A digest of what is copied: paths, contents, modes and sizes; E2B's, bit for bit.

        Raises:
            ValueError: `source` takes nothing.
            TemplateException: see `files`.
        """
        files = self.files(source)
        if not files:
            where = os.path.join(self.directory, source)
            raise ValueError(f"COPY takes no file: there is nothing at {where}, or it is ignored")
        digest = hashlib.sha256(f"COPY {source} {dest}".encode())
        for host_path in files:
            digest.update(os.path.relpath(host_path, self.directory).encode())
            status = os.lstat(host_path)
            if stat.S_ISLNK(status.st_mode):
                if not (resolve_symlinks and os.path.exists(host_path)):
                    digest.update(f"{status.st_mode}{status.st_size}".encode())
                    digest.update(os.readlink(host_path).encode())
                    continue
                status = os.stat(host_path)
            # A directory's size is its file system's affair.
            is_directory = stat.S_ISDIR(status.st_mode)
            digest.update(f"{status.st_mode}{'' if is_directory else status.st_size}".encode())
            if stat.S_ISREG(status.st_mode):
                with open(host_path, "rb") as file:
                    while chunk := file.read(_CHUNK_BYTES):
                        digest.update(chunk)
        return digest.hexdigest()

    def write_archive(
        self, into: IO[bytes], source: str, resolve_symlinks: bool, mode: int | None
    ) -> str | None:
        """Write a tar archive of what `source` takes; its names are relative to the destination.

        As Docker has it, a directory gives its content and a file itself.

        Args:
            mode: permissions for all of it, in place of each file's own.

        Returns:
            The name of the file, if it is one file and not a directory or several.

        Raises:
            TemplateException: see `files`; or a link on the way leads out of the context.
        """
        root = os.path.abspath(self.directory)
        files = self.files(source)
        tops = self._tops(source, root, files)
        with tarfile.open(fileobj=into, mode="w", dereference=resolve_symlinks) as archive:
            for top in tops:
                directory = os.path.dirname(top)
                if not resolve_symlinks and top != root:
                    _refuse_detour(directory, root, source)
                base = top if _is_directory(top) else directory
                for host_path in files:
                    if host_path == top or host_path.startswith(top.rstrip(os.sep) + os.sep):
                        name = os.path.relpath(host_path, base)
                        # The destination itself is made by whoever unpacks this.
                        if name != ".":
                            _add(archive, host_path, name, mode)
        is_single = len(tops) == 1 and not _is_directory(tops[0])
        return os.path.basename(tops[0]) if is_single else None

    def _tops(self, source: str, root: str, files: list[str]) -> list[str]:
        """What `source` matches, without what lies in a directory that it matches too."""
        tops: list[str] = []
        for path in sorted(
            set(_matches(source, root)) & set(files), key=lambda path: path.count("/")
        ):
            if not any(_is_directory(top) and path.startswith(top + os.sep) for top in tops):
                tops.append(path)
        return tops


def check_source(source: str) -> None:
    """
    Raises:
        TemplateException: `source` is absolute or leads out of the context.
    """
    if os.path.isabs(source):
        raise TemplateException(
            f"cannot copy {source!r}: give a path relative to the context directory; absolute "
            "ones are refused"
        )
    normalized = os.path.normpath(source)
    if normalized == ".." or normalized.startswith(".." + os.sep):
        raise TemplateException(
            f"cannot copy {source!r}: it leads out of the context directory; set "
            "file_context_path= to a directory that holds it"
        )


def read_dockerignore(directory: str) -> list[str]:
    """The patterns of the directory's `.dockerignore`; none if there is no such file."""
    try:
        with open(os.path.join(directory, ".dockerignore"), encoding="utf-8-sig") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _matches(source: str, root: str) -> list[str]:
    found = glob.glob(source, root_dir=root, recursive=True, include_hidden=True)
    return sorted({os.path.normpath(os.path.join(root, name)) for name in found})


def _relative(host_path: str, root: str) -> str:
    return os.path.relpath(host_path, root).replace(os.sep, "/")


def _below(directory: str, name: str, matcher: Any) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            inner = entry.name if name == "." else posixpath.join(name, entry.name)
            ignored = _is_ignored(matcher, inner)
            if not ignored:
                yield entry.path
            # Something below an ignored directory may be wanted all the same.
            wanted = not ignored or matcher.may_match_under(inner)
            if wanted and entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, inner, matcher)


def _is_ignored(matcher: Any, name: str) -> bool:
    return matcher is not None and bool(matcher.matches(name))


def _matcher(patterns: Sequence[str], root: str) -> Any:
    """Docker's pattern matcher; None where nothing is ignored.

    Raises:
        TemplateException: a pattern is not valid, or what reads them is not installed.
    """
    if not patterns:
        return None
    try:
        from e2b_dockerfile_utils import PatternMatcher
    except ImportError:
        raise TemplateException(
            "ignore patterns need a package that is not installed: "
            "pip install 'localbox[templates]'"
        ) from None
    try:
        return PatternMatcher([_anchored(pattern, root) for pattern in patterns])
    except ValueError as error:
        raise TemplateException(f"an ignore pattern is not valid: {error}") from error


def _anchored(pattern: str, root: str) -> str:
    """An absolute pattern that points into the context, relative to it; others as they are."""
    negation = "!" if pattern.startswith("!") else ""
    path = pattern.removeprefix("!").strip()
    if os.path.isabs(path):
        name = os.path.relpath(path, root)
        if name not in {".", ".."} and not name.startswith("../"):
            path = name
    return negation + path


def _is_directory(host_path: str) -> bool:
    return os.path.isdir(host_path) and not os.path.islink(host_path)


def _refuse_detour(directory: str, root: str, source: str) -> None:
    real, real_root = os.path.realpath(directory), os.path.realpath(root)
    if real != real_root and not real.startswith(real_root + os.sep):
        raise TemplateException(
            f"cannot copy {source!r}: a symbolic link on its way leads out of the context "
            "directory; pass resolve_symlinks=True if that is meant"
        )


def _add(archive: tarfile.TarFile, host_path: str, name: str, mode: int | None) -> None:
    try:
        member = archive.gettarinfo(host_path, name)
    except OSError as error:
        raise TemplateException(f"cannot copy {host_path}: {error.strerror}") from error
    # gettarinfo knows no sockets; devices and pipes make no sense in a template.
    if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise TemplateException(f"cannot copy {host_path}: neither file, directory nor link")
    if mode is not None and not member.issym():
        # The sandbox's user is not root, so a directory it may read it must also enter.
        member.mode = mode | ((mode & 0o444) >> 2 if member.isdir() else 0)
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    if not member.isreg():
        archive.addfile(member)
        return
    with open(host_path, "rb") as file:
        archive.addfile(member, file)
