"""What ``phalanx predict`` and ``phalanx evaluate`` do with a classifier."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from phalanx.cli.common import EvaluateAsk, PredictAsk, lacks_characters, note, print_json
from phalanx.errors import UsageError
from phalanx.jsonable import dumps, finite

if TYPE_CHECKING:
    from phalanx.inference.classifying import Classification, Text
    from phalanx.runs import Run

WORST = 20
"""Mistakes in report.json; mistakes.jsonl has all of them."""


def predict(run: "Run", ask: PredictAsk) -> None:
    """Print the label of each text and its probability, or write them beside the input's columns.

    Raises:
        UsageError: a file cannot be read, or the output has no known format.
        StorageError: the output cannot be written.
    """
    from phalanx.cli.labelled_rows import read_table, table_format, write_table
    from phalanx.inference.classifying import classify

    if ask.output is None:
        for texts in _portions(run, ask):
            _print(texts, classify(run.model, run.tokenizer, run.labels, texts), ask)
        return
    if ask.json:
        raise UsageError(
            "--json prints and --output writes a file: expected one of them. For JSON in a file "
            "name it .jsonl."
        )
    table_format(ask.output)
    if ask.files:
        texts, columns = read_table(ask.files, run.data_config(ask.options), ask.output)
    else:
        texts = _given(ask)
        columns = [_columns(text) for text in texts]
    found = classify(run.model, run.tokenizer, run.labels, texts)
    write_table(ask.output, columns, found, ask.top)
    note(f"{len(found):,} rows: {ask.output}")


def evaluate(run: "Run", ask: EvaluateAsk) -> None:
    """Judge a classifier by labelled files, beside the baselines that were kept with it.

    Raises:
        UsageError: a file is malformed, or a label is none that the model knows.
        PhalanxError: the model's scores are not numbers, or the report cannot be written.
    """
    from phalanx import durable
    from phalanx.cli.classification_tables import show
    from phalanx.data.labelled import read_examples
    from phalanx.pages.confusion import confusion_svg
    from phalanx.tasks.baselines import FILE_NAME, Baselines
    from phalanx.tasks.classification_report import evaluate as report_of

    examples = read_examples(ask.data, run.data_config(ask.options))
    kept = run.file(FILE_NAME)
    baselines = (
        None if kept is None else Baselines.from_json(kept, run.labels, str(run.path / FILE_NAME))
    )
    report = report_of(run.model, run.tokenizer, run.labels, examples, baselines)
    values = {"model": str(run.path), "data": list(ask.data), **report.as_dict(WORST)}
    if ask.output is not None:
        ask.output.mkdir(parents=True, exist_ok=True)
        title = f"{report.rows:,} rows, accuracy {report.accuracy:.4f}"
        durable.replace(ask.output / "confusion.svg", confusion_svg(report.confusion, title))
        durable.replace(ask.output / "report.json", (dumps(values) + "\n").encode())
        lines = "".join(f"{dumps(mistake)}\n" for mistake in report.as_dict()["mistakes"])
        durable.replace(ask.output / "mistakes.jsonl", lines.encode())
        note(f"report: {ask.output} (confusion.svg, report.json, mistakes.jsonl)")
    if ask.json:
        print_json(values)
    else:
        show(report)


def _given(ask: PredictAsk) -> "list[Text]":
    return list(zip(ask.texts, ask.pairs, strict=True) if ask.pairs else ask.texts)


def _portions(run: "Run", ask: PredictAsk) -> "Iterator[list[Text]]":
    """The texts, those of stdin as they come."""
    from phalanx.cli.labelled_rows import STDIN, texts_of
    from phalanx.cli.lines import opened_lines
    from phalanx.data.labelled import read_examples

    if ask.texts:
        yield _given(ask)
    data = run.data_config(ask.options)
    for file in ask.files:
        if file == STDIN:
            with opened_lines(None, data.encoding_errors) as reader:
                for lines in reader:
                    yield [*lines]
        else:
            yield texts_of(read_examples(file, data, labelled=False))


def _print(texts: "list[Text]", found: "list[Classification]", ask: PredictAsk) -> None:
    """Print a line for each text: JSON, or the likeliest labels, each with its probability."""
    from phalanx.cli.labelled_rows import answer

    escaped = lacks_characters(sys.stdout)
    for text, one in zip(texts, found, strict=True):
        if ask.json:
            values = finite({**_columns(text), **answer(one, ask.top)})
            print(json.dumps(values, ensure_ascii=escaped, allow_nan=False))
        else:
            pairs = one.top(ask.top or 1)
            print("\t".join(f"{_plain(label)}\t{probability:.4f}" for label, probability in pairs))
    sys.stdout.flush()


def _columns(text: "Text") -> dict[str, object]:
    return {"text": text} if isinstance(text, str) else {"text": text[0], "pair": text[1]}


def _plain(label: str) -> str:
    """A label in one line, without the character that ends columns."""
    return " ".join(label.split())
