"""The terminal's tables: at most 100 columns, with or without colour, folded by models."""

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from phalanx.comparison.report.five_rows import print_summary
from phalanx.comparison.report.language import StudyWords, catalogue
from phalanx.comparison.report.terminal import heading, plain_table, print_contract, printable
from phalanx.comparison.report.verdicts import STYLES
from phalanx.comparison.report.view import best
from phalanx.comparison.results import Level, Row, Study, Tagger, Trained
from phalanx.pages.figures import NOTHING, bytes_, duration, interval, many, significant


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
        console.print(Text("· " + printable(words.sentence(note)), style="dim"))


def print_levels(levels: Sequence[Level], console: Console, language: str = "en") -> None:
    """Print the three levels: each made serial, results compared, ratio of times."""
    if not levels:
        return
    words = catalogue(language)
    heading(console, words.text("levels"), words.text("levels_note"))
    table = plain_table()
    table.add_column(words.text("level_column"))
    table.add_column(words.text("model"), style="dim")
    for name in ("parallel_time", "serial_time", "ratio_interval", "difference_tolerance"):
        table.add_column(words.text(name), justify="right", max_width=20)
    for level in levels:
        within = "≤" if level.equal else ">"
        difference = f"{significant(level.max_difference)} {within} {significant(level.tolerance)}"
        table.add_row(
            words.name("level", level.key),
            Text(printable(level.model)),
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
    heading(console, words.text("training"), words.text("training_note"))
    table = plain_table()
    table.add_column(words.text("model"), max_width=14, overflow="fold")
    for name, width in (
        *(("loss_equal_tokens", 7), ("loss_equal_seconds", 7), ("bits_per_byte", 5)),
        *(("tokens_per_second", 16), ("parameters_both", 11), ("memory", 8)),
        *(("tokens", 6), ("time", 6)),
    ):
        table.add_column(words.text(name), justify="right", max_width=width, overflow="fold")
    for model in models:
        table.add_row(
            Text(printable(model.name)),
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
    heading(console, words.text("tagging"), words.text("tagging_note"))
    table = plain_table()
    table.add_column(words.text("model"), max_width=20, overflow="fold")
    lengths = list(taggers[0].milliseconds_by_length)
    for name in ("accuracy", "majority", "span_slope", "calls_per_sequence"):
        table.add_column(words.text(name), justify="right", max_width=16, overflow="fold")
    for length in lengths:
        table.add_column(f"T = {length}", justify="right", max_width=9)
    for tagger in taggers:
        times = tagger.milliseconds_by_length
        table.add_row(
            Text(printable(tagger.name)),
            f"{tagger.accuracy:.1%}",
            f"{tagger.majority_accuracy:.1%}",
            significant(tagger.span_slope),
            str(tagger.calls_per_sequence),
            *(duration(times[length] / 1000) if length in times else NOTHING for length in lengths),
        )
    console.print(table)


def print_samples(models: Sequence[Trained], console: Console, language: str = "en") -> None:
    """Print a text sample of each model, its prompt underlined."""
    words = catalogue(language)
    if not models:
        return
    heading(console, words.text("samples"))
    for model in models:
        sample = model.sample.removeprefix(model.prompt).rstrip()
        text = Text(printable(model.prompt), style="underline")
        text.append(printable(sample), style="not underline")
        console.print(Text(printable(model.name), style="bold"))
        console.print(Padding(text, (0, 0, 1, 2)))


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
