"""The picture of the README: span and time against T, one SVG that reads on light and dark.

The background is transparent and every colour a middle tone; the file depends on the study alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phalanx.comparison.report.language import catalogue
from phalanx.comparison.results import ScalingPoint, Study
from phalanx.errors import UsageError
from phalanx.palette import INK, MARKERS, SERIES, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_picture(study: Study, path: str | Path, mode: str = "train") -> Path:
    """Draw span and time against T for the models of a study, and return the path.

    Args:
        study: what a comparison found; its scaling points are drawn.
        path: the file to write, an SVG.
        mode: ``train``, ``forward`` or ``decode``.

    Raises:
        UsageError: the study has no lengths for that mode.
    """
    points = [point for point in study.scaling if point.mode == mode]
    if not points:
        raise UsageError(
            f"the study has no scaling points of mode {mode!r}; expected some for a picture. "
            "Run the comparison with a budget that leaves time for scaling."
        )
    import matplotlib  # heavy, and only this function draws
    from matplotlib.figure import Figure

    words = catalogue("en")  # the drawing font has no Chinese
    path = Path(path)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        _panel(left, points, "span", words.text("span_axis"))
        _panel(right, points, "time", words.text("time_axis"))
        for axes in (left, right):
            axes.set_xlabel(f"{words.text('length_axis')} ({words.name('mode', mode)})")
        figure.savefig(path, transparent=True, format="svg", metadata={"Date": None})
    return path


def _panel(axes: "Axes", points: Sequence[ScalingPoint], what: str, title: str) -> None:
    ends = []
    models = list(dict.fromkeys(point.model for point in points))
    lengths = sorted({point.length for point in points})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for index, model in enumerate(models):
        chosen = sorted((p for p in points if p.model == model), key=lambda p: p.length)
        known = [(p, value) for p in chosen if (value := _value(p, what)) is not None]
        if not known:
            continue
        colour = SERIES[index % 8]
        x = [p.length for p, _ in known]
        y = [value for _, value in known]
        axes.plot(x, y, color=colour, marker=MARKERS[index % 8], markersize=5, linewidth=1.8)
        spread = [p for p, _ in known if p.low is not None and p.high is not None]
        if what == "time" and spread:
            axes.fill_between(
                [p.length for p in spread],
                [(p.low or 0.0) * 1e3 for p in spread],
                [(p.high or 0.0) * 1e3 for p in spread],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
        ends.append((y[-1], x[-1], model, colour))
    axes.set_title(title, loc="left", fontsize=10.5, pad=12)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.7)
    _label(axes, ends)


def _label(axes: "Axes", ends: list[tuple[float, int, str, str]]) -> None:
    """Write each model's name at the end of its line, moved up where two would overlap."""
    low, high = axes.get_ylim()
    step = (high / low) ** 0.062
    before = 0.0
    for value, length, model, colour in sorted(ends):
        before = max(value, before * step)
        axes.annotate(
            model,
            xy=(length, before),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold",
            annotation_clip=False,
        )


def _value(point: ScalingPoint, what: str) -> float | None:
    if what == "span":
        return point.span
    return None if point.seconds is None else point.seconds * 1e3
