"""``phalanx runs``: the runs here, what they came to, and which of them can go on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from phalanx.cli.common import Json, note, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from phalanx.training.listing import Listed

STYLES = {"running": "cyan", "done": "green", "stopped": "yellow", "diverged": "red"}
UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
FIGURES = ("params", "step", "train", "valid", "bits/B", "tok/s", "time")
WIDTHS = {"params": 100, "bits/B": 100, "tok/s": 100, "train": 80, "time": 80, "step": 70}
"""Columns of the terminal that a figure needs; the others are always there."""


def runs(
    *folders: Path,
    sort: Literal["loss", "time"] = "loss",
    json: Json = False,
) -> int:
    """List runs with their figures: the best first, or the newest first.

    A run is running, done, stopped (it goes on with `phalanx train --resume`), diverged (the loss
    stopped being a number), failed (it ended before its first checkpoint), or damaged.

    Parameters
    ----------
    folders
        Where to look, three folders deep. Default: runs.
    sort
        By the best validation loss, or by time.
    """
    from phalanx.training.listing import examine, find_runs

    given = folders or (Path("runs"),)
    looked = given if folders or given[0].exists() else ()
    found = [examine(path) for folder in looked for path in find_runs(folder)]
    found.sort(key=lambda run: (-run.modified, str(run.path)))
    if sort == "loss":
        found.sort(key=lambda run: float("inf") if run.best_loss is None else run.best_loss)
    whole = [run for run in found if run.status != "damaged"]
    if json:
        print_json({"runs": [_data(run) for run in found]})
    elif whole:
        from phalanx.pages.console import make_console

        console = make_console()
        console.print(_table(whole, given, console.width))
    if not found:
        where = ", ".join(str(folder) for folder in given)
        note(f"{where}: no runs here yet. `phalanx train` makes one.")
    for run in found:
        if run.problem is not None:
            note(f"damaged: {printable(run.problem)}")
    stopped = next((run for run in whole if run.status == "stopped"), None)
    if stopped is not None and not json:
        note(f"What is stopped goes on with: phalanx train --resume {stopped.path}")
    return 0


def _data(run: "Listed") -> dict[str, object]:
    modified = datetime.fromtimestamp(run.modified, UTC).isoformat(timespec="seconds")
    return {**asdict(run), "path": str(run.path), "modified": modified}


def _table(found: "Sequence[Listed]", folders: Sequence[Path], width: int) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, header_style="bold")
    table.add_column("run", min_width=15, max_width=24, overflow="fold")
    table.add_column("model", min_width=11, max_width=16, overflow="fold")
    figures = [name for name in FIGURES if width >= WIDTHS.get(name, 0)]
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("when", justify="right", no_wrap=True)
    losses = [run.best_loss for run in found if run.best_loss is not None]
    now = time.time()
    for run in found:
        shown = _figures(run)
        best = losses and run.best_loss == min(losses)
        table.add_row(
            Text(printable(_name(run.path, folders))),
            Text(printable(run.model or "?")),
            *(Text(shown[f], style="bold" if best and f == "valid" else "") for f in figures),
            Text(run.status, style=STYLES.get(run.status, "red")),
            ago(now - run.modified),
        )
    return table


def _figures(run: "Listed") -> dict[str, str]:
    from phalanx.pages.figures import NOTHING, many, significant
    from phalanx.training.eta import clock

    def known(value: float | None, show: Callable[[float], str]) -> str:
        return NOTHING if value is None else show(value)

    return {
        "params": known(run.parameters, many),
        "step": _steps(run),
        "train": known(run.training_loss, "{:.3f}".format),
        "valid": known(run.best_loss, "{:.3f}".format),
        "bits/B": known(run.bits_per_byte, significant),
        "tok/s": known(run.tokens_per_second, many),
        "time": known(run.seconds, clock),
    }


def _steps(run: "Listed") -> str:
    """``700/2000``, and ``2000`` alone when that is all."""
    from phalanx.pages.figures import NOTHING, many

    counts = [run.step] if run.step == run.steps else [run.step, run.steps]
    return "/".join(
        NOTHING if count is None else str(count) if count < 10_000 else many(count)
        for count in counts
    )


def _name(path: Path, folders: Sequence[Path]) -> str:
    """The path below the one folder that was asked for; the whole path where there are several."""
    if len(folders) > 1:
        return str(path)
    return str(path.relative_to(folders[0])) if path != folders[0] else path.resolve().name


def ago(seconds: float) -> str:
    """How long ago, in the largest unit that fits: ``now``, ``5 min``, ``3 h``, ``2 d``."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return "now"


def printable(text: str) -> str:
    """``text`` without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)
