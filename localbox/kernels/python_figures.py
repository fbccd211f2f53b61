"""matplotlib's figures in cells: shown by `plt.show()`, or when the cell ends, and then closed."""

# IPython has types for a part of itself only.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any

from IPython.core.pylabtools import select_figure_formats
from IPython.display import display
from traitlets import Bool, Dict, Set, Unicode, observe
from traitlets.config.configurable import SingletonConfigurable

_BACKEND = "localbox_figures"


class InlineBackend(SingletonConfigurable):
    """What `%config InlineBackend.figure_format = ...` sets, by the names it has in Jupyter.

    Not matplotlib_inline's own, which imports matplotlib even where no cell will.
    """

    figure_formats = Set({"png"}).tag(config=True)
    figure_format = Unicode("png").tag(config=True)
    print_figure_kwargs = Dict({"bbox_inches": "tight"}).tag(config=True)
    close_figures = Bool(True).tag(config=True)

    @observe("figure_format")
    def _one_format(self, change: Any) -> None:
        self.figure_formats = {change["new"]}

    @observe("figure_formats", "print_figure_kwargs")
    def _formats(self, _change: Any) -> None:
        select_figure_formats(self.parent, self.figure_formats, **self.print_figure_kwargs)


def prepare(shell: Any) -> None:
    """Have pyplot's figures shown, whether pyplot is imported already or will be."""
    shell.configurables.append(InlineBackend.instance(parent=shell))
    if "matplotlib.pyplot" in sys.modules:
        use_backend()
    else:
        sys.meta_path.insert(0, _PyplotWatch())


class _PyplotWatch:
    """Sees pyplot being imported, and sets its backend right after.

    MPLBACKEND would reach subprocesses too, in which there is no such backend.
    """

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        if name != "matplotlib.pyplot":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            use_backend()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def use_backend() -> None:
    """Make ours pyplot's backend, unless the cell has asked for one that is not the plain one."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    # A name that was set by nobody reads as a sentinel, which is no str.
    name = dict.__getitem__(mpl.rcParams, "backend")
    if not isinstance(name, str) or name.lower() in {"agg", "inline"} or "inline" in name:
        sys.modules.setdefault(_BACKEND, _make_backend())
        plt.switch_backend(f"module://{_BACKEND}")


def _make_backend() -> types.ModuleType:
    from matplotlib.backend_bases import FigureManagerBase
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    class FigureManager(FigureManagerBase):
        def show(self) -> None:
            display(self.canvas.figure)

        @classmethod
        def pyplot_show(cls, *, block: bool | None = None) -> None:
            show_open_figures()

    class FigureCanvas(FigureCanvasAgg):
        manager_class = FigureManager

    backend = types.ModuleType(_BACKEND)
    backend.FigureCanvas = FigureCanvas  # type: ignore[attr-defined]
    backend.FigureManager = FigureManager  # type: ignore[attr-defined]
    return backend


def show_open_figures() -> None:
    """Show pyplot's figures, oldest first, and close them."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return
    managers = helpers.Gcf.get_all_fig_managers()
    try:
        for manager in managers:
            display(manager.canvas.figure)
    finally:
        if managers and InlineBackend.instance().close_figures:
            helpers.Gcf.destroy_all()
