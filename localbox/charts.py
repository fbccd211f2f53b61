"""What a chart shows, as values: E2B's classes, attribute for attribute, and the way to them.

The kernel takes the numbers out of a matplotlib figure; here they become objects. Like E2B's, the
classes believe what they are given about the type of a label or a number.
"""

from __future__ import annotations

import enum
from typing import Any

__all__ = [
    "BarChart",
    "BarData",
    "BoxAndWhiskerChart",
    "BoxAndWhiskerData",
    "Chart",
    "Chart2D",
    "ChartType",
    "ChartTypes",
    "LineChart",
    "PieChart",
    "PieData",
    "PointChart",
    "PointData",
    "ScaleType",
    "ScatterChart",
    "SuperChart",
    "deserialize_chart",
]


class ChartType(str, enum.Enum):  # noqa: UP042 (E2B's is not a StrEnum either)
    """What kind of chart it is."""

    LINE = "line"
    SCATTER = "scatter"
    BAR = "bar"
    PIE = "pie"
    BOX_AND_WHISKER = "box_and_whisker"
    SUPERCHART = "superchart"
    UNKNOWN = "unknown"


class ScaleType(str, enum.Enum):  # noqa: UP042
    """How an axis maps values to places."""

    LINEAR = "linear"
    DATETIME = "datetime"
    CATEGORICAL = "categorical"
    LOG = "log"
    SYMLOG = "symlog"
    LOGIT = "logit"
    FUNCTION = "function"
    FUNCTIONLOG = "functionlog"
    ASINH = "asinh"
    UNKNOWN = "unknown"


class Chart:
    """A chart of any kind. Of kinds without a class of their own, the elements are as they came."""

    type: ChartType
    title: str

    elements: list[Any]

    def __init__(self, **kwargs: Any) -> None:
        self._raw_data = kwargs
        self.type = ChartType(kwargs["type"] or ChartType.UNKNOWN)
        self.title = kwargs["title"]
        self.elements = kwargs["elements"]

    def to_dict(self) -> dict[str, Any]:
        """The dictionary it was made from."""
        return self._raw_data


class Chart2D(Chart):
    """A chart with two axes."""

    x_label: str | None
    y_label: str | None
    x_unit: str | None
    y_unit: str | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.x_label = kwargs["x_label"]
        self.y_label = kwargs["y_label"]
        self.x_unit = kwargs["x_unit"]
        self.y_unit = kwargs["y_unit"]


class PointData:
    """One series of points, under its label in the legend."""

    label: str
    points: list[tuple[str | float, str | float]]

    def __init__(self, **kwargs: Any) -> None:
        self.label = kwargs["label"]
        self.points = [(x, y) for x, y in kwargs["points"]]


class PointChart(Chart2D):
    """A chart of points; `ScaleType.UNKNOWN` stands for every scale that E2B does not name."""

    x_ticks: list[str | float]
    x_tick_labels: list[str]
    x_scale: ScaleType

    y_ticks: list[str | float]
    y_tick_labels: list[str]
    y_scale: ScaleType

    elements: list[PointData]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.x_scale = _scale(kwargs.get("x_scale"))
        self.x_ticks = kwargs["x_ticks"]
        self.x_tick_labels = kwargs["x_tick_labels"]
        self.y_scale = _scale(kwargs.get("y_scale"))
        self.y_ticks = kwargs["y_ticks"]
        self.y_tick_labels = kwargs["y_tick_labels"]
        self.elements = [PointData(**series) for series in kwargs["elements"]]


class LineChart(PointChart):
    """Points joined by lines."""

    type = ChartType.LINE


class ScatterChart(PointChart):
    """Points on their own."""

    type = ChartType.SCATTER


class BarData:
    """One bar."""

    label: str
    group: str
    value: str

    def __init__(self, **kwargs: Any) -> None:
        self.label = kwargs["label"]
        self.value = kwargs["value"]
        self.group = kwargs["group"]


class BarChart(Chart2D):
    """Bars, side by side or in groups."""

    type = ChartType.BAR

    elements: list[BarData]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.elements = [BarData(**bar) for bar in kwargs["elements"]]


class PieData:
    """One slice."""

    label: str
    angle: float
    radius: float

    def __init__(self, **kwargs: Any) -> None:
        self.label = kwargs["label"]
        self.angle = kwargs["angle"]
        self.radius = kwargs["radius"]


class PieChart(Chart):
    """A pie."""

    type = ChartType.PIE

    elements: list[PieData]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.elements = [PieData(**piece) for piece in kwargs["elements"]]


class BoxAndWhiskerData:
    """One box: the quartiles, the ends of the whiskers, and what lies beyond them."""

    label: str
    min: float
    first_quartile: float
    median: float
    third_quartile: float
    max: float
    outliers: list[float]

    def __init__(self, **kwargs: Any) -> None:
        self.label = kwargs["label"]
        self.min = kwargs["min"]
        self.first_quartile = kwargs["first_quartile"]
        self.median = kwargs["median"]
        self.third_quartile = kwargs["third_quartile"]
        self.max = kwargs["max"]
        self.outliers = kwargs.get("outliers") or []


class BoxAndWhiskerChart(Chart2D):
    """Boxes with whiskers."""

    type = ChartType.BOX_AND_WHISKER

    elements: list[BoxAndWhiskerData]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.elements = [BoxAndWhiskerData(**box) for box in kwargs["elements"]]


class SuperChart(Chart):
    """A figure with several charts: its elements are charts, each of its own kind."""

    type = ChartType.SUPERCHART

    elements: list[Chart]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        charts = (deserialize_chart(raw) for raw in kwargs["elements"])
        self.elements = [chart for chart in charts if chart is not None]


ChartTypes = (
    Chart | LineChart | ScatterChart | BarChart | PieChart | BoxAndWhiskerChart | SuperChart
)

_CLASSES: dict[str, type[Chart]] = {
    ChartType.LINE: LineChart,
    ChartType.SCATTER: ScatterChart,
    ChartType.BAR: BarChart,
    ChartType.PIE: PieChart,
    ChartType.BOX_AND_WHISKER: BoxAndWhiskerChart,
    ChartType.SUPERCHART: SuperChart,
}


def deserialize_chart(data: dict[str, Any] | None) -> Chart | None:
    """The chart a dictionary describes; None for none or an empty one.

    Raises:
        KeyError, TypeError, ValueError, RecursionError: it describes no chart.
    """
    if not data:
        return None
    # An unhashable type is no key of the table; Chart says what is wrong with it.
    kind = data["type"]
    known = _CLASSES.get(kind, Chart) if isinstance(kind, str) else Chart
    return known(**data)


def _scale(name: object) -> ScaleType:
    try:
        return ScaleType(name)
    except ValueError:
        return ScaleType.UNKNOWN
