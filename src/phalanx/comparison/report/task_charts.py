"""What the page of a comparison on a task draws: quality on its way, time against length."""

from collections.abc import Callable, Sequence

from phalanx.comparison.report.language import StudyWords
from phalanx.comparison.report.task_view import scores_of
from phalanx.comparison.results import CurvePoint
from phalanx.comparison.tasks.results import TaskStudy, TaskTrained
from phalanx.comparison.tasks.scores import is_share
from phalanx.pages import charts as draw
from phalanx.pages.charts import Chart

_CLOCKS: dict[str, Callable[[CurvePoint], float]] = {
    "seconds": lambda point: point.seconds,
    "tokens": lambda point: point.tokens,
    "flops": lambda point: point.flops,
}


def charts(study: TaskStudy, models: Sequence[str], words: StudyWords) -> dict[str, Chart]:
    """Return every chart that the study has the data for, by its name on the page."""
    order = {name: index for index, name in enumerate(models)}
    drawn = {
        "quality": _quality(study, order, words),
        "latency": _latency(study, order, words),
    }
    return {name: chart for name, chart in drawn.items() if chart is not None}


def _quality(study: TaskStudy, order: dict[str, int], words: StudyWords) -> Chart | None:
    if not study.models:
        return None
    scores, views = scores_of(study), {}
    for clock, x in _CLOCKS.items():
        for score in scores:
            unit = "%" if is_share(score) else ""
            series = [
                draw.series(
                    model.name,
                    order[model.name],
                    # Before the first step no model knows anything.
                    [
                        (x(point), _shown(score, _score(point, score)), None, None)
                        for point in _curve(model, clock)
                        if point.step > 0
                    ],
                )
                for model in study.models
            ]
            lines = [
                {
                    "y": _shown(score, baseline.scores[score]),
                    "label": words.name("baseline", baseline.name),
                }
                for baseline in study.baselines
                if score in baseline.scores
            ]
            views[f"{clock}|{score}"] = draw.view(
                draw.axis(words.text(f"axis_{clock}"), unit="s" if clock == "seconds" else ""),
                draw.axis(words.name("score", score), zero=False, unit=unit),
                series,
                lines,
            )
    switches = [
        draw.switch(words.text("by"), [(clock, words.text(f"by_{clock}")) for clock in _CLOCKS]),
        draw.switch(words.text("score"), [(name, words.name("score", name)) for name in scores]),
    ]
    return draw.chart("line", switches, views)


def _curve(model: TaskTrained, clock: str) -> list[CurvePoint]:
    """The run in which every model had as much of what the axis shows."""
    return model.timed_curve if clock == "seconds" and model.timed_curve else model.curve


def _score(point: CurvePoint, score: str) -> float | None:
    return point.loss if score == "loss" else point.scores.get(score)


def _shown(score: str, value: float | None) -> float | None:
    """Shares in percent on an axis of their own range: an axis of shares would end at 100 %."""
    return value if value is None or not is_share(score) else 100 * value


def _latency(study: TaskStudy, order: dict[str, int], words: StudyWords) -> Chart | None:
    series = [
        draw.series(
            one.model,
            order[one.model],
            [(float(p.length), 1e3 * p.seconds, 1e3 * p.low, 1e3 * p.high) for p in one.latency],
        )
        for one in study.inference
    ]
    view = draw.view(
        draw.axis(words.text("length_axis"), log=True),
        draw.axis(words.text("milliseconds_axis"), log=True),
        series,
    )
    return draw.chart("line", [], {"": view})
