"""Whether what was typed is a whole cell, or goes on in the next line.

Only about when to run it: whatever is taken for complete by mistake, the sandbox says why not. And
an empty line ends every cell, so that nobody is kept from running one.
"""

from __future__ import annotations

import ast
import codeop
import collections
import io
import re
import shutil
import subprocess
import tokenize
import warnings

# Complete comments, strings and templates; what is left of them is not complete.
_JAVASCRIPT_TEXT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`""",
    re.DOTALL,
)
_BASH_GOES_ON = ("unexpected end of file", "unexpected EOF", "delimited by end-of-file")
_PATIENCE_S = 2


def is_complete(code: str, language: str) -> bool:
    """Whether to run it as it stands."""
    if not code.strip() or (code.endswith("\n") and not _is_in_text(code, language)):
        return True
    if language == "python":
        return _python_is_complete(code)
    if language == "bash":
        return _bash_is_complete(code)
    return _brackets_are_closed(code)


def next_indent(code: str, language: str) -> str:
    """What to begin the next line with."""
    last = code.rsplit("\n", 1)[-1]
    indent = last[: len(last) - len(last.lstrip())]
    opens = (":", "(", "[", "{") if language == "python" else ("{", "(", "[")
    return indent + "    " if last.rstrip().endswith(opens) else indent


def _is_in_text(code: str, language: str) -> bool:
    """Whether an empty line may belong to the cell: in a string or in brackets of Python."""
    if language != "python" or code.lstrip().startswith("%%"):
        return False
    try:
        collections.deque(tokenize.generate_tokens(io.StringIO(code.rstrip()).readline), maxlen=0)
    except tokenize.TokenError as error:
        return any(words in str(error) for words in ("multi-line", "triple-quoted"))
    except SyntaxError:
        pass
    return False


def _python_is_complete(code: str) -> bool:
    if code.lstrip().startswith("%%"):
        # The body of a cell magic is anything.
        return False
    return _compiles(code) and not ("\n" in code and _ends_in_block(code))


def _ends_in_block(code: str) -> bool:
    """Whether the last statement is one to which the next line may belong as well."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            statements = ast.parse(code).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        # Perhaps IPython's: `for name in names:`, and then `!echo $name`.
        return code.rsplit("\n", 1)[-1][:1].isspace()
    return bool(statements) and (
        hasattr(statements[-1], "body") or hasattr(statements[-1], "cases")
    )


def _compiles(code: str) -> bool:
    """False if more is to come. What Python does not know, as IPython's `!ls`, is True too."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compiler(code, symbol="exec") is not None
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            return True


def _bash_is_complete(code: str) -> bool:
    if re.search(r"(?<!\\)(?:\\\\)*\\$", code):
        return False
    bash = shutil.which("bash")
    if bash is None:
        return True
    try:
        # -n: it reads the code and runs nothing.
        result = subprocess.run(
            [bash, "--norc", "-n"],
            input=code.encode("utf-8", "replace"),
            capture_output=True,
            env={"LC_ALL": "C"},
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    said = result.stderr.decode("utf-8", "replace")
    return not any(words in said for words in _BASH_GOES_ON)


def _brackets_are_closed(code: str) -> bool:
    rest = _JAVASCRIPT_TEXT.sub("", code)
    if "`" in rest or "/*" in rest:
        return False
    return sum(map(rest.count, "([{")) <= sum(map(rest.count, ")]}"))
