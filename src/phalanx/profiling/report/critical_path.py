"""The critical path: which modules and operators everything waits for, folded where it repeats."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from phalanx.profiling.report.words import MODE_NAMES, heading, make_table, printable, whole
from phalanx.profiling.results import Pass, PathStep

STEPS = 14  # lines shown of each phase of a path; the rest is counted
_ARROW = " -> "


def print_path(one: Pass, console: Console) -> None:
    """Print the chain of kernels that sets the span of a mode, a line for each part of it."""
    if not one.path:
        return
    total = sum(step.kernels for step in one.path)
    heading(
        console,
        f"Critical path of {_article(MODE_NAMES[one.mode])}",
        f"{whole(total)} dependent kernels in order; rounds of the chain, share of the span.",
    )
    table = make_table(header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=2, overflow="fold", min_width=24)
    table.add_column(ratio=4, overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    for phase, steps in groupby(one.path, lambda step: step.phase):
        _add_phase(table, phase, list(steps), total)
    console.print(table)
    if any(step.reassociable for step in one.path):
        note = "* adds up terms in turn; a tree would need log2 of their number."
        console.print(Text(note, style="dim"))


def _add_phase(table: Table, phase: str, steps: Sequence[PathStep], total: int) -> None:
    if phase == "backward":
        table.add_row("", Text(phase, style="dim"))
    for step in steps[:STEPS]:
        table.add_row(
            f"x{step.times:,}",
            _where(step),
            _chain(step),
            whole(step.kernels),
            f"{step.kernels / total:.0%}",
        )
    left = steps[STEPS:]
    if left:
        kernels = sum(step.kernels for step in left)
        words = f"{len(left)} more part{'s' if len(left) > 1 else ''}"
        table.add_row("", Text(words, style="dim"), "", whole(kernels), f"{kernels / total:.0%}")


def _where(step: PathStep) -> Text:
    if not step.module:
        return Text("outside any module" if not step.kind else printable(step.kind))
    text = Text(printable(step.module))
    return text.append(f" {printable(step.kind)}", style="dim") if step.kind else text


def _chain(step: PathStep) -> Text:
    text = Text(_ARROW.join(runs(step.chain)))
    return text.append(" *", style="yellow") if step.reassociable else text


def runs(chain: Iterable[str]) -> list[str]:
    """Operators with equal neighbours drawn together: ``add x3``."""
    found: list[tuple[str, int]] = []
    for name in map(printable, chain):
        if found and found[-1][0] == name:
            found[-1] = (name, found[-1][1] + 1)
        else:
            found.append((name, 1))
    return [name if times == 1 else f"{name} x{times}" for name, times in found]


def _article(name: str) -> str:
    return name if name.startswith(("one", "what")) else f"a {name}"
