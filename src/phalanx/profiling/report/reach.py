"""Position to position: a map of hops, causality, the receptive field, gradients by distance."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from phalanx.pages.figures import significant
from phalanx.profiling.report.growth import span_text
from phalanx.profiling.report.words import heading, make_table
from phalanx.profiling.results import Positions
from phalanx.profiling.span import Law

MAP = 8  # rows and columns of the map at most
_BLOCKS, _ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.:-=+*#"


def print_positions(found: Positions, console: Console) -> None:
    """Print how positions reach each other, as far as it was followed."""
    heading(console, "Position to position", f"Traced on real numbers at T {found.length}.")
    table = make_table(header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _sentences(found):
        table.add_row(name, text)
    if found.gradient_by_distance:
        blocks = _ASCII_BLOCKS if console.options.ascii_only else _BLOCKS
        table.add_row("gradient, near to far", _gradients(found.gradient_by_distance, blocks))
    console.print(table)
    if found.hops_ij:
        console.print(Text("Kernels from input position (row) to output position (column)", "dim"))
        console.print(Text("\n".join(hop_map(found.hops_ij))))


def _sentences(found: Positions) -> list[tuple[str, str]]:
    lines = [("causal", _causality(found))]
    if found.receptive_field is not None:
        least = "at least " if found.receptive_field >= found.length - 1 else ""
        lines.append(("receptive field", f"{least}{found.receptive_field} positions away"))
    if found.hops_law is not None:
        lines.append(("path", _at_distance(found.hops_law, "kernels")))
    if found.exchanges_law is not None:
        lines.append(("exchanges on it", _at_distance(found.exchanges_law, "between positions")))
    if found.why_not:
        lines.append(("not followed", found.why_not))
    return lines


def _causality(found: Positions) -> str:
    ways = {"by the paths": found.causal_by_shadow, "by exact gradients": found.causal_by_gradient}
    known = [
        f"{'yes' if value else 'no'} {way}" for way, value in ways.items() if value is not None
    ]
    text = ", ".join(known) or "not followed"
    if found.leak:
        text += f"; greatest gradient of a later input {significant(found.leak)}"
    return text


def _at_distance(law: Law, what: str) -> str:
    size = span_text(law).replace("T", "d")
    text = f"{size} {what} at {'distance d' if 'd' in size else 'any distance'}"
    return text if law.exact else f"{text} (within {significant(law.residual)})"


def hop_map(hops_ij: Sequence[Sequence[float | None]]) -> list[str]:
    """A matrix of hops as lines of digits, ``.`` where no path leads; at most MAP of a side."""
    inputs, outputs = len(hops_ij), len(hops_ij[0])  # outputs: one where they are pooled
    step = math.ceil(max(inputs, outputs) / MAP)
    at_i, at_j = range(0, inputs, step), range(0, outputs, step)
    cells = [
        ["." if hops_ij[i][j] is None else significant(hops_ij[i][j] or 0.0) for j in at_j]
        for i in at_i
    ]
    names_i, names_j = [str(i) for i in at_i], [str(j) for j in at_j]
    width = max(len(text) for row in [*cells, names_i, names_j] for text in row)
    rows = [["", *names_j], *([name, *row] for name, row in zip(names_i, cells, strict=True))]
    return [" ".join(text.rjust(width) for text in row) for row in rows]


def sparkline(values: Sequence[float], blocks: str) -> str:
    """Positive values as blocks of rising height, by their logarithm; a space for zero."""
    logs = [math.log(value) if value > 0 else None for value in values]
    known = [log for log in logs if log is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    top = len(blocks) - 1
    scale = top / (high - low) if high > low else 0.0
    return "".join(
        " " if log is None else blocks[round((log - low) * scale) if scale else top] for log in logs
    )


def _gradients(norms: Sequence[float], blocks: str) -> str:
    line = sparkline(norms, blocks)
    last = len(norms) - 1
    ends = f"{significant(norms[0])} at d 0, {significant(norms[-1])} at d {last}"
    return f"{line}  {ends} (logarithmic)"
