"""Write the sync client and its tests from the async ones: `unasync.py`, or `--check` to compare.

It edits tokens, so names in code change and look-alikes inside other names do not; words in
strings and comments follow the same table. What cannot be expressed as a change of
names goes between markers; the sync lines are comments in the async file:

    # unasync: async
    await asyncio.sleep(0)
    # unasync: sync
    # pass
    # unasync: end

The result must be free of `async`, `await`, asyncio and names that begin with Async;
otherwise this stops with file and line, rather than write something half translated.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TREES = {"localbox/_async": "localbox/_sync", "tests/client/_async": "tests/client/_sync"}
HEADER = "# generated from {source} by scripts/unasync.py; edit that, not this\n"

NAMES = {
    "_async": "_sync",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncCommandHandle": "CommandHandle",
    "AsyncConnection": "Connection",
    "AsyncExitStack": "ExitStack",
    "AsyncFileStreamReader": "FileStreamReader",
    "AsyncGenerator": "Generator",
    "AsyncInterpreter": "Interpreter",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AsyncMock": "MagicMock",
    "AsyncRootConnection": "RootConnection",
    "AsyncSandbox": "Sandbox",
    "AsyncSandboxPaginator": "SandboxPaginator",
    "AsyncSecret": "Secret",
    "AsyncSecretPaginator": "SecretPaginator",
    "AsyncSnapshotPaginator": "SnapshotPaginator",
    "AsyncVolume": "Volume",
    "AsyncTemplate": "Template",
    "AsyncWatchHandle": "WatchHandle",
    "AsyncWriteData": "WriteData",
    "AsyncWriteEntry": "SyncWriteEntry",
    "StopAsyncIteration": "StopIteration",
    "aclose": "close",
    "aclosing": "closing",
    "aiter": "iter",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
    "enter_async_context": "enter_context",
    "push_async_callback": "callback",
    "push_async_exit": "push",
}
# The two transports are written by hand, under the same names inside.
TRANSPORT = {"asyncio": "blocking"}

WORD = re.compile(r"\b[A-Za-z_]\w*\b")
KEYWORD_IN_TEXT = re.compile(r"\basync (?=(?:with|for|def)\b)|\bawait (?=[\w.]+[(\[])")
TRANSPORT_IN_TEXT = re.compile(r"\b(transport\.)asyncio\b")
MARKER = re.compile(r"#\s*unasync:\s*(\w+)\s*$")
ANYIO_MARK = re.compile(r"\s*(?:@|pytestmark\s*=\s*)pytest\.mark\.anyio\s*$")


class UnasyncError(Exception):
    """The file cannot be translated; the message says where and what to do."""


class Edit(NamedTuple):
    start: int
    end: int
    text: str


class Source:
    """A text and its tokens, with offsets instead of rows and columns."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._line_starts = [0]
        for line in text.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        layout = {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
        readline = io.StringIO(text).readline
        tokens = list(whole_strings(tokenize.generate_tokens(readline)))
        self.tokens = [token for token in tokens if token.type not in layout]

    def offset(self, position: tuple[int, int]) -> int:
        row, column = position
        return self._line_starts[row - 1] + column

    def span(self, token: tokenize.TokenInfo) -> tuple[int, int]:
        return self.offset(token.start), self.offset(token.end)

    def apply(self, edits: Iterable[Edit]) -> str:
        text = self.text
        for edit in sorted(edits, reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text


def whole_strings(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tokenize.TokenInfo]:
    """Join the pieces of f-strings, so that Python 3.12 and later see them as 3.11 does."""
    start_type = getattr(tokenize, "FSTRING_START", None)
    end_type = getattr(tokenize, "FSTRING_END", None)
    opening: list[tokenize.TokenInfo] = []
    for token in tokens:
        if start_type is not None and token.type == start_type:
            opening.append(token)
        elif end_type is not None and token.type == end_type:
            first = opening.pop()
            if not opening:
                yield token._replace(type=tokenize.STRING, start=first.start, line="")
        elif not opening:
            yield token


def select_sync_lines(text: str) -> str:
    """Resolve the `# unasync:` regions: drop the async lines, uncomment the sync ones.

    The sync lines take the indentation of the region's first marker, for a formatter
    moves comments below the header of a function into its body.
    """
    kept: list[str] = []
    region, indent = "both", ""
    follows = {"both": {"async", "sync"}, "async": {"sync", "end"}, "sync": {"end"}}
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        bare = line.strip()
        if marker := MARKER.fullmatch(bare):
            word = marker[1]
            if word not in follows[region]:
                raise UnasyncError(f"line {number}: `unasync: {word}` is out of place here")
            if region == "both":
                indent = line[: len(line) - len(line.lstrip())]
            region = "both" if word == "end" else word
        elif region == "sync":
            if bare and not bare.startswith("#"):
                raise UnasyncError(f"line {number}: sync-only lines must be comments")
            code = bare.removeprefix("#").removeprefix(" ")
            kept.append(f"{indent}{code}\n" if code else "\n")
        elif region == "both" and not ANYIO_MARK.match(line):
            kept.append(line)
    if region != "both":
        raise UnasyncError("a `# unasync:` region has no end")
    return "".join(kept)


def translate_text(text: str) -> str:
    """Translate the inside of a string or a comment."""
    text = KEYWORD_IN_TEXT.sub("", text)
    text = TRANSPORT_IN_TEXT.sub(r"\1blocking", text)
    return WORD.sub(lambda word: NAMES.get(word[0], word[0]), text)


def edits_for(source: Source) -> Iterator[Edit]:
    """What changes in this file, token by token."""
    tokens = source.tokens
    for index, token in enumerate(tokens):
        start, end = source.span(token)
        if token.type in {tokenize.STRING, tokenize.COMMENT}:
            # The slice, not token.string: a joined f-string carries only its last piece.
            old = source.text[start:end]
            if (new := translate_text(old)) != old:
                yield Edit(start, end, new)
        elif token.type == tokenize.NAME:
            if token.string in {"async", "await"}:
                following = tokens[index + 1]
                same_line = following.start[0] == token.end[0]
                yield Edit(start, source.offset(following.start) if same_line else end, "")
                if token.string == "await":
                    yield from needless_parentheses(source, index)
            elif token.string in TRANSPORT and is_transport(tokens, index):
                yield Edit(start, end, TRANSPORT[token.string])
            elif token.string in NAMES:
                yield Edit(start, end, NAMES[token.string])


def is_transport(tokens: list[tokenize.TokenInfo], index: int) -> bool:
    """Whether the name at `index` follows `transport.` or `transport import`."""
    before = [token.string for token in tokens[max(0, index - 2) : index]]
    return before in (["transport", "."], ["transport", "import"])


def needless_parentheses(source: Source, index: int) -> Iterator[Edit]:
    """Turn `(await f()).g` into `f().g`: nobody would write `(f()).g`."""
    tokens = source.tokens
    opening = tokens[index - 1]
    if index < 2 or opening.string != "(":
        return
    before = tokens[index - 2]
    keyword = before.string in {"return", "in", "not", "and", "or", "if", "assert", "yield"}
    is_call = (before.type == tokenize.NAME and not keyword) or before.string in {")", "]"}
    if is_call or (before.type == tokenize.STRING):
        return
    depth = 0
    for position in range(index + 1, len(tokens) - 1):
        token = tokens[position]
        if token.string in {"(", "[", "{"}:
            depth += 1
        elif token.string in {")", "]", "}"}:
            if depth == 0:
                if tokens[position + 1].string in {".", "[", "("}:
                    yield Edit(*source.span(opening), "")
                    yield Edit(*source.span(token), "")
                return
            depth -= 1
        elif depth == 0 and token.type == tokenize.OP and token.string != ".":
            return


def refuse_leftovers(text: str) -> None:
    """Raise if anything asynchronous survived, with the line in the text as generated."""
    for node in ast.walk(ast.parse(text)):
        left = None
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.AsyncFunctionDef):
            left = type(node).__name__
        elif isinstance(node, ast.comprehension) and node.is_async:
            raise UnasyncError("an asynchronous comprehension survived")
        elif isinstance(node, ast.Name) and re.match(r"_*Async[A-Z]|asyncio$", node.id):
            left = node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = [module, *(alias.name for alias in node.names)]
            left = next((n for n in names if re.match(r"_*Async[A-Z]|asyncio\b", n)), None)
        if left is not None:
            line = getattr(node, "lineno", 0)
            raise UnasyncError(
                f"{left} survived (line {line} of the result): add it to the table in "
                f"scripts/unasync.py, or put the lines between `# unasync:` markers"
            )


def tidy(text: str, target: Path) -> str:
    """Sort imports, drop those no longer used, and format, as `make fmt` would."""
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(target), "-"]
    for command in (
        [*ruff, "check", "--fix-only", "--quiet", "--select", "I,F401", *name],
        [*ruff, "format", "--quiet", *name],
    ):
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, cwd=ROOT
        )
        if done.returncode != 0:
            raise UnasyncError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        text = done.stdout
    return text


def translate(text: str, source_name: str) -> str:
    """The sync twin of an async module, not yet formatted."""
    source = Source(select_sync_lines(text))
    result = source.apply(edits_for(source))
    refuse_leftovers(result)
    return HEADER.format(source=source_name) + result


def expected_files() -> dict[Path, str]:
    """Every generated file, with what it should hold."""
    expected: dict[Path, str] = {}
    for source_tree, target_tree in TREES.items():
        for source in sorted((ROOT / source_tree).rglob("*.py")):
            target = ROOT / target_tree / source.relative_to(ROOT / source_tree)
            name = source.relative_to(ROOT).as_posix()
            try:
                expected[target] = tidy(translate(source.read_text("utf-8"), name), target)
            except (UnasyncError, SyntaxError, tokenize.TokenError) as problem:
                raise UnasyncError(f"{name}: {problem}") from problem
    return expected


def stale_files(expected: dict[Path, str]) -> list[Path]:
    """Generated files whose source is gone."""
    first_words = HEADER.split("{", maxsplit=1)[0]
    return [
        path
        for target_tree in TREES.values()
        for path in sorted((ROOT / target_tree).rglob("*.py"))
        if path not in expected and path.read_text("utf-8").startswith(first_words)
    ]


def check(expected: dict[Path, str], stale: list[Path]) -> int:
    """Print how the files on disk differ from what they should be."""
    differ = False
    for path, text in expected.items():
        name = path.relative_to(ROOT).as_posix()
        found = path.read_text("utf-8") if path.exists() else ""
        diff = difflib.unified_diff(
            found.splitlines(keepends=True),
            text.splitlines(keepends=True),
            f"{name} (on disk)",
            f"{name} (generated)",
        )
        for line in diff:
            differ = True
            print(line, end="")
        if not path.exists():
            differ = True
            print(f"{name} is missing")
    for path in stale:
        differ = True
        print(f"{path.relative_to(ROOT).as_posix()} has no source any more")
    if differ:
        print("run: make unasync", file=sys.stderr)
    return int(differ)


def write(expected: dict[Path, str], stale: list[Path]) -> None:
    """Bring the files on disk up to date."""
    for path, text in expected.items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT).as_posix()}")
    for path in stale:
        path.unlink()
        print(f"removed {path.relative_to(ROOT).as_posix()}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--check", action="store_true", help="compare, print the diff, write nothing"
    )
    options = parser.parse_args(arguments)
    try:
        expected = expected_files()
    except UnasyncError as problem:
        print(problem, file=sys.stderr)
        return 1
    stale = stale_files(expected)
    if options.check:
        return check(expected, stale)
    write(expected, stale)
    return 0


if __name__ == "__main__":
    sys.exit(main())
