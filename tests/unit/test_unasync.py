"""scripts/unasync.py: what it changes, what it leaves, what it refuses."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from scripts import unasync


def translate(text: str) -> str:
    header, _, body = unasync.translate(textwrap.dedent(text), "x.py").partition("\n")
    assert header == "# generated from x.py by scripts/unasync.py; edit that, not this"
    return body


@pytest.mark.parametrize(
    ("asynchronous", "synchronous"),
    [
        ("async def f(): pass\n", "def f(): pass\n"),
        ("async def f(): return await g(1)\n", "def f(): return g(1)\n"),
        (
            "async def f():\n    async with a as b, c:\n        pass\n",
            "def f():\n    with a as b, c:\n        pass\n",
        ),
        (
            "async def f():\n    async for x in y: pass\n",
            "def f():\n    for x in y: pass\n",
        ),
        (
            "async def f(): return [x async for x in y]\n",
            "def f(): return [x for x in y]\n",
        ),
        (
            "class A:\n    async def __aenter__(self): pass\n",
            "class A:\n    def __enter__(self): pass\n",
        ),
        ("from localbox._async.x import AsyncSandbox\n", "from localbox._sync.x import Sandbox\n"),
        (
            "from localbox.transport import asyncio as t\n",
            "from localbox.transport import blocking as t\n",
        ),
        (
            "from localbox.transport.asyncio import c\n",
            "from localbox.transport.blocking import c\n",
        ),
        ("async def f(): raise StopAsyncIteration\n", "def f(): raise StopIteration\n"),
        ("async def f(): return (await g()).h\n", "def f(): return g().h\n"),
        ("async def f(): return (await g(), 1).h\n", "def f(): return (g(), 1).h\n"),
        ("async def f(): return h(await g()).i\n", "def f(): return h(g()).i\n"),
        ("async def f(): return (await g() + 1).h\n", "def f(): return (g() + 1).h\n"),
        ("@pytest.mark.anyio\nasync def test_f(): pass\n", "def test_f(): pass\n"),
        ("pytestmark = pytest.mark.anyio\n", ""),
    ],
)
def test_asynchronous_syntax_becomes_its_synchronous_twin(asynchronous: str, synchronous: str):
    assert translate(asynchronous) == synchronous


def test_names_that_only_contain_a_known_name_stay():
    text = "my_aclose = not_async_at_all = awaited = 1\n"
    assert translate(text) == text


def test_strings_and_comments_follow_the_same_table():
    assert translate('"""Use `await AsyncSandbox.create()`."""  # see localbox._async\n') == (
        '"""Use `Sandbox.create()`."""  # see localbox._sync\n'
    )


def test_prose_keeps_the_word_await():
    text = '"""Callers must await this, async or not."""\n'
    assert translate(text) == text


def test_f_strings_translate_alike_on_every_python():
    text = 'def f(x): return f"{AsyncSandbox.__name__} {x!r:>{5}} {f"{x}"} AsyncSandbox"\n'
    # A nested f-string with the same quotes is only legal from 3.12 on.
    text = text.replace('{f"{x}"}', "{f'{x}'}")
    assert translate(text) == text.replace("AsyncSandbox", "Sandbox")


def test_regions_choose_the_lines_of_each_side():
    text = """\
        async def f():
            # unasync: async
            await anyio.sleep(0)
            # unasync: sync
            # if True:
            #     pass
            # unasync: end
            return 1
    """
    assert translate(text) == "def f():\n    if True:\n        pass\n    return 1\n"


def test_a_region_may_hold_the_header_of_a_function():
    # As the formatter leaves it: comments below a header belong to the body.
    text = """\
        class A:
            # unasync: async
            async def f(self, a):
                # unasync: sync
                # def f(
                #     self,
                # ):
                # unasync: end
                return 1
    """
    assert translate(text) == "class A:\n    def f(\n        self,\n    ):\n        return 1\n"


def test_a_region_without_sync_lines_is_dropped():
    assert translate("# unasync: async\nimport asyncio\n# unasync: end\nx = 1\n") == "x = 1\n"


@pytest.mark.parametrize(
    "text",
    [
        "# unasync: sync\n# x = 1\n",
        "# unasync: async\n# unasync: sync\nx = 1\n# unasync: end\n",
        "# unasync: end\n",
        "# unasync: async\n# unasync: async\n",
    ],
)
def test_a_malformed_region_is_refused(text: str):
    with pytest.raises(unasync.UnasyncError, match=r"unasync|comments"):
        unasync.translate(text, "x.py")


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\n",
        "x: AsyncNovelty\n",
        "from a import AsyncNovelty\n",
        "y = asyncio.Lock()\n",
    ],
)
def test_what_would_stay_asynchronous_is_refused(text: str):
    with pytest.raises(unasync.UnasyncError, match="survived"):
        unasync.translate(text, "x.py")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unasync, "ROOT", tmp_path)
    source = tmp_path / "localbox" / "_async"
    source.mkdir(parents=True)
    (source / "a.py").write_text(
        "from z import AsyncSandbox, B\n\n\n"
        "async def f(a: AsyncSandbox) -> B:\n    return await a.b( )\n"
    )
    return tmp_path


def test_generated_files_are_sorted_and_formatted(tree: Path):
    assert unasync.main([]) == 0
    assert (tree / "localbox/_sync/a.py").read_text() == (
        "# generated from localbox/_async/a.py by scripts/unasync.py; edit that, not this\n"
        "from z import B, Sandbox\n\n\ndef f(a: Sandbox) -> B:\n    return a.b()\n"
    )


def test_check_passes_on_what_was_just_generated(tree: Path):
    unasync.main([])
    assert unasync.main(["--check"]) == 0


def test_check_prints_the_difference_and_fails(tree: Path, capsys: pytest.CaptureFixture[str]):
    unasync.main([])
    target = tree / "localbox/_sync/a.py"
    target.write_text(target.read_text().replace("a.b()", "a.c()"))
    capsys.readouterr()
    assert unasync.main(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "-    return a.c()" in shown
    assert "+    return a.b()" in shown


def test_check_fails_when_the_generated_file_is_missing(tree: Path):
    assert unasync.main(["--check"]) == 1
    assert not (tree / "localbox/_sync").exists()


def test_a_generated_file_whose_source_is_gone_is_removed(tree: Path):
    unasync.main([])
    (tree / "localbox/_async/a.py").unlink()
    by_hand = tree / "localbox/_sync/by_hand.py"
    by_hand.write_text("x = 1\n")
    assert unasync.main(["--check"]) == 1
    assert unasync.main([]) == 0
    assert not (tree / "localbox/_sync/a.py").exists()
    assert by_hand.exists()


def test_a_bad_file_is_named_with_its_line(tree: Path, capsys: pytest.CaptureFixture[str]):
    (tree / "localbox/_async/bad.py").write_text("import asyncio\n")
    assert unasync.main([]) == 1
    assert "localbox/_async/bad.py: asyncio survived (line 1" in capsys.readouterr().err
