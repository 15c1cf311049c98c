"""What a page draws, as data for charts.js: series, axes, switches.

A chart is ``{kind, switches, views}``. A view holds two axes, series of points ``[x, y, low,
high]`` and reference lines; a view's key is the values of the switches joined by ``|``. The
JavaScript knows nothing of studies or profiles, so that every page draws with it.
"""

import math
from collections.abc import Iterable
from typing import Any

Chart = dict[str, Any]
Point = tuple[float, float | None, float | None, float | None]


def series(name: str, color: int, points: Iterable[Point], **style: Any) -> Chart:
    """Return a series of the finite points, in the order of x.

    Args:
        name: as the legend says it.
        color: which of the eight colours and shapes, modulo 8.
        points: (x, y, low, high) each; low and high are None without an interval.
        style: ``line=False`` draws points alone, ``dots=False`` a line alone, ``dashed=True``
            dashes it; ``label=False`` names it only when pointed at; ``shape`` is that of the
            points where it is not the colour's.
    """
    kept = []
    for x, y, low, high in points:
        if y is not None and math.isfinite(x) and math.isfinite(y):
            spread = (low, high) if _both_finite(low, high) else (None, None)
            kept.append([short(v) for v in (x, y, *spread)])
    ordered = sorted(kept, key=lambda point: point[0] or 0.0)
    return {"name": name, "color": color, "points": ordered, **style}


def axis(
    label: str, *, log: bool = False, percent: bool = False, zero: bool = True, unit: str = ""
) -> Chart:
    """Return an axis: its words, its scale, and the unit that follows each figure."""
    return {"label": label, "log": log, "percent": percent, "zero": zero, "unit": unit}


def view(
    x: Chart,
    y: Chart,
    lines: Iterable[Chart],
    marks: Iterable[Chart] | None = None,
    **style: Any,
) -> Chart:
    """Return a view of two axes, the series that have points, and horizontal reference lines.

    ``scatter=True`` says that the series share no x: names stand below, not at the ends of lines.
    """
    return {
        "x": x,
        "y": y,
        "series": [one for one in lines if one["points"]],
        "lines": list(marks or []),
        **style,
    }


def switch(label: str, options: list[tuple[str, str]]) -> Chart:
    """Return a switch of (value, words); it is shown where there are two options or more."""
    return {"label": label, "options": [{"value": v, "label": name} for v, name in options]}


def chart(kind: str, switches: list[Chart], views: dict[str, Chart]) -> Chart | None:
    """Return a chart, or None where no view has a series."""
    if not any(one["series"] for one in views.values()):
        return None
    return {"kind": kind, "switches": switches, "views": views}


def short(value: float | None) -> float | None:
    """Return six significant digits: what a picture can show, and a third of the bytes."""
    return None if value is None else float(f"{value:.6g}")


def _both_finite(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
