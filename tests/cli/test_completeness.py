"""When Enter runs what was typed at the prompt, and when it begins another line."""

from __future__ import annotations

import pytest

from localbox.cli.completeness import is_complete, next_indent


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("1 + 1", "python"),
        ("x = [1,\n     2]", "python"),
        ("def f():\n    return 1\n", "python"),
        ("a = 1\nb = 2", "python"),
        # What only the sandbox can judge.
        ("!ls", "python"),
        ("%timeit 1", "python"),
        ("1 +* 2", "python"),
        ("await f()", "python"),
        ("%%bash\necho hi\n", "python"),
        ("echo hi", "bash"),
        ("for i in 1 2; do echo $i; done", "bash"),
        ("cat <<EOF\nhi\nEOF", "bash"),
        ("echo )", "bash"),
        ("let s = '{'", "javascript"),
        ("f(() => { return `${1}` })", "javascript"),
        ("if (x) {\n", "javascript"),
    ],
)
def test_a_whole_cell_is_run(code, language):
    assert is_complete(code, language)


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("def f():", "python"),
        # Another line may belong to the block: an empty one ends it.
        ("def f():\n    return 1", "python"),
        ("for i in x:\n    !echo $i", "python"),
        ("async with f() as g:", "python"),
        ("@decorated", "python"),
        ("x = [1,", "python"),
        ("x = '''text", "python"),
        ("x = 1 + \\", "python"),
        ("%%bash\necho hi", "python"),
        # Empty lines that belong to the cell.
        ("x = '''text\n", "python"),
        ("x = [1,\n", "python"),
        ("def f():\n    '''Say.\n", "python"),
        ("for i in 1 2; do", "bash"),
        ("echo 'hi", "bash"),
        ("cat <<EOF\nhi", "bash"),
        ("echo \\", "bash"),
        ("function f() {", "javascript"),
        ("x = `text", "javascript"),
        ("/* remark", "javascript"),
    ],
)
def test_a_part_of_a_cell_is_not(code, language):
    assert not is_complete(code, language)


@pytest.mark.parametrize(
    ("code", "language", "indent"),
    [
        ("def f():", "python", "    "),
        ("def f():\n    if x:", "python", "        "),
        ("    return 1", "python", "    "),
        ("x = 1", "python", ""),
        ("if (x) {", "javascript", "    "),
    ],
)
def test_the_next_line_is_indented_as_a_person_would(code, language, indent):
    assert next_indent(code, language) == indent
