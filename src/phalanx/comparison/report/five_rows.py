"""The five rows in the terminal: both verdicts of each model, their rules, and what is missing.

Marks carry the verdict beside the word, so nothing is lost without colour (NO_COLOR, a pipe).
"""

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from phalanx.comparison.report.language import StudyWords, catalogue
from phalanx.comparison.report.terminal import (
    LABEL_WIDTH,
    heading,
    plain_table,
    printable,
    verdict_text,
)
from phalanx.comparison.report.verdicts import ASCII_MARKS, MARKS
from phalanx.comparison.report.view import Finding, open_cells, row_parts, rules
from phalanx.comparison.results import Basis, Row, Verdict
from phalanx.pages.console import WIDTH

CELL_WIDTH = 15


def print_summary(
    rows: Sequence[Row], models: Sequence[str], console: Console, language: str = "en"
) -> None:
    """Print the five rows with both verdicts, the thresholds and why a verdict is missing."""
    words = catalogue(language)
    heading(console, words.text("table"))
    _five_rows(rows, models, console, words, ("structure", "machine"))
    _legend(console, words)
    _thresholds(rows, console, words, ("structure", "machine"))


def print_structure(
    rows: Sequence[Row], models: Sequence[str], console: Console, language: str = "en"
) -> None:
    """Print the structure verdicts alone, as they are known before any training."""
    words = catalogue(language)
    heading(console, words.text("structure_table"), words.text("structure_note"))
    _five_rows(rows, models, console, words, ("structure",))
    _legend(console, words)
    _thresholds(rows, console, words, ("structure",))


def _five_rows(
    rows: Sequence[Row],
    models: Sequence[str],
    console: Console,
    words: StudyWords,
    bases: tuple[Basis, ...],
) -> None:
    width = min(console.width, WIDTH)
    fold = max((width - LABEL_WIDTH) // (CELL_WIDTH + 1), 1)
    for start in range(0, len(models), fold):
        chosen = models[start : start + fold]
        header = _grid(len(chosen))
        header.add_row("", *(Text(printable(model), style="bold") for model in chosen))
        console.print(header)
        console.print(Rule(style="dim"))
        for row in rows:
            for part in row_parts(row, models):
                console.print(_row_title(row.key, part, words))
                grid = _grid(len(chosen))
                for basis in bases:
                    units = _units(row, part, models, basis)
                    grid.add_row(
                        _label(words, basis, units),
                        *(
                            _cell(row, model, part, basis, units, words, console)
                            for model in chosen
                        ),
                    )
                console.print(grid)
                console.print()


def _grid(models: int) -> Table:
    """Return an empty table of the label and the models' columns, the same widths every time."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(width=LABEL_WIDTH, overflow="fold")
    for _ in range(models):
        table.add_column(width=CELL_WIDTH, overflow="fold")
    return table


def _row_title(key: str, part: str, words: StudyWords) -> Text:
    text = Text(words.name("row", key), style="bold")
    if part:
        text.append(f" · {words.name('part', part)}")
    question = words.name("part_question", part) if part else words.name("row_question", key)
    text.append(f"  {question}", style="not bold dim")
    return text


def _label(words: StudyWords, basis: Basis, units: list[str]) -> Text:
    """Name the two lines of a cell: the basis, and the unit where all models share one."""
    text = Text("  " + words.name("basis", basis))
    unit = words.name("unit_short", units[0]) if len(units) == 1 else ""
    if unit:
        text.append("\n  " + unit, style="dim")
    return text


def _cell(
    row: Row,
    model: str,
    part: str,
    basis: Basis,
    units: list[str],
    words: StudyWords,
    console: Console,
) -> Text:
    cell = row.cells.get(model, {}).get(part)
    if cell is None:
        return Text("")
    verdict: Verdict = getattr(cell, basis)
    text = verdict_text(verdict, words, console, CELL_WIDTH)
    if verdict.figure is not None and len(units) > 1 and verdict.unit:
        text.append("\n" + words.name("unit_short", verdict.unit), style="not bold default dim")
    return text


def _units(row: Row, part: str, models: Iterable[str], basis: Basis) -> list[str]:
    """Return the different units of the figures that one line of the table shows."""
    found: dict[str, None] = {}
    for model in models:
        cell = row.cells.get(model, {}).get(part)
        if cell is not None:
            verdict: Verdict = getattr(cell, basis)
            if verdict.figure is not None:
                found[verdict.unit] = None
    return list(found)


def _legend(console: Console, words: StudyWords) -> None:
    marks = ASCII_MARKS if console.options.ascii_only else MARKS
    parts = [f"{marks[kind]} {words.name('legend', kind)}" for kind in MARKS]
    console.print(Text("  ".join(parts), style="dim"))


def _thresholds(
    rows: Sequence[Row], console: Console, words: StudyWords, bases: tuple[Basis, ...]
) -> None:
    """Print each rule once, then the reason of every missing verdict."""
    table = plain_table(header=False)
    table.add_column(style="dim", max_width=21)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="dim")
    for rule in rules(rows, bases):
        table.add_row(_where(rule, words), words.name("basis", rule.basis), _rule_text(rule, words))
    if table.row_count:
        console.print(Text("\n" + words.text("thresholds"), style="bold"))
        console.print(table)
    missing = open_cells(rows, bases)
    if missing:
        console.print(Text("\n" + words.text("why_open"), style="bold"))
        console.print(_reasons(missing, words))


def _reasons(missing: Sequence[Finding], words: StudyWords) -> RenderableType:
    lines = []
    for rule in missing:
        where = f"{_where(rule, words)}, {words.name('basis', rule.basis)}"
        who = words.text("comma").join(rule.models)
        lines.append(Text(f"{where} ({who}): {printable(words.sentence(rule.how))}", style="dim"))
    return Group(*lines)


def _where(rule: Finding, words: StudyWords) -> str:
    part = words.name("part", rule.part)
    title = words.name("row", rule.row)
    return f"{title}, {part}" if part else title


def _rule_text(rule: Finding, words: StudyWords) -> str:
    unit = words.name("unit", rule.unit)
    threshold = words.threshold(rule.threshold)
    return f"{threshold} ({unit})" if unit else threshold
