"""What the page of profiles draws, as data: series, axes and switches for charts.js and heat.js.

Charts of one model have its place behind their name: ``hops-0``, ``speed_up-1``.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from phalanx.pages import charts as draw
from phalanx.pages.charts import Chart, Point
from phalanx.pages.language import Catalogue
from phalanx.profiling.report.roof import achieved, rate, roofs
from phalanx.profiling.results import MODES, LengthPoint, Pass, Profile, SpeedUp

Reading = Callable[[LengthPoint], float | None]
SHAPES = {
    "train": 0,
    "forward": 1,
    "decode": 2,
}  # of a mode on the roofline: disc, square, triangle
SPANS: dict[str, Reading] = {
    "kernels": lambda p: p.algorithm.span,
    "scalars": lambda p: p.algorithm.scalar_span,
    "elements": lambda p: p.element_depth,
}
PARALLELISM: dict[str, Reading] = {
    "scalars": lambda p: p.algorithm.parallelism,
    "kernels": lambda p: p.algorithm.kernel_parallelism,
}
TOKEN: dict[str, Reading] = {
    "work": lambda p: p.algorithm.work,
    "bytes": lambda p: p.algorithm.bytes_moved,
    "span": lambda p: p.algorithm.span,
    "seconds": lambda p: None if p.predicted_seconds is None else p.predicted_seconds * 1e3,
}


def charts(profiles: Sequence[Profile], words: Catalogue) -> dict[str, Chart]:
    """Return every chart that the profiles have the figures for, by its name on the page."""
    drawn = {
        "span": _growth(profiles, words, SPANS, "span"),
        "parallelism": _growth(profiles, words, PARALLELISM, "parallelism"),
        "roofline": _roofline(profiles, words),
        "gradient": _gradient(profiles, words),
        "decode": _decode(profiles, words),
        "times": _times(profiles, words),
    }
    greatest = {what: _greatest(profiles, what) for what in ("hops_ij", "exchanges_ij")}
    for index, profile in enumerate(profiles):
        drawn[f"hops-{index}"] = _hops(profile, index, words, greatest)
        drawn[f"speed_up-{index}"] = _speed_up(profile, words)
    return {name: chart for name, chart in drawn.items() if chart is not None}


def _growth(
    profiles: Sequence[Profile], words: Catalogue, readings: dict[str, Reading], what: str
) -> Chart | None:
    """Figures against T, by mode and by granularity."""
    modes = [mode for mode in MODES if any(_points(p, mode) for p in profiles)]
    chosen = {
        key: read
        for key, read in readings.items()
        if any(read(x) is not None for p in profiles for m in modes for x in _points(p, m))
    }
    views = {
        f"{mode}|{key}": draw.view(
            draw.axis(words.text("context_axis" if mode == "decode" else "length_axis"), log=True),
            draw.axis(words.text(f"{what}_{key}_axis"), log=True),
            _by_model(profiles, mode, read),
        )
        for mode in modes
        for key, read in chosen.items()
    }
    switches = [
        draw.switch(words.text("pass"), [(mode, words.name("mode", mode)) for mode in modes]),
        draw.switch(words.text("granularity"), [(k, words.text(f"by_{k}")) for k in chosen]),
    ]
    return draw.chart("line", switches, views)


def _points(profile: Profile, mode: str) -> tuple[LengthPoint, ...]:
    found = _pass(profile, mode)
    return found.points if found else ()


def _pass(profile: Profile, mode: str) -> Pass | None:
    return next((one for key, one in profile.passes.items() if key == mode), None)


def _by_model(profiles: Sequence[Profile], mode: str, read: Reading) -> list[Chart]:
    return [
        draw.series(p.name, index, [(x.length, read(x), None, None) for x in _points(p, mode)])
        for index, p in enumerate(profiles)
    ]


def _decode(profiles: Sequence[Profile], words: Catalogue) -> Chart | None:
    views = {}
    for key, read in TOKEN.items():
        lines = _by_model(profiles, "decode", read)
        if any(line["points"] for line in lines):
            views[key] = draw.view(
                draw.axis(words.text("context_axis"), log=True),
                draw.axis(words.text(f"token_{key}_axis"), log=True),
                lines,
            )
    switch = draw.switch(words.text("figure"), [(k, words.text(f"token_{k}")) for k in views])
    return draw.chart("line", [switch], views)


def _roofline(profiles: Sequence[Profile], words: Catalogue) -> Chart | None:
    """A dot a pass at its predicted FLOP/s, under the machine's bandwidth and peak."""
    dots, intensities, heights = [], [], []
    for index, profile in enumerate(profiles):
        for one in profile.passes.values():
            if one.roofline is None:
                continue
            name = f"{profile.name}, {words.name('mode', one.mode)}"
            spot = (one.roofline.intensity, *achieved(one))
            shape = SHAPES.get(one.mode, 3)
            dots.append(draw.series(name, index, [spot], line=False, shape=shape))
            intensities.append(one.roofline.intensity)
            heights.append(one.roofline.attainable)
    lines = []
    for bandwidth, peak in roofs(profiles):
        ridge = peak / bandwidth
        left = min([*intensities, ridge]) / 3
        right = max([*intensities, ridge]) * 3
        slope = [(left, left * bandwidth, None, None), (ridge, peak, None, None)]
        flat = [(ridge, peak, None, None), (right, peak, None, None)]
        for key, points, figure in (
            ("bandwidth", slope, rate(bandwidth, "B/s")),
            ("peak", flat, rate(peak, "FLOP/s")),
        ):
            name = words.text(f"roof_{key}", figure=figure)
            lines.append(draw.series(name, 5, points, dots=False, dashed=key == "bandwidth"))
    view = draw.view(
        draw.axis(words.text("intensity_axis"), log=True),
        draw.axis(words.text("flops_axis"), log=True),
        [*lines, *dots],
        scatter=True,
    )
    return draw.chart("line", [], {"": view}) if dots else None


def _gradient(profiles: Sequence[Profile], words: Catalogue) -> Chart | None:
    lines = []
    for index, profile in enumerate(profiles):
        norms = profile.positions.gradient_by_distance if profile.positions else ()
        points: list[Point] = [(float(d), norm, None, None) for d, norm in enumerate(norms)]
        lines.append(draw.series(profile.name, index, points))
    view = draw.view(
        draw.axis(words.text("distance_axis")),
        draw.axis(words.text("gradient_axis"), log=True),
        lines,
    )
    return draw.chart("line", [], {"": view})


def _hops(
    profile: Profile, index: int, words: Catalogue, greatest: dict[str, float]
) -> Chart | None:
    """A matrix a count; one scale for all models, so that the same shade is the same figure."""
    if profile.positions is None or not profile.positions.hops_ij:
        return None
    kinds = [(key, getattr(profile.positions, key)) for key in ("hops_ij", "exchanges_ij")]
    views = {
        key: {
            "cells": [[_finite(value) for value in row] for row in cells],
            "greatest": greatest[key],
            "label": words.text(f"{key}_label"),
        }
        for key, cells in kinds
        if cells
    }
    switch = draw.switch(words.text("count"), [(key, words.text(key)) for key in views])
    return {"kind": "heat", "color": index, "switches": [switch], "views": views}


def _greatest(profiles: Iterable[Profile], what: str) -> float:
    matrices = [getattr(p.positions, what) for p in profiles if p.positions]
    known = [_finite(v) for cells in matrices for row in cells for v in row]
    return max((v for v in known if v is not None), default=1.0)


def _finite(value: float | None) -> float | None:
    return draw.short(value) if value is not None and math.isfinite(value) else None


def _times(profiles: Sequence[Profile], words: Catalogue) -> Chart | None:
    """Measured points on the curves that were predicted, by what varies and by mode."""
    views: dict[str, Chart] = {}
    axes, modes = [], []
    for axis in ("length", "batch", "threads"):
        for mode in MODES:
            lines = []
            for index, profile in enumerate(profiles):
                measured = profile.measured.points if profile.measured else ()
                points = [p for p in measured if (p.axis, p.mode) == (axis, mode)]
                seen: list[Point] = [
                    (p.value, p.seconds * 1e3, p.low * 1e3, p.high * 1e3) for p in points
                ]
                curve: list[Point] = [
                    (p.value, p.predicted_seconds * 1e3, None, None)
                    for p in points
                    if p.predicted_seconds is not None
                ]
                predicted = words.text("predicted_of", model=profile.name)
                style = {"dots": False, "dashed": True, "label": False}
                lines.append(draw.series(predicted, index, curve, **style))
                lines.append(draw.series(profile.name, index, seen, line=not curve))
            if any(line["points"] for line in lines):
                axes.append(axis)
                modes.append(mode)
                views[f"{axis}|{mode}"] = draw.view(
                    draw.axis(words.text(f"{axis}_axis"), log=True),
                    draw.axis(words.text("milliseconds_axis"), log=True),
                    lines,
                )
    switches = [
        draw.switch(
            words.text("against"), [(a, words.text(f"by_{a}")) for a in dict.fromkeys(axes)]
        ),
        draw.switch(words.text("pass"), [(m, words.name("mode", m)) for m in MODES if m in modes]),
    ]
    return draw.chart("line", switches, views)


def _speed_up(profile: Profile, words: Catalogue) -> Chart | None:
    found = profile.measured.speed_up if profile.measured else ()
    views = {str(one.mode): _workers(one, words) for one in found}
    switch = draw.switch(words.text("pass"), [(m, words.name("mode", m)) for m in views])
    return draw.chart("line", [switch], views)


def _workers(one: SpeedUp, words: Catalogue) -> Chart:
    curves = {
        "perfect": (one.perfect, 5, True),
        "brent_high": (one.brent_high, 4, True),
        "brent_low": (one.brent_low, 4, False),
        "burdened": (one.burdened, 3, False),
        "realisable": (one.realisable, 2, False),
    }
    lines = [
        draw.series(
            words.text(f"speed_up_{key}"),
            color,
            [(w, value, None, None) for w, value in zip(one.workers, values, strict=True)],
            dots=False,
            dashed=dashed,
        )
        for key, (values, color, dashed) in curves.items()
    ]
    measured: list[Point] = [(w, *values) for w, values in one.measured.items()]
    lines.append(draw.series(words.text("speed_up_measured"), 0, measured, line=False))
    return draw.view(
        draw.axis(words.text("workers_axis"), log=True),
        draw.axis(words.text("speed_up_axis"), log=True),
        lines,
    )
