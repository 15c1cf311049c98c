"""The curves of runs as a picture: SVG or PNG, the same bytes for the same records. No torch."""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from phalanx import durable
from phalanx.errors import UsageError
from phalanx.palette import INK, MARKERS, SERIES, STYLE, fonts
from phalanx.training.history import Columns, History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

X = Literal["steps", "tokens", "seconds"]
Y = Literal["loss", "bits_per_byte", "rate", "gradient_norm", "tokens_per_second"]
LABELS = {
    "steps": "steps",
    "tokens": "tokens",
    "seconds": "seconds of training",
    "loss": "loss, nats per token",
    "bits_per_byte": "bits per byte of the validation text",
    "rate": "learning rate, share of its peak",
    "gradient_norm": "norm of the gradient",
    "tokens_per_second": "tokens per second of training",
}
SPAN = 1 / 50
"""Share of a run's steps that a point of the smooth curve averages."""
POINTS = 600
"""More points a line would only make the file larger."""
LOG_FROM = 3.0
"""From such a ratio of the largest to the smallest figure on, the axis is logarithmic."""
LEGEND_CELLS = 100
"""Letters of the legend beside each other."""
MARKS = 25
"""Validations of a run with a mark, at most; more of them would hide the curve."""
DASHES = ("-", "--", "-.")
"""Once round the colours, curves are told apart by these."""
SUFFIXES = (".svg", ".png")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What is drawn of one run.

    Args:
        name: for the legend.
        raw: x and y of each step, as recorded.
        smooth: x and y, the mean of the steps around.
        points: x and y of each validation.
    """

    name: str
    raw: tuple[Array, Array]
    smooth: tuple[Array, Array]
    points: tuple[Array, Array]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (len(self.smooth[0]) or len(self.points[0]))


def make_curve(name: str, history: History, x: X, y: Y) -> Curve:
    """The curve of a run: what its steps say of ``y``, and what its validations do."""
    steps, validations = history.steps, history.validations
    figures = _speed(steps) if y == "tokens_per_second" else _column(steps, y)
    raw = _finite(_along(steps, x), figures)
    points = _finite(_along(validations, x), _column(validations, y))
    smooth = raw if y == "rate" else _smooth(*raw)  # the rate is no measurement
    return Curve(name, raw, smooth, points)


def draw_curves(curves: Sequence[Curve], path: Path, x: X, y: Y) -> None:
    """Draw curves into a file, SVG or PNG by its suffix; a file that is no picture is not replaced.

    Raises:
        UsageError: nothing to draw, another suffix, or the file is something else.
        StorageError: it cannot be written.
    """
    check_target(path)
    if all(curve.empty for curve in curves):
        raise UsageError(
            f"none of the runs has {y.replace('_', ' ')} on record. Expected at least one figure. "
            "Wait for the first, or choose another --y."
        )
    import matplotlib  # heavy, and only this function draws
    from matplotlib.figure import Figure

    content = io.BytesIO()
    svg = path.suffix == ".svg"
    with matplotlib.rc_context({**STYLE, "font.family": fonts()}), warnings.catch_warnings():
        # A name in a script that no font here has is drawn as boxes: no reason to draw nothing.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.subplots()
        _panel(axes, curves, x, y)
        if svg:
            figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
        else:
            figure.savefig(content, format="png", dpi=160, metadata={"Software": None})
    durable.replace(path, content.getvalue())


def check_target(path: Path) -> None:
    """Refuse a file that is no SVG or PNG by its name or by its content.

    Raises:
        UsageError: it is something else.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: the picture's format is that of its suffix; expected {' or '.join(SUFFIXES)}."
        )
    if not path.exists():
        return
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(1000)
        if not start or start.startswith(b"\x89PNG") or b"<svg" in start:
            return
    raise UsageError(
        f"{path} exists and is no picture; it is left as it is. Expected a new file, or an SVG or "
        "PNG to replace. Choose another --output."
    )


def _panel(axes: "Axes", curves: Sequence[Curve], x: X, y: Y) -> None:
    from matplotlib.ticker import MaxNLocator

    handles = []
    # A run keeps its colour, whichever others have the figure.
    numbered = [(index, curve) for index, curve in enumerate(curves) if not curve.empty]
    curves = [curve for _, curve in numbered]
    for index, curve in numbered:
        colour, marker = SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)]
        dashes = DASHES[index // len(SERIES) % len(DASHES)]
        line: dict[str, Any] = {"color": colour, "linewidth": 1.8, "linestyle": dashes}
        dot: dict[str, Any] = {"marker": marker, "markersize": 4.5}
        alone = len(curve.smooth[0]) == 1
        if len(curve.smooth[0]):
            axes.plot(*_envelope(*curve.raw), color=colour, alpha=0.22, linewidth=0.7, zorder=1)
            axes.plot(*_thin(*curve.smooth), **line, **(dot if alone else {}), zorder=2)
        if len(curve.points[0]):
            between = ":" if len(curve.smooth[0]) else dashes
            points = _thin(*curve.points)
            every = -(-len(points[0]) // MARKS)
            thin: dict[str, Any] = line | {"linewidth": 1.2, "linestyle": between}
            axes.plot(*points, **thin, **dot, markevery=every)
        (handle,) = axes.plot([], [], **line, **(dot if alone or len(curve.points[0]) else {}))
        handles.append(handle)
    _scale(axes, curves, y)
    axes.set_xlabel(LABELS[x])
    axes.xaxis.set_major_locator(
        MaxNLocator(8, steps=[1, 2, 2.5, 5, 10], integer=x != "seconds", min_n_ticks=1)
    )
    axes.xaxis.set_major_formatter(_short)
    axes.set_title(_title(curves, y), loc="left", fontsize=10.5, pad=12)
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.7)
    _legend(axes, handles, [curve.name for curve in curves])


def _title(curves: Sequence[Curve], y: Y) -> str:
    validated = any(len(curve.points[0]) for curve in curves)
    trained = any(len(curve.smooth[0]) for curve in curves)
    return LABELS[y] + (": training (line), validation (marks)" if validated and trained else "")


def _scale(axes: "Axes", curves: Sequence[Curve], y: Y) -> None:
    """Fit the axis to the smooth curves and the validations; single steps may leave the picture."""
    shown = np.concatenate([part for c in curves for part in (c.smooth[1], c.points[1])])
    low, high = float(shown.min()), float(shown.max())
    bent = y not in ("rate", "tokens_per_second") and low > 0 and high / low >= LOG_FROM
    if bent:
        axes.set_yscale("log")
        edge = (high / low) ** 0.08
        axes.set_ylim(low / edge, high * edge)
        axes.yaxis.set_major_locator(_log_ticks(low, high))
        axes.minorticks_off()
    else:
        low = min(low, 0.0) if y in ("rate", "tokens_per_second") else low
        edge = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        axes.set_ylim(low - edge * (low != 0.0), high + edge)
    axes.yaxis.set_major_formatter(_short)


def _log_ticks(low: float, high: float) -> Any:
    from matplotlib.ticker import LogLocator

    decades = math.log10(high / low)
    return LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if decades < 1.5 else (1.0, 2.0, 5.0))


def _legend(axes: "Axes", handles: list[Any], names: list[str]) -> None:
    """Name the curves below the picture, in as many columns as the names leave room for."""
    longest = max(cell_len(name) for name in names)
    legend = axes.figure.legend(
        handles,
        # Placeholders first: matplotlib hides a name with an underscore and reads $ as mathematics.
        [str(number) for number in range(len(names))],
        loc="outside lower left",
        frameon=False,
        fontsize=9,
        ncols=max(1, min(len(names), 4, LEGEND_CELLS // (longest + 8))),
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text("".join(c if c.isprintable() else "?" for c in name))
        text.set_color(INK)


def _short(value: float, position: float | None = None) -> str:
    """A tick: ``250``, ``2.5k``, ``0.01``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if letter == 'k' else size):.6g}{letter}"
    return f"{value:.6g}"


def _along(columns: Columns, x: X) -> Array:
    return _column(columns, {"steps": "step", "tokens": "tokens", "seconds": "seconds"}[x])


def _column(columns: Columns, name: str) -> Array:
    return np.array(columns[name])


def _speed(steps: Columns) -> Array:
    """Tokens a second of each step but the first, which is not there."""
    tokens, seconds = _column(steps, "tokens"), _column(steps, "seconds")
    took = np.diff(seconds, prepend=np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(took > 0, np.diff(tokens, prepend=np.nan) / took, np.nan)


def _finite(x: Array, y: Array) -> tuple[Array, Array]:
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def _smooth(x: Array, y: Array) -> tuple[Array, Array]:
    """The mean of the steps around each one, twice over, so that the curve does not lag behind."""
    half = int(len(y) * SPAN / 2)
    place = np.arange(len(y))
    # As few behind as before at the start, where the curve is steep; at the end all before.
    before = np.minimum(half, place)
    behind = np.minimum(before, len(y) - 1 - place)
    for _ in range(2 if half else 0):
        sums = np.concatenate([[0.0], np.cumsum(y)])
        y = (sums[place + behind + 1] - sums[place - before]) / (before + behind + 1)
    return x, y


def _thin(x: Array, y: Array) -> tuple[Array, Array]:
    """At most ``POINTS`` of the points, the first and the last among them."""
    if len(x) <= POINTS:
        return x, y
    chosen = np.linspace(0, len(x) - 1, POINTS).round().astype(int)
    return x[chosen], y[chosen]


def _envelope(x: Array, y: Array) -> tuple[Array, Array]:
    """A line of at most ``2 * POINTS`` points that reaches as high and as low as the whole."""
    if len(x) <= 2 * POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), POINTS)
    chosen = np.array([sorted((p[y[p].argmin()], p[y[p].argmax()])) for p in parts]).ravel()
    return x[chosen], y[chosen]
