"""The figures of each mode, in two columns: the algorithm, and what this machine executes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from phalanx.pages.figures import NOTHING, bytes_, duration, interval, many, percent, significant
from phalanx.profiling.report.words import (
    LIMITS,
    MODE_NAMES,
    STYLES,
    heading,
    make_table,
    whole,
)
from phalanx.profiling.results import Figures, Pass

_NAME_WIDTH, _MODE_WIDTH = 24, 25  # columns of the terminal


def _side_by_side(figures: Figures) -> str:
    """Kernels over span; nothing where a chain runs inside one fused kernel."""
    ratio = figures.kernel_parallelism
    return significant(ratio) if ratio >= 1 else NOTHING


@dataclass(frozen=True)
class Line:
    """One line of the table: its name, and what it shows of either column's figures."""

    name: str
    show: Callable[[Figures], str]


LINES = (
    Line("work (FLOPs)", lambda f: many(f.work)),
    Line("  in matrix products", lambda f: percent(f.matmul_share)),
    Line("bytes moved", lambda f: bytes_(f.bytes_moved)),
    Line("intensity (FLOPs/byte)", lambda f: significant(f.intensity)),
    Line("kernels", lambda f: whole(f.kernels)),
    Line("span: kernel chain", lambda f: whole(f.span)),
    Line("span: scalar operations", lambda f: whole(f.scalar_span)),
    Line("span of the schedule", lambda f: whole(f.schedule_span)),
    Line("parallelism (work/span)", lambda f: many(f.parallelism)),
    Line("kernels side by side", _side_by_side),
    Line("host waits (.item())", lambda f: whole(f.syncs)),
    Line("peak memory", lambda f: bytes_(f.peak_bytes)),
)


def print_passes(passes: Sequence[Pass], console: Console) -> None:
    """Print the modes side by side, as many as fit; a line that is zero everywhere is left out."""
    note = (
        "Batch x T (one token: its context). Algorithm: fused kernels taken apart. Executed: whole."
    )
    heading(console, "Work, span and parallelism", note)
    side_by_side = max((console.width - _NAME_WIDTH) // _MODE_WIDTH, 1)
    for start in range(0, len(passes), side_by_side):
        console.print(_table(passes[start : start + side_by_side]))


def _table(passes: Sequence[Pass]) -> Table:
    table = make_table()
    table.add_column("\n", no_wrap=True)
    for one in passes:
        title = MODE_NAMES[one.mode].removesuffix(" pass")
        size = f"{one.batch} x {one.length:,}"
        table.add_column(f"{title}\nalgorithm", justify="right", min_width=11, no_wrap=True)
        table.add_column(f"{size}\nexecuted", justify="right", min_width=10, no_wrap=True)
    for line in LINES:
        if line.name.startswith("host waits") and not any(p.algorithm.syncs for p in passes):
            continue
        cells = []
        for one in passes:
            executed = NOTHING if one.executed is None else line.show(one.executed)
            cells += [line.show(one.algorithm), executed]
        table.add_row(line.name, *cells)
        for extra in _below(line.name, passes):
            table.add_row(*extra)
    for row in _machine(passes):
        table.add_row(*row)
    return table


def _below(name: str, passes: Sequence[Pass]) -> list[list[str]]:
    """The lines that belong behind a line and have one figure for each mode."""
    if name.startswith("work") and any(p.useful_work != p.algorithm.work for p in passes):
        return [_line("  useful", [many(p.useful_work) for p in passes])]
    if name.startswith("span: scalar") and any(p.element_depth is not None for p in passes):
        return [_line("span: elements", [_element_depth(p) for p in passes])]
    return []


def _element_depth(one: Pass) -> str:
    if one.element_depth is None:
        return NOTHING
    return f"{whole(one.element_depth)} (T {one.element_length})"


def _machine(passes: Sequence[Pass]) -> list[list[str | Text]]:
    rows: list[list[str | Text]] = [
        list(_line("cost known of kernels", [percent(p.coverage) for p in passes], 1))
    ]
    if any(p.roofline for p in passes):
        row: list[str | Text] = ["limited here by"]
        for one in passes:
            verdict = one.roofline.verdict if one.roofline else None
            shown = Text(LIMITS[verdict], style=STYLES[verdict]) if verdict else Text(NOTHING)
            row += ["", shown]
        rows.append(row)
    if any(p.prediction for p in passes):
        times = [duration(p.prediction.seconds) if p.prediction else NOTHING for p in passes]
        spread = [
            interval(p.prediction.low, p.prediction.high, "seconds") if p.prediction else ""
            for p in passes
        ]
        rows.append(list(_line("time here, predicted", times, 1)))
        rows.append(list(_line("  80 % of cases within", spread, 1)))
    return rows


def _line(name: str, shown: Sequence[str], column: int = 0) -> list[str]:
    """A line with one figure a mode, in the column of the algorithm (0) or of this machine (1)."""
    return [name, *(cell for text in shown for cell in (("", text) if column else (text, "")))]
