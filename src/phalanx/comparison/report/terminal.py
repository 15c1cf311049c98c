"""What all tables of the terminal share: headings, plain tables, the contract, safe text."""

from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from phalanx.comparison.report.language import StudyWords, catalogue
from phalanx.comparison.report.verdicts import ASCII_MARKS, MARKS, STYLES, tone
from phalanx.comparison.report.view import contract_lines
from phalanx.comparison.results import Verdict
from phalanx.pages.figures import figure, interval

LABEL_WIDTH = 19
_PLAIN = "not bold default"


def printable(text: str) -> str:
    """Return a sample without control characters: a model may write a terminal's escapes."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def heading(console: Console, title: str, note: str = "") -> None:
    """Print a title on its own, and what it means below it."""
    console.print()
    console.print(Text(title, style="bold"))
    if note:
        console.print(Text(note, style="dim"))


def plain_table(*, header: bool = True) -> Table:
    """Return an empty table with a line below its header, or without both."""
    return Table(
        box=box.SIMPLE_HEAD if header else None,
        show_header=header,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )


def print_contract(contract: dict[str, Any], console: Console, language: str = "en") -> None:
    """Print the fairness contract: what was held equal and what was not."""
    if not contract:
        return
    words = catalogue(language)
    heading(console, words.text("contract"), words.text("contract_note"))
    table = plain_table(header=False)
    table.add_column(min_width=LABEL_WIDTH, max_width=2 * LABEL_WIDTH, style="dim")
    table.add_column(overflow="fold")
    for term, lines in contract_lines(contract, words):
        table.add_row(term, Text(printable(" · ".join(lines))))
    console.print(table)


def verdict_text(verdict: Verdict, words: StudyWords, console: Console, width: int) -> Text:
    """Return mark and word of a verdict, and below it the figure with its interval.

    Args:
        verdict: what was judged.
        words: of the language.
        console: decides which marks can be shown.
        width: of the column; an interval that does not fit stands on a line of its own.
    """
    kind = tone(verdict.verdict)
    mark = (ASCII_MARKS if console.options.ascii_only else MARKS)[kind]
    text = Text(f"{mark} {words.name('verdict', verdict.verdict)}", style=STYLES[kind])
    if verdict.figure is not None:
        shown = figure(verdict.figure, verdict.unit)
        spread = interval(verdict.low, verdict.high, verdict.unit)
        glue = " " if cell_len(shown) + 1 + cell_len(spread) <= width else "\n"
        text.append("\n" + shown, style=_PLAIN)
        if spread:
            text.append(glue + spread, style=_PLAIN + " dim")
    return text
