"""What the tables of a profile share: names of the modes, headings, marks, colours."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from phalanx.profiling.results import MODE_NAMES as MODE_NAMES
from phalanx.profiling.results import Mode

LIMITS = {
    "compute": "arithmetic",
    "memory": "memory",
    "dispatch": "launches",
}
STYLES = {"compute": "bold blue", "memory": "cyan", "dispatch": "yellow", "open": "magenta"}


def length_name(mode: Mode) -> str:
    """What the length of a mode is called."""
    return "context" if mode == "decode" else "T"


def heading(console: Console, title: str, note: str = "") -> None:
    """Print a title on a line of its own, with a dim sentence below it."""
    console.print()
    console.print(Text(title, style="bold"))
    if note:
        console.print(Text(note, style="dim"))


def make_table(*, header: bool = True) -> Table:
    """An empty table without a frame."""
    return Table(
        box=box.SIMPLE_HEAD if header else None,
        show_header=header,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )


def whole(value: float) -> str:
    """A count with all its digits: ``15,369``; one of a billion and more with three."""
    return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3g}"


def printable(text: str) -> str:
    """``text`` without control characters: names of modules and files are the user's own."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def bullets(console: Console, lines: Iterable[str], style: str = "", mark: str = "·") -> None:
    """Print sentences, each behind a mark, its further lines indented."""
    table = make_table(header=False)
    table.add_column(width=1, style=style)
    table.add_column(overflow="fold", style=style)
    for line in lines:
        table.add_row(mark, Text(printable(line)))
    if table.row_count:
        console.print(table)
