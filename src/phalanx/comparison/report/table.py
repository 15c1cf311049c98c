"""The terminal's tables: at most 100 columns, with or without colour, folded by models.

Marks carry the verdict beside the word, so nothing is lost without colour (NO_COLOR, a pipe).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from phalanx.comparison.report.language import StudyWords, catalogue
from phalanx.comparison.report.verdicts import ASCII_MARKS, MARKS, STYLES, tone
from phalanx.comparison.report.view import (
    Finding,
    best,
    contract_lines,
    open_cells,
    row_parts,
    rules,
)
from phalanx.comparison.results import Basis, Level, Row, Study, Tagger, Trained, Verdict
from phalanx.pages.console import WIDTH
from phalanx.pages.figures import (
    NOTHING,
    bytes_,
    duration,
    figure,
    interval,
    many,
    significant,
)

LABEL_WIDTH = 19
CELL_WIDTH = 15
_PLAIN = "not bold default"


def print_tables(study: Study, console: Console, language: str | None = None) -> None:
    """Print the whole study: five rows, three levels, training, tagging, contract.

    Args:
        study: what the comparison found.
        console: where to print (``make_console``).
        language: ``en`` or ``zh``; the study's own when None.

    Raises:
        UsageError: no catalogue for the language.
    """
    language = language or study.language
    models = [model.name for model in study.models] or _models_of(study.rows)
    print_summary(study.rows, models, console, language)
    print_levels(study.levels, console, language)
    print_training(study.models, console, language)
    print_tagging(study.taggers, console, language)
    print_contract(study.contract, console, language)
    words = catalogue(language)
    for note in study.notes:
        console.print(Text("· " + _printable(words.sentence(note)), style="dim"))


def print_summary(
    rows: Sequence[Row], models: Sequence[str], console: Console, language: str = "en"
) -> None:
    """Print the five rows with both verdicts, the thresholds and why a verdict is missing."""
    words = catalogue(language)
    _heading(console, words.text("table"))
    _five_rows(rows, models, console, words, ("structure", "machine"))
    _legend(console, words)
    _thresholds(rows, console, words, ("structure", "machine"))


def print_structure(
    rows: Sequence[Row], models: Sequence[str], console: Console, language: str = "en"
) -> None:
    """Print the structure verdicts alone, as they are known before any training."""
    words = catalogue(language)
    _heading(console, words.text("structure_table"), words.text("structure_note"))
    _five_rows(rows, models, console, words, ("structure",))
    _legend(console, words)
    _thresholds(rows, console, words, ("structure",))


def print_levels(levels: Sequence[Level], console: Console, language: str = "en") -> None:
    """Print the three levels: each made serial, results compared, ratio of times."""
    if not levels:
        return
    words = catalogue(language)
    _heading(console, words.text("levels"), words.text("levels_note"))
    table = _table()
    table.add_column(words.text("level_column"))
    table.add_column(words.text("model"), style="dim")
    for name in ("parallel_time", "serial_time", "ratio_interval", "difference_tolerance"):
        table.add_column(words.text(name), justify="right", max_width=20)
    for level in levels:
        within = "≤" if level.equal else ">"
        difference = f"{significant(level.max_difference)} {within} {significant(level.tolerance)}"
        table.add_row(
            words.name("level", level.key),
            Text(_printable(level.model)),
            _seconds(level.parallel_seconds) if level.equal else NOTHING,
            _seconds(level.serial_seconds) if level.equal else NOTHING,
            _ratio(level, words),
            Text(difference, style="" if level.equal else STYLES["poor"]),
        )
    console.print(table)


def print_training(models: Sequence[Trained], console: Console, language: str = "en") -> None:
    """Print what each model reached at equal tokens and at equal seconds, and what it cost."""
    if not models:
        return
    words = catalogue(language)
    _heading(console, words.text("training"), words.text("training_note"))
    table = _table()
    table.add_column(words.text("model"), max_width=14, overflow="fold")
    for name, width in (
        *(("loss_equal_tokens", 7), ("loss_equal_seconds", 7), ("bits_per_byte", 5)),
        *(("tokens_per_second", 16), ("parameters_both", 11), ("memory", 8)),
        *(("tokens", 6), ("time", 6)),
    ):
        table.add_column(words.text(name), justify="right", max_width=width, overflow="fold")
    for model in models:
        table.add_row(
            Text(_printable(model.name)),
            _loss(model, models, lambda m: m.loss_at_equal_tokens),
            _loss(model, models, lambda m: m.loss_at_equal_seconds),
            significant(model.bits_per_byte),
            _rate(model, models),
            f"{many(model.parameters)} ({many(model.non_embedding_parameters)})",
            NOTHING if model.peak_memory_bytes is None else bytes_(model.peak_memory_bytes),
            many(model.tokens),
            duration(model.seconds),
        )
    console.print(table)


def print_tagging(taggers: Sequence[Tagger], console: Console, language: str = "en") -> None:
    """Print the taggers: a task that does not generate, answered in one pass."""
    if not taggers:
        return
    words = catalogue(language)
    _heading(console, words.text("tagging"), words.text("tagging_note"))
    table = _table()
    table.add_column(words.text("model"), max_width=20, overflow="fold")
    lengths = list(taggers[0].milliseconds_by_length)
    for name in ("accuracy", "majority", "span_slope", "calls_per_sequence"):
        table.add_column(words.text(name), justify="right", max_width=16, overflow="fold")
    for length in lengths:
        table.add_column(f"T = {length}", justify="right", max_width=9)
    for tagger in taggers:
        times = tagger.milliseconds_by_length
        table.add_row(
            Text(_printable(tagger.name)),
            f"{tagger.accuracy:.1%}",
            f"{tagger.majority_accuracy:.1%}",
            significant(tagger.span_slope),
            str(tagger.calls_per_sequence),
            *(duration(times[length] / 1000) if length in times else NOTHING for length in lengths),
        )
    console.print(table)


def print_contract(contract: dict[str, Any], console: Console, language: str = "en") -> None:
    """Print the fairness contract: what was held equal and what was not."""
    if not contract:
        return
    words = catalogue(language)
    _heading(console, words.text("contract"), words.text("contract_note"))
    table = _table(header=False)
    table.add_column(min_width=LABEL_WIDTH, max_width=2 * LABEL_WIDTH, style="dim")
    table.add_column(overflow="fold")
    for term, lines in contract_lines(contract, words):
        table.add_row(term, Text(_printable(" · ".join(lines))))
    console.print(table)


def print_samples(models: Sequence[Trained], console: Console, language: str = "en") -> None:
    """Print a text sample of each model, its prompt underlined."""
    words = catalogue(language)
    if not models:
        return
    _heading(console, words.text("samples"))
    for model in models:
        sample = model.sample.removeprefix(model.prompt).rstrip()
        text = Text(_printable(model.prompt), style="underline")
        text.append(_printable(sample), style="not underline")
        console.print(Text(_printable(model.name), style="bold"))
        console.print(Padding(text, (0, 0, 1, 2)))


def _printable(text: str) -> str:
    """Return a sample without control characters: a model may write a terminal's escapes."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _heading(console: Console, title: str, note: str = "") -> None:
    console.print()
    console.print(Text(title, style="bold"))
    if note:
        console.print(Text(note, style="dim"))


def _table(*, header: bool = True) -> Table:
    return Table(
        box=box.SIMPLE_HEAD if header else None,
        show_header=header,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )


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
        header.add_row("", *(Text(_printable(model), style="bold") for model in chosen))
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
    kind = tone(verdict.verdict)
    mark = (ASCII_MARKS if console.options.ascii_only else MARKS)[kind]
    text = Text(f"{mark} {words.name('verdict', verdict.verdict)}", style=STYLES[kind])
    if verdict.figure is not None:
        shown = "\n" + figure(verdict.figure, verdict.unit)
        spread = interval(verdict.low, verdict.high, verdict.unit)
        # "12.0 11.8–12.2" fits most cells; a longer pair has its interval on a third line.
        glue = " " if cell_len(shown.strip()) + 1 + cell_len(spread) <= CELL_WIDTH else "\n"
        text.append(shown, style=_PLAIN)
        if spread:
            text.append(glue + spread, style=_PLAIN + " dim")
        if len(units) > 1 and verdict.unit:
            text.append("\n" + words.name("unit_short", verdict.unit), style=_PLAIN + " dim")
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
    table = _table(header=False)
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
        lines.append(Text(f"{where} ({who}): {_printable(words.sentence(rule.how))}", style="dim"))
    return Group(*lines)


def _where(rule: Finding, words: StudyWords) -> str:
    part = words.name("part", rule.part)
    title = words.name("row", rule.row)
    return f"{title}, {part}" if part else title


def _rule_text(rule: Finding, words: StudyWords) -> str:
    unit = words.name("unit", rule.unit)
    threshold = words.threshold(rule.threshold)
    return f"{threshold} ({unit})" if unit else threshold


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else duration(value)


def _ratio(level: Level, words: StudyWords) -> Text:
    if not level.equal:
        return Text(words.text("results_differ"), style=STYLES["poor"])
    if level.ratio is None:
        return Text(words.text("not_measured"), style="dim")
    text = Text(f"{significant(level.ratio)}×", style="bold")
    spread = interval(level.ratio_low, level.ratio_high, "ratio")
    if spread:
        text.append(f" {spread}", style="not bold dim")
    return text


def _rate(model: Trained, models: Sequence[Trained]) -> Text:
    fastest = model is best(models, lambda m: -m.tokens_per_second)
    text = Text(many(model.tokens_per_second), style="bold" if fastest else "")
    low, high = model.tokens_per_second_low, model.tokens_per_second_high
    return text.append(" " + interval(low, high, "tokens_per_second"), style="not bold dim")


def _loss(
    model: Trained, models: Sequence[Trained], value: Callable[[Trained], float | None]
) -> Text:
    loss = value(model)
    if loss is None:
        return Text(NOTHING, style="dim")
    return Text(f"{loss:.3f}", style="bold" if model is best(models, value) else "")


def _models_of(rows: Iterable[Row]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row.cells))
    return list(names)
