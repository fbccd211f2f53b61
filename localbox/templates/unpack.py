"""Runs in the sandbox: unpacks what a COPY brings. Source of a program, never imported there.

It is given the archive, the destination, and for a single file its name.
"""

import os
import sys
import tarfile


def main(archive: str, dest: str, single: str) -> None:
    with tarfile.open(archive) as tar:
        # What is in it comes from the user's own files, and goes to the sandbox's.
        tar.extraction_filter = staticmethod(lambda member, path: member)
        members = tar.getmembers()
        into = dest
        if single and not dest.endswith("/") and not os.path.isdir(dest):
            into = os.path.dirname(dest)
            members[0].name = os.path.basename(dest)
        os.makedirs(into, exist_ok=True)
        for member in members:
            target = os.path.join(into, member.name)
            # A file in the way may be read-only, or a link that leads elsewhere.
            if not member.isdir() and os.path.lexists(target) and not _is_directory(target):
                os.unlink(target)
        tar.extractall(into, members)  # noqa: S202
    os.unlink(archive)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except OSError as error:
        sys.exit(f"{error.filename or ''}: {error.strerror}")
