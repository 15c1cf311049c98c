"""What ``phalanx predict`` and ``phalanx evaluate`` do with a translator."""

from typing import TYPE_CHECKING

from phalanx.cli.common import EvaluateAsk, PredictAsk, note, print_json
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from phalanx.runs import Run
    from phalanx.tasks.translation_report import Quality, Report

_SHOWN = 200


def predict(run: "Run", ask: PredictAsk) -> None:
    """Translate texts, or those of files: as ``phalanx translate``.

    Raises:
        UsageError: a file cannot be read, or the output is there already or has another ending.
        StorageError: the output cannot be written.
    """
    from phalanx.cli.generated import opened
    from phalanx.cli.translate import translator_of, warn_of
    from phalanx.cli.translated import Counted, put
    from phalanx.inference.beam import BEAM, LENGTH_PENALTY

    if ask.pairs:
        raise UsageError("--pair: a translator reads one text. Leave it out.")
    if ask.output is not None and ask.output.suffix.lower() not in (".txt", ".jsonl"):
        raise UsageError(
            f"--output {ask.output}: expected a file that ends in .txt (a translation a line) or "
            ".jsonl, the ending being its format."
        )
    n = ask.top or 1
    translator = translator_of(run, max(BEAM, n), LENGTH_PENALTY, n=n)
    as_json = ask.json or (ask.output is not None and ask.output.suffix.lower() == ".jsonl")
    counted = Counted()
    with opened(None if ask.output is None else str(ask.output)) as stream:
        for texts in [ask.texts] if ask.texts else _texts(run, ask):
            for done in translator.translate(texts):
                put(stream, done, counted.add(done), n, json=as_json)
    warn_of(counted, run)


def evaluate(run: "Run", ask: EvaluateAsk) -> None:
    """Judge a translator by pairs, beside the baseline that was kept with it.

    Raises:
        UsageError: a file is malformed, or sacreBLEU is not there.
        PhalanxError: the model's scores are not numbers, or the report cannot be written.
    """
    from dataclasses import asdict

    from phalanx import durable
    from phalanx.cli.translate import translator_of
    from phalanx.data.labelled import read_pairs
    from phalanx.inference.beam import BEAM, LENGTH_PENALTY
    from phalanx.inference.translating import BATCH_SIZE
    from phalanx.jsonable import dumps
    from phalanx.tasks.translation_report import evaluate as report_of
    from phalanx.tasks.word_translation import FILE_NAME, WordTranslation

    translator = translator_of(run, BEAM, LENGTH_PENALTY)
    pairs = read_pairs(ask.data, run.data_config(ask.options))
    kept = run.file(FILE_NAME)
    baseline = None if kept is None else WordTranslation.from_json(kept, str(run.path / FILE_NAME))
    report = report_of(translator, pairs, baseline, batch_size=BATCH_SIZE)
    values = {"model": str(run.path), "data": list(ask.data), **report.as_dict()}
    if ask.output is not None:
        ask.output.mkdir(parents=True, exist_ok=True)
        durable.replace(ask.output / "report.json", (dumps(values) + "\n").encode())
        lines = "".join(f"{dumps(asdict(sample))}\n" for sample in report.translations)
        durable.replace(ask.output / "translations.jsonl", lines.encode())
        note(f"report: {ask.output} (report.json, translations.jsonl)")
    if ask.json:
        print_json(values)
    else:
        _show(report)


def _texts(run: "Run", ask: PredictAsk) -> "Iterable[list[str]]":
    """Lines of stdin as they come; the sources of files, as training reads them."""
    from phalanx.cli.lines import opened_lines
    from phalanx.data.labelled import read_pairs

    data = run.data_config(ask.options)
    for file in ask.files:
        if file == "-":
            with opened_lines(file, data.encoding_errors) as lines:
                yield from lines
        else:
            pairs = read_pairs(file, data, labelled=False)
            yield [pair.source for pair in pairs]


def _show(report: "Report") -> None:
    print(f"pairs        {report.pairs:,}, of {report.sources:,} different sources")
    print(f"loss         {report.loss:.4f} nats per target token")
    print(f"perplexity   {report.perplexity:.4f}")
    print(f"\n{'':12} {'model':>8}", end="")
    print(f" {'word by word':>13}" if report.word_by_word else "")
    for name, field, factor in (
        ("BLEU", "bleu", 1),
        ("chrF", "chrf", 1),
        ("exact match", "exact_match", 100),
    ):
        print(f"{name:12} {_figure(report.quality, field, factor)}", end="")
        print(f" {_figure(report.word_by_word, field, factor):>13}" if report.word_by_word else "")
    print(f"\nBLEU  {report.bleu_signature}")
    print(f"chrF  {report.chrf_signature}")
    print(f"beam {report.beam}, length penalty {report.length_penalty}")
    if report.word_by_word:
        print("word by word: the likeliest token for each token of the source, learned from the")
        print("same pairs (IBM model 1); what a dictionary alone gives")
    if report.sources < report.pairs:
        print("pairs with the same source are one segment with several references")
    if report.cut:
        print(f"{report.cut:,} pairs are longer than the model's context and were read in part")
    if report.worst:
        print("\nworst by chrF:")
    for sample in report.worst:
        print(f"  source     {_line(sample.source)}")
        print(f"  model      {_line(sample.translation)}")
        for reference in sample.references[:2]:
            print(f"  reference  {_line(reference)}")
        print()


def _figure(quality: "Quality | None", field: str, factor: int) -> str:
    value = getattr(quality, field) * factor
    return f"{value:7.2f}%" if field == "exact_match" else f"{value:8.2f}"


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
