"""IPython's formatters, and those for E2B's own formats: the data of a table, of a chart, JSON."""

# IPython has types for a part of itself only.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import importlib
import sys
import warnings
from math import isfinite
from typing import Any

from IPython.core.formatters import BaseFormatter, DisplayFormatter, catch_format_error
from traitlets import ObjectName, Unicode

from localbox.kernels.display import CHART, DATA, NotJSONError, as_json, scalar

# More cannot be sent anyway: a cell of a table takes two bytes at least.
_MOST_CELLS = 4_000_000
_TEXT = "text/plain"
_JSON = "application/json"
# These have no other formats, unless somebody has registered one.
_FORMATS_OF: dict[type, tuple[str, ...]] = {
    **dict.fromkeys((int, float, str, bool, complex, bytes, tuple, set, frozenset), (_TEXT,)),
    **dict.fromkeys((list, dict), (_TEXT, _JSON)),
}
# A format set for figures says nothing of others.
_FIGURES = {_TEXT, "image/png"}


class DataFormatter(BaseFormatter):
    """The columns of a pandas DataFrame."""

    format_type = Unicode(DATA)
    _return_type = dict
    print_method = ObjectName("_repr_e2b_data_")

    @catch_format_error  # type: ignore[untyped-decorator]
    def __call__(self, obj: Any) -> Any:
        if _is_a(obj, "pandas", "DataFrame"):
            return table_columns(obj)
        return super().__call__(obj)


class ChartFormatter(BaseFormatter):
    """What a matplotlib figure shows, as data."""

    format_type = Unicode(CHART)
    _return_type = dict
    print_method = ObjectName("_repr_e2b_chart_")

    @catch_format_error  # type: ignore[untyped-decorator]
    def __call__(self, obj: Any) -> Any:
        # Not by registration: IPython takes that back when the format of figures is changed.
        if _is_a(obj, "matplotlib.figure", "Figure"):
            return chart_of(obj)
        return super().__call__(obj)


class ResultFormatter(DisplayFormatter):
    """Knows when it is at work: what goes wrong then is no error of the cell."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth = 0
        formatters = self.formatters
        for formatter in (DataFormatter(parent=self), ChartFormatter(parent=self)):
            formatters[formatter.format_type] = formatter
        for kind in (list, dict):
            formatters[_JSON].for_type(kind, _json_or_none)
        formatters["image/png"].for_type_by_name("matplotlib.figure", "Figure", _figure_as_png)
        self._built_in = {name: self._registered(name) for name in formatters}

    def _registered(self, name: str) -> int:
        return len(self.formatters[name].type_printers)

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        self.depth += 1
        try:
            names = _FORMATS_OF.get(type(obj))
            if names is None or include or exclude or not self._untouched():
                return super().format(obj, include=include, exclude=exclude)
            bundle = {name: self.formatters[name](obj) for name in names}
            return {name: content for name, content in bundle.items() if content is not None}, {}
        finally:
            self.depth -= 1

    def _untouched(self) -> bool:
        """No formats but ours, so the usual search for them can be left out."""
        formatters = self.formatters
        return len(formatters) == len(self._built_in) and all(
            len(formatter.type_printers) == self._built_in.get(name)
            for name, formatter in formatters.items()
            if name not in _FIGURES
        )


def _is_a(obj: object, module: str, name: str) -> bool:
    """Whether it is an instance of a class in a module that may not be there."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(obj, kind)


def _json_or_none(value: Any) -> Any:
    try:
        return as_json(value)
    except NotJSONError:
        return None


def table_columns(table: Any) -> dict[str, list[Any]] | None:
    """The columns of a DataFrame, each a list of what JSON can say."""
    if table.size > _MOST_CELLS:
        sys.stderr.write(f"[localbox: the data of a table with {table.size} cells is not sent]\n")
        return None
    return {str(name): _column(table.iloc[:, index]) for index, name in enumerate(table.columns)}


def _column(series: Any) -> list[Any]:
    values: list[Any] = series.tolist()
    # Most columns are of one of these, and long. Not so pandas' own types, in which NA may be.
    if type(series.dtype).__module__.startswith("numpy"):
        if series.dtype.kind in "iub":
            return values
        if series.dtype.kind == "f":
            return [value if isfinite(value) else None for value in values]
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    try:
        return as_json(value) if isinstance(value, (list, dict, tuple)) else scalar(value)
    except NotJSONError:
        return str(value)


def chart_of(figure: Any) -> dict[str, Any] | None:
    """What the figure shows, as far as e2b_charts makes it out; the picture shows it anyway."""
    try:
        charts = importlib.import_module("e2b_charts")
        with warnings.catch_warnings():
            # Of its own doing, for every axes it cannot make out; no cell asked for them.
            warnings.simplefilter("ignore")
            return as_json(charts.chart_figure_to_dict(figure)) or None
    except Exception:  # it meets figures of every kind, and fails in many ways
        return None


def _figure_as_png(figure: Any) -> Any:
    from IPython.core.pylabtools import print_figure

    return print_figure(figure, fmt="png", base64=True, bbox_inches="tight")
