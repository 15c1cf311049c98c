"""Seconds: predictions of other settings, where speed saturates, and what was measured."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from phalanx.pages.figures import NOTHING, duration, interval, percent, significant
from phalanx.profiling.report.words import (
    MODE_NAMES,
    STYLES,
    bullets,
    heading,
    length_name,
    make_table,
    printable,
)
from phalanx.profiling.results import Measured, MeasuredPoint, Pass, Prediction, SpeedUp


def print_predictions(passes: Sequence[Pass], console: Console) -> None:
    """Print where the predicted time goes, the what-ifs beside it, and where speed saturates."""
    known = [one for one in passes if one.prediction is not None]
    if not known:
        return
    heading(console, "Predicted time on this machine", "Low and high hold 80 % of cases.")
    table = make_table()
    table.add_column("")
    table.add_column("setting", overflow="fold")
    for name in ("time", "low–high", "of now", "launches", "memory", "arithmetic"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in known:
        assert one.prediction is not None
        now = f"batch={one.batch}, {length_name(one.mode)}={one.length}"
        table.add_row(MODE_NAMES[one.mode], now, *_prediction(one.prediction, None))
        for other in one.what_if:
            table.add_row("", other.setting, *_prediction(other, one.prediction))
    console.print(table)
    bullets(console, [text for one in known if (text := _saturation(one))])


def _prediction(one: Prediction, now: Prediction | None) -> list[str]:
    ratio = f"{significant(one.seconds / now.seconds)}x" if now and now.seconds else ""
    shares = (one.dispatch_share, one.memory_share, one.compute_share)
    return [
        duration(one.seconds),
        interval(one.low, one.high, "seconds"),
        ratio,
        *map(percent, (round(share, 2) for share in shares)),
    ]


def _saturation(one: Pass) -> str:
    names = {"length": length_name(one.mode)}
    parts = [
        f"stops growing at {name} {value:,}"
        if value is not None
        else f"grows with {name} as far as was looked"
        for name, value in ((names.get(axis, axis), v) for axis, v in one.saturation.items())
    ]
    return f"{MODE_NAMES[one.mode]}: speed {', '.join(parts)}." if parts else ""


def print_measured(found: Measured, console: Console) -> None:
    """Print the measured times beside the predicted ones, and the speed-up curves."""
    heading(
        console,
        "Measured on this machine",
        "Median of the turns, least and greatest. Ratio: predicted over measured.",
    )
    if found.inconclusive:
        console.print(Text(printable(found.inconclusive), style=STYLES["open"]))
    table = make_table()
    for name in ("", "against", "value", "measured", "low–high", "predicted", "ratio"):
        table.add_column(name, justify="left" if name in ("", "against") else "right")
    before: MeasuredPoint | None = None
    for point in found.points:
        mode = MODE_NAMES[point.mode] if before is None or before.mode != point.mode else ""
        axis = point.axis if mode or before is None or before.axis != point.axis else ""
        table.add_row(mode, axis, f"{point.value:,}", *_measured(point))
        before = point
    console.print(table)
    if found.speed_up:
        _print_speed_ups(found.speed_up, console)
    spreads = ", ".join(f"{axis} {significant(value)}" for axis, value in found.control.items())
    lines = list(found.sentences)
    if spreads:
        lines.append(f"Spread of the control kernel (upper over lower quartile): {spreads}.")
    bullets(console, lines)


def _measured(point: MeasuredPoint) -> list[str]:
    predicted = point.predicted_seconds
    shown = NOTHING if predicted is None else duration(predicted)
    ratio = "" if not predicted else significant(predicted / point.seconds)
    spread = interval(point.low, point.high, "seconds")
    return [duration(point.seconds), spread, shown, ratio]


def _print_speed_ups(speed_ups: Sequence[SpeedUp], console: Console) -> None:
    heading(
        console,
        "Speed-up over one thread",
        "Brent: what the dependences allow. Burdened: with the cost of each launch on the chain. "
        "Realisable: in an eager runtime.",
    )
    table = make_table()
    table.add_column("")
    for name in ("threads", "perfect", "Brent", "burdened", "realisable", "measured", "low–high"):
        table.add_column(name, justify="right", no_wrap=True)
    for curves in speed_ups:
        for place, workers in enumerate(curves.workers):
            measured = curves.measured.get(workers)
            table.add_row(
                MODE_NAMES[curves.mode] if place == 0 else "",
                str(workers),
                significant(curves.perfect[place]),
                _between(curves.brent_low[place], curves.brent_high[place]),
                significant(curves.burdened[place]),
                significant(curves.realisable[place]),
                significant(measured[0]) if measured else "",
                interval(measured[1], measured[2], "") if measured and workers > 1 else "",
            )
    console.print(table)


def _between(low: float, high: float) -> str:
    first, last = significant(low), significant(high)
    return first if first == last else f"{first}–{last}"
