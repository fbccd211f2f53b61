"""DataFrames as tables on a terminal: the middle is left out until the rest fits."""

from __future__ import annotations

from html.parser import HTMLParser

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from localbox import Result

_MOST_ROWS = 20
_WIDEST_CELL = 40
_GAP = "…"
# What pandas puts where it left out rows or columns itself.
_GAPS = {"...", _GAP}
# A sandbox may say anything, also that a cell is as wide as the world.
_MOST_SPAN = 100
_MOST_CELLS = 100_000
_LONGEST_HTML = 1_000_000

Row = list[str]


def table_of(result: Result, width: int) -> list[Table | str] | None:
    """What to print for a DataFrame: a table, and its size where not all is shown; or None.

    The cells are those of its HTML, which has the index and pandas' own formatting.
    """
    if not isinstance(result.data, dict) or not result.html or len(result.html) > _LONGEST_HTML:
        return None
    parser = _TableParser()
    parser.feed(result.html)
    parser.close()
    head, body = parser.head, parser.body
    lengths = [len(content) for content in result.data.values() if isinstance(content, list)]
    columns = max(map(len, head + body), default=0)
    if not columns or not body or not lengths:
        return None
    for row in head + body:
        row.extend([""] * (columns - len(row)))
    index_columns = max(columns - _shown_columns(result, columns), 0)
    shown_rows = _middle_left_out(body, _MOST_ROWS)
    picked = _columns_that_fit(head + shown_rows, index_columns, width)
    table = Table(show_edge=False, pad_edge=False)
    for column in picked:
        title = "\n".join(row[column] for row in head) if column >= 0 else _GAP
        is_index = 0 <= column < index_columns
        table.add_column(
            Text(title),
            justify="left" if is_index else "right",
            no_wrap=True,
            overflow="ellipsis",
            style="bold" if is_index else "",
        )
    for row in shown_rows:
        table.add_row(*(Text(row[column] if column >= 0 else _GAP) for column in picked))
    has_gap = any(cell in _GAPS for row in head for cell in row) or -1 in picked
    if has_gap or max(lengths) > len(shown_rows) or len(shown_rows) < len(body):
        return [table, f"{max(lengths)} rows x {len(result.data)} columns"]
    return [table]


def _shown_columns(result: Result, columns: int) -> int:
    """How many of the columns of the HTML are columns of the table, and not of its index."""
    return min(len(result.data or ()), columns - 1)


def _middle_left_out(rows: list[Row], most: int) -> list[Row]:
    if len(rows) <= most:
        return rows
    return [*rows[: most // 2], [_GAP] * len(rows[0]), *rows[-(most // 2) :]]


def _columns_that_fit(rows: list[Row], index_columns: int, width: int) -> list[int]:
    """The numbers of the columns to show; -1 stands for those in the middle that are left out."""
    count = len(rows[0])
    widths = [
        min(max(cell_len(row[column]) for row in rows), _WIDEST_CELL) + 3 for column in range(count)
    ]
    left = list(range(count))
    gap = 0
    while sum(widths[column] for column in left) + gap > width and len(left) > index_columns + 2:
        # Of those that are no index, the one in the middle.
        left.pop(index_columns + (len(left) - index_columns) // 2)
        gap = 4
    if gap:
        left.insert(index_columns + (len(left) - index_columns + 1) // 2, -1)
    return left


class _TableParser(HTMLParser):
    """The rows of the first table in a text, with cells that span several written out."""

    def __init__(self) -> None:
        super().__init__()
        self.head: list[Row] = []
        self.body: list[Row] = []
        self._row: Row | None = None
        self._cell: list[str] | None = None
        self._span = (1, 1)
        self._in_head = False
        self._done = False
        self._cells_left = _MOST_CELLS
        # Column -> in how many of the following rows it is taken.
        self._taken: dict[int, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._done:
            return
        if tag == "thead":
            self._in_head = True
        elif tag == "tr":
            self._row = []
        elif tag in {"td", "th"} and self._row is not None:
            spans = dict(attrs)
            self._span = _number(spans.get("rowspan")), _number(spans.get("colspan"))
            self._cell = []

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._cell is not None and self._row is not None:
            self._add_cell(_printable("".join(self._cell)))
            self._cell = None
        elif tag == "tr" and self._row is not None:
            self._skip_taken(self._row)
            (self.head if self._in_head else self.body).append(self._row)
            self._row = None
        elif tag == "thead":
            self._in_head = False
        elif tag == "table":
            self._done = True

    def _add_cell(self, text: str) -> None:
        assert self._row is not None
        self._skip_taken(self._row)
        rows, columns = self._span
        self._cells_left -= columns
        if self._cells_left < 0:
            self._done = True
            return
        for _ in range(columns):
            if rows > 1:
                self._taken[len(self._row)] = rows - 1
            self._row.append(text)
            text = ""

    def _skip_taken(self, row: Row) -> None:
        """Leave those places empty that a cell of a row above reaches into."""
        while rows := self._taken.get(len(row), 0):
            self._taken[len(row)] = rows - 1
            row.append("")


def _number(text: str | None) -> int:
    return min(int(text), _MOST_SPAN) if text and text.isascii() and text.isdigit() else 1


def _printable(text: str) -> str:
    """On one line, and without what would move the terminal's cursor."""
    words = " ".join(text.split())
    return words if words.isprintable() else "".join(c if c.isprintable() else "�" for c in words)
