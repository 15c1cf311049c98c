"""Several models in one table a mode: the figures that decide between them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from phalanx.pages.figures import NOTHING, duration, many, percent
from phalanx.profiling.report.growth import span_text
from phalanx.profiling.report.words import (
    LIMITS,
    MODE_NAMES,
    STYLES,
    heading,
    length_name,
    make_table,
    printable,
    whole,
)
from phalanx.profiling.results import Mode, Pass, Profile

_WIDE = 96  # columns of a terminal that shows them all
_LESS = ("params", "matmul")


def print_side_by_side(profiles: Sequence[Profile], console: Console) -> None:
    """Print a table for each mode, a line for each model that has it."""
    modes: dict[Mode, None] = {}
    for profile in profiles:
        modes.update(dict.fromkeys(profile.passes))
    for mode in modes:
        having = [(p, p.passes[mode]) for p in profiles if mode in p.passes]
        heading(console, _title(mode, [one for _, one in having]))
        console.print(_table(having, console.width))


def _title(mode: Mode, passes: Sequence[Pass]) -> str:
    sizes = {(one.batch, one.length) for one in passes}
    name = MODE_NAMES[mode].capitalize()
    if len(sizes) > 1:
        return name
    batch, length = sizes.pop()
    return f"{name}, batch {batch}, {length_name(mode)} {length}"


def _table(having: Sequence[tuple[Profile, Pass]], width: int) -> Table:
    rows = [_cells(profile, one) for profile, one in having]
    known = [name for name in rows[0] if any(row[name] != NOTHING for row in rows)]
    if len({row["B, T"] for row in rows}) == 1:
        known.remove("B, T")
    if width < _WIDE:
        known = [name for name in known if name not in _LESS]
    table = make_table()
    table.add_column("model", overflow="fold", min_width=12)
    for name in known:
        table.add_column(name, justify="right", overflow="fold")
    for (profile, _), row in zip(having, rows, strict=True):
        table.add_row(Text(printable(profile.name)), *(row[name] for name in known))
    return table


def _cells(profile: Profile, one: Pass) -> dict[str, str | Text]:
    figures = one.algorithm
    verdict = one.roofline.verdict if one.roofline else None
    return {
        "B, T": f"{one.batch}, {one.length}",
        "params": many(profile.parameters),
        "work": many(figures.work),
        "span": whole(figures.span),
        "span in T": span_text(one.laws.span) if one.laws.span else NOTHING,
        "parallelism": many(figures.parallelism),
        "matmul": percent(figures.matmul_share),
        "limit here": Text(LIMITS[verdict], style=STYLES[verdict]) if verdict else NOTHING,
        "predicted": duration(one.prediction.seconds) if one.prediction else NOTHING,
    }
