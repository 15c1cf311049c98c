"""A comparison on a task in the terminal: quality, and how each model answers (claim C9)."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from phalanx.comparison.report.language import StudyWords, catalogue
from phalanx.comparison.report.task_view import best_model, score_text, scores_of
from phalanx.comparison.report.terminal import (
    heading,
    plain_table,
    print_contract,
    printable,
    verdict_text,
)
from phalanx.comparison.report.verdicts import tone
from phalanx.comparison.tasks.results import Inference, Latency, TaskStudy, TaskTrained
from phalanx.pages.figures import NOTHING, bytes_, duration, interval, many, significant

_VERDICT_WIDTH = 15


def print_task(study: TaskStudy, console: Console, language: str | None = None) -> None:
    """Print a comparison on a task: quality, claim C9, time by length, contract, notes.

    Args:
        study: what the comparison found.
        console: where to print (``make_console``).
        language: ``en`` or ``zh``; the study's own when None.

    Raises:
        UsageError: no catalogue for the language.
    """
    language = language or study.language
    words = catalogue(language)
    print_quality(study, console, words)
    print_inference(study.inference, console, words)
    print_latency(study.inference, console, words)
    print_contract(study.contract, console, language)
    for note in study.notes:
        console.print(Text("· " + printable(words.sentence(note)), style="dim"))


def print_quality(study: TaskStudy, console: Console, words: StudyWords) -> None:
    """Print what each model scores after equal tokens and equal seconds, beside the baselines."""
    if not study.models and not study.baselines:
        return
    heading(console, words.text("task_training"), words.text("task_training_note"))
    scores = scores_of(study)
    table = plain_table()
    table.add_column(words.text("model"), max_width=18, overflow="fold")
    for score in scores:
        table.add_column(words.name("score", score), justify="right", max_width=10)
    if study.models:
        title = words.text("equal_seconds_score", score=words.name("score", study.primary))
        table.add_column(title, justify="right", max_width=14, overflow="fold")
    for baseline in study.baselines:
        who = Text(words.name("baseline", baseline.name), style="dim")
        table.add_row(who, *(score_text(s, baseline.scores.get(s)) for s in scores))
    for model in study.models:
        table.add_row(
            Text(printable(model.name)),
            *(_best_in_bold(study.models, model, s, timed=False) for s in scores),
            _best_in_bold(study.models, model, study.primary, timed=True),
        )
    console.print(table)
    if study.models:
        console.print(_cost(study.models, words))


def _cost(models: Sequence[TaskTrained], words: StudyWords) -> Table:
    table = plain_table()
    table.add_column(words.text("model"), max_width=18, overflow="fold")
    for name, width in (
        *(("tokens_per_second", 17), ("parameters_both", 15), ("memory", 10)),
        *(("tokens", 8), ("time", 8)),
    ):
        table.add_column(words.text(name), justify="right", max_width=width, overflow="fold")
    for model in models:
        rate, memory = Text(many(model.tokens_per_second)), model.peak_memory_bytes
        low, high = model.tokens_per_second_low, model.tokens_per_second_high
        table.add_row(
            Text(printable(model.name)),
            rate.append(" " + interval(low, high, "tokens_per_second"), style="dim"),
            f"{many(model.parameters)} ({many(model.non_embedding_parameters)})",
            NOTHING if memory is None else bytes_(memory),
            many(model.tokens),
            duration(model.seconds),
        )
    return table


def print_inference(found: Sequence[Inference], console: Console, words: StudyWords) -> None:
    """Print how each model answers for one text: calls, waiting inside a call, both verdicts."""
    if not found:
        return
    heading(console, words.text("one_pass"), words.text("one_pass_note"))
    table = plain_table()
    table.add_column(words.text("model"), max_width=14, overflow="fold")
    for name in ("calls_per_sequence", "span_slope"):
        table.add_column(words.text(name), justify="right", max_width=14, overflow="fold")
    for basis in ("structure", "machine"):
        table.add_column(words.name("basis", basis), width=_VERDICT_WIDTH, overflow="fold")
    for inference in found:
        table.add_row(
            Text(printable(inference.model)),
            str(inference.calls_per_sequence),
            significant(inference.span_slope),
            verdict_text(inference.structure, words, console, _VERDICT_WIDTH),
            verdict_text(inference.machine, words, console, _VERDICT_WIDTH),
        )
    console.print(table)
    console.print(Text(words.text("thresholds"), style="dim"))
    for basis in ("structure", "machine"):
        verdict = getattr(found[0], basis)
        if verdict.threshold:
            rule = f"{words.threshold(verdict.threshold)} ({words.name('unit', verdict.unit)})"
            console.print(Text(f"{words.name('basis', basis)}: {rule}", style="dim"))
    judged = [verdict for one in found for verdict in (one.structure, one.machine)]
    for reason in dict.fromkeys(v.how for v in judged if tone(v.verdict) in ("open", "none")):
        if reason:
            console.print(Text(f"· {printable(words.sentence(reason))}", style="dim"))


def print_latency(found: Sequence[Inference], console: Console, words: StudyWords) -> None:
    """Print the time for one text by its length, and the speed on a batch."""
    lengths = list(dict.fromkeys(point.length for one in found for point in one.latency))
    if not lengths:
        return
    heading(console, words.text("latency"), words.text("latency_note"))
    table = plain_table()
    table.add_column(words.text("model"), max_width=14, overflow="fold")
    for length in lengths:
        table.add_column(f"T = {length}", justify="right", max_width=13)
    batch = next((one.batch for one in found if one.tokens_per_second is not None), None)
    if batch is not None:
        title = words.text("batch_rate", rows=batch[0], length=batch[1])
        table.add_column(title, justify="right", max_width=16)
    for inference in found:
        known = {point.length: point for point in inference.latency}
        cells = [_latency(known.get(length)) for length in lengths]
        if batch is not None:
            low, high = inference.tokens_per_second_low, inference.tokens_per_second_high
            cells.append(_figures(inference.tokens_per_second, low, high, "tokens_per_second"))
        table.add_row(Text(printable(inference.model)), *cells)
    console.print(table)


def _best_in_bold(
    models: Sequence[TaskTrained], model: TaskTrained, score: str, *, timed: bool
) -> Text:
    scores = model.equal_seconds if timed else model.equal_tokens
    value = None if scores is None else scores.get(score)
    first = model is best_model(models, score, timed=timed)
    return Text(score_text(score, value), style="bold" if first else "")


def _latency(point: Latency | None) -> Text:
    if point is None:
        return Text(NOTHING, style="dim")
    return _figures(point.seconds, point.low, point.high, "seconds")


def _figures(value: float | None, low: float | None, high: float | None, unit: str) -> Text:
    if value is None:
        return Text(NOTHING, style="dim")
    shown = duration(value) if unit == "seconds" else many(value)
    return Text(shown).append("\n" + interval(low, high, unit), style="dim")
