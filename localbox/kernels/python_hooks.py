"""The parts of IPython's shell that would print, or keep all there ever was: here they do not."""

# IPython has types for a part of itself only.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import linecache
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.history import HistoryManager

# How many cells' sources are kept, for tracebacks through their functions and for `In`.
_CELLS_KEPT = 500
# Results in `Out`. Each may hold a large table; `_`, `__` and `___` come on top.
RESULTS_KEPT = 10


class Compiler(CachingCompiler):
    """Forgets the source of the oldest cells."""

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        name = super().cache(transformed_code, number, raw_code)
        if len(self._filename_map) > _CELLS_KEPT:
            oldest = next(iter(self._filename_map))
            del self._filename_map[oldest]
            linecache.cache.pop(oldest, None)
        return name


class ResultHook(DisplayHook):
    """Shows the value of a cell's last expression as its main result."""

    shell: Any

    def quiet(self) -> bool:
        # The question whether the cell ends with a semicolon costs more than many a cell.
        return ";" in self.shell.cell_source and super().quiet()

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        self.shell.publish(format_dict, is_main=True)

    def log_output(self, format_dict: Any) -> None:
        pass

    def finish_displayhook(self) -> None:
        self._is_active = False

    def update_user_ns(self, result: Any) -> None:
        if "_oh" in self.shell.user_ns:  # not after globals().clear()
            super().update_user_ns(result)

    def cull_cache(self) -> None:
        results = self.shell.user_ns["_oh"]
        for number in sorted(results)[: len(results) - RESULTS_KEPT + 1]:
            for names in (self.shell.user_ns, self.shell.user_ns_hidden):
                names.pop(f"_{number}", None)
            del results[number]


class ResultPublisher(DisplayPublisher):
    """Shows what cells pass to `display`."""

    def publish(
        self, data: Any, metadata: Any = None, *_args: Any, update: bool = False, **_kwargs: Any
    ) -> None:
        # What was sent cannot be changed any more. E2B leaves updates out too.
        if not update:
            self.shell.publish(data, is_main=False)

    def clear_output(self, wait: bool = False) -> None:
        pass


class History(HistoryManager):
    """The last cells, in memory."""

    def store_inputs(self, line_num: int, source: str, source_raw: str | None = None) -> None:
        source, raw = source.rstrip("\n"), (source_raw or source).rstrip("\n")
        self.input_hist_parsed.append(source)
        self.input_hist_raw.append(raw)
        # Emptied and not taken out: they are numbered by their place.
        oldest = len(self.input_hist_raw) - _CELLS_KEPT
        if oldest > 0:
            self.input_hist_parsed[oldest] = self.input_hist_raw[oldest] = ""
        self._iii, self._ii, self._i, self._i00 = self._ii, self._i, self._i00, raw
        inputs = {"_i": self._i, "_ii": self._ii, "_iii": self._iii}
        self.shell.push(inputs, interactive=False)


class Nothing(dict[Any, Any]):
    """Takes what need not be kept."""

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass
