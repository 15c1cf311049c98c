"""What the page of a study draws, as data: series, axes and switches for charts.js."""

from collections.abc import Callable, Iterable
from itertools import pairwise

from phalanx.comparison.report.language import StudyWords
from phalanx.comparison.results import CurvePoint, DistancePoint, ScalingPoint, Study
from phalanx.pages import charts as draw
from phalanx.pages.charts import Chart

MODES = ("train", "forward", "decode")
RACE_POSITIONS = 33


def charts(study: Study, words: StudyWords) -> dict[str, Chart]:
    """Return every chart that the study has the data for, by its name on the page."""
    models = [model.name for model in study.models]
    models += [p.model for p in study.scaling if p.model not in models]
    order = {name: index for index, name in enumerate(dict.fromkeys(models))}
    drawn = {
        "curves": _curves(study, order, words),
        "race": _race(study, order, words),
        "span": _scaling(study, order, words, "span"),
        "time": _scaling(study, order, words, "time"),
        "gradient": _gradient(study, order, words),
        "recall": _distance(study, order, words, "recall"),
        "hops": _distance(study, order, words, "hops"),
        "tagging": _tagging(study, words),
        "sizes": _sizes(study, order, words),
    }
    return {name: chart for name, chart in drawn.items() if chart is not None}


def _curves(study: Study, order: dict[str, int], words: StudyWords) -> Chart | None:
    clocks: dict[str, Callable[[CurvePoint], float]] = {
        "tokens": lambda point: point.tokens,
        "flops": lambda point: point.flops,
        "seconds": lambda point: point.seconds,
    }
    views = {}
    for clock, x in clocks.items():
        series = [
            draw.series(
                model.name,
                order[model.name],
                # Before the first step no model knows anything; the point would flatten the rest.
                [(x(p), p.loss, None, None) for p in model.curve if p.step > 0],
            )
            for model in study.models
        ]
        views[clock] = draw.view(
            draw.axis(words.text(f"axis_{clock}"), unit="s" if clock == "seconds" else ""),
            draw.axis(words.text("validation_loss"), zero=False),
            series,
        )
    switch = draw.switch(words.text("by"), [(clock, words.text(f"by_{clock}")) for clock in clocks])
    return draw.chart("line", [switch], views)


def _scaling(study: Study, order: dict[str, int], words: StudyWords, what: str) -> Chart | None:
    views = {}
    for mode in MODES:
        series = []
        for model, index in order.items():
            points = [p for p in study.scaling if p.model == model and p.mode == mode]
            chosen = [(float(p.length), *_figure(p, what)) for p in points]
            series.append(draw.series(model, index, chosen))
        views[mode] = draw.view(
            draw.axis(words.text("length_axis"), log=True),
            draw.axis(words.text(f"{what}_axis"), log=True),
            series,
        )
    views = {mode: view for mode, view in views.items() if view["series"]}
    switch = draw.switch(words.text("pass"), [(mode, words.name("mode", mode)) for mode in views])
    return draw.chart("line", [switch], views)


def _figure(point: ScalingPoint, what: str) -> tuple[float | None, float | None, float | None]:
    if what == "span":
        return point.span, None, None
    scaled = [None if v is None else v * 1e3 for v in (point.seconds, point.low, point.high)]
    return scaled[0], scaled[1], scaled[2]


def _gradient(study: Study, order: dict[str, int], words: StudyWords) -> Chart | None:
    points = [p for p in study.distances if p.kind == "gradient"]
    variants = list(dict.fromkeys(p.variant for p in points))
    radii = [v for v in variants if v.startswith("radius")]
    views = {}
    x = draw.axis(words.text("distance_axis"), log=True)
    y = draw.axis(words.text("gradient_axis"), log=True)
    for variant in (v for v in variants if v not in radii):
        views[variant] = draw.view(
            x, y, _by_model([p for p in points if p.variant == variant], order)
        )
    if radii:
        series = []
        for model, index in order.items():
            for place, radius in enumerate(radii):
                chosen = [p for p in points if p.model == model and p.variant == radius]
                title = f"{model}, {words.variant(radius)}"
                series.append(draw.series(title, index + place, _distance_points(chosen)))
        views["radius"] = draw.view(x, y, series)
    options = [(v, words.variant(v)) for v in views if v != "radius"]
    if radii:
        options.append(("radius", words.text("by_radius")))
    return draw.chart("line", [draw.switch(words.text("weights"), options)], views)


def _distance(study: Study, order: dict[str, int], words: StudyWords, kind: str) -> Chart | None:
    points = [p for p in study.distances if p.kind == kind]
    recall = kind == "recall"
    lines = []
    if recall and study.recall_chance is not None:
        lines = [{"y": study.recall_chance, "label": words.text("chance")}]
    view = draw.view(
        draw.axis(words.text("distance_axis"), log=True),
        draw.axis(words.text(f"{kind}_axis"), log=not recall, percent=recall),
        _by_model(points, order),
        lines,
    )
    return draw.chart("line", [], {"": view})


def _tagging(study: Study, words: StudyWords) -> Chart | None:
    series = [
        draw.series(
            tagger.name,
            (4, 1, 2, 3, 0, 5, 6, 7)[index % 8],
            [(float(t), ms, None, None) for t, ms in tagger.milliseconds_by_length.items()],
        )
        for index, tagger in enumerate(study.taggers)
    ]
    view = draw.view(
        draw.axis(words.text("length_axis"), log=True),
        draw.axis(words.text("milliseconds_axis"), log=True),
        series,
    )
    return draw.chart("line", [], {"": view})


def _sizes(study: Study, order: dict[str, int], words: StudyWords) -> Chart | None:
    series = []
    for model, index in order.items():
        points = [p for p in study.sizes if p.model == model]
        shares = [(float(p.parameters), p.share, p.low, p.high) for p in points]
        series.append(draw.series(model, index, shares))
    view = draw.view(
        draw.axis(words.text("sizes_axis"), log=True),
        draw.axis(words.name("unit", "share_of_peak"), percent=True),
        series,
    )
    return draw.chart("line", [], {"": view})


def _race(study: Study, order: dict[str, int], words: StudyWords) -> Chart | None:
    """Return when each position is done: a pass over the first t positions ends at ``x(t)``.

    Exact for a causal model, whose first t outputs need nothing later; between the measured
    lengths on straight lines, beyond them nothing.
    """
    views = {}
    for what, label in (("depth", words.text("race_depth")), ("time", words.text("race_time"))):
        lanes = []
        for model, index in order.items():
            known = sorted(
                (p.length, value)
                for p in study.scaling
                if p.model == model and p.mode == "forward"
                if (value := _figure(p, "span" if what == "depth" else "time")[0]) is not None
            )
            if len(known) > 1:
                lanes.append({"name": model, "color": index, "points": _between(known)})
        if lanes:
            views[what] = {
                "x": draw.axis(label),
                "y": draw.axis(words.text("position")),
                "series": lanes,
            }
    switch = draw.switch(
        words.text("race_clock"), [(what, words.text(f"race_by_{what}")) for what in views]
    )
    return {"kind": "race", "switches": [switch], "views": views} if views else None


def _between(known: list[tuple[int, float]]) -> list[list[float]]:
    first, last = known[0][0], known[-1][0]
    step = (last - first) / (RACE_POSITIONS - 1)
    points = []
    for place in range(RACE_POSITIONS):
        t = first + place * step
        for (t0, x0), (t1, x1) in pairwise(known):
            if t0 <= t <= t1:
                points.append([x0 + (x1 - x0) * (t - t0) / (t1 - t0), round(t)])
                break
    return points


def _by_model(points: list[DistancePoint], order: dict[str, int]) -> list[Chart]:
    return [
        draw.series(model, index, _distance_points([p for p in points if p.model == model]))
        for model, index in order.items()
    ]


def _distance_points(
    points: Iterable[DistancePoint],
) -> list[tuple[float, float | None, float | None, float | None]]:
    return [(float(p.distance), p.value, None, None) for p in points]
