"""What ``phalanx predict`` and ``phalanx evaluate`` do with a tagger."""

import json
import sys
from typing import TYPE_CHECKING

from phalanx.cli.common import EvaluateAsk, PredictAsk, lacks_characters, note, print_json
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.runs import Run

WORST = 20
"""Mistakes in report.json; mistakes.jsonl has all of them."""


def predict(run: "Run", ask: PredictAsk) -> None:
    """Print texts with their entities marked, or their words with their tags; or write a file.

    Raises:
        UsageError: a file cannot be read, or the output has no known format.
        StorageError: the output cannot be written.
    """
    from phalanx import durable
    from phalanx.cli.tagged_texts import as_values, check_output, in_file, of_text, read, show
    from phalanx.inference.tagging import tag

    if ask.pairs or ask.top is not None:
        wrong = "--pair" if ask.pairs else "--top"
        raise UsageError(f"{wrong}: a tagger gives each word one tag. Leave it out.")
    if ask.output is not None:
        check_output(ask.output, ask.files, json=ask.json)
    scheme = scheme_of(run)
    texts = (
        [of_text(text) for text in ask.texts]
        if ask.texts
        else read(ask.files, run.data_config(ask.options))
    )
    words = [[word.text for word in text.words] for text in texts]
    found = tag(run.model, run.tokenizer, run.labels, scheme, words)
    if ask.output is not None:
        durable.replace(ask.output, in_file(ask.output, texts, found).encode())
        note(f"{len(found):,} sentences: {ask.output}")
    elif ask.json:
        escaped = lacks_characters(sys.stdout)
        for text, tagged in zip(texts, found, strict=True):
            print(json.dumps(as_values(text, tagged), ensure_ascii=escaped))
    else:
        show(texts, found, scheme)


def evaluate(run: "Run", ask: EvaluateAsk) -> None:
    """Judge a tagger by tagged files, beside the baselines that were kept with it.

    Raises:
        UsageError: a file is malformed, or its tags cannot be brought into the model's scheme.
        PhalanxError: the model's scores are not numbers, or the report cannot be written.
    """
    from phalanx import durable
    from phalanx.cli.tagging_tables import show
    from phalanx.data.labelled import read_sentences
    from phalanx.jsonable import dumps
    from phalanx.pages.confusion import confusion_svg
    from phalanx.tasks.tagging_baselines import FILE_NAME, Baselines
    from phalanx.tasks.tagging_report import evaluate as report_of

    sentences = read_sentences(ask.data, run.data_config(ask.options))
    kept = run.file(FILE_NAME)
    baselines = None if kept is None else Baselines.from_json(kept, str(run.path / FILE_NAME))
    scheme = scheme_of(run)
    report = report_of(run.model, run.tokenizer, run.labels, scheme, sentences, baselines)
    values = {"model": str(run.path), "data": list(ask.data), **report.as_dict(WORST)}
    if ask.output is not None:
        ask.output.mkdir(parents=True, exist_ok=True)
        title = f"{report.words:,} words, accuracy {report.model.accuracy:.4f}"
        durable.replace(ask.output / "confusion.svg", confusion_svg(report.confusion, title))
        durable.replace(ask.output / "report.json", (dumps(values) + "\n").encode())
        lines = "".join(f"{dumps(mistake)}\n" for mistake in report.as_dict()["mistakes"])
        durable.replace(ask.output / "mistakes.jsonl", lines.encode())
        note(f"report: {ask.output} (confusion.svg, report.json, mistakes.jsonl)")
    if ask.json:
        print_json(values)
    else:
        show(report)


def scheme_of(run: "Run") -> str:
    """How a tagger's labels mark entities; told by the labels where its directory does not say."""
    from phalanx.data.tag_schemes import scheme_of as by_labels

    return run.scheme or by_labels(run.labels)
