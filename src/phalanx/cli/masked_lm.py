"""What ``phalanx predict`` and ``phalanx evaluate`` do with a masked language model."""

import json
import sys
from typing import TYPE_CHECKING

from phalanx.cli.common import EvaluateAsk, PredictAsk, lacks_characters, note, print_json
from phalanx.errors import PhalanxError, UsageError

if TYPE_CHECKING:
    from phalanx.inference.filling import Filled
    from phalanx.runs import Run

TOP = 5


def predict(run: "Run", ask: PredictAsk) -> None:
    """Print the likeliest words for each hidden place, or write the texts with the likeliest ones.

    Raises:
        UsageError: a text hides nothing or is too long, or a file cannot be read.
        StorageError: the output cannot be written.
    """
    from phalanx import durable
    from phalanx.inference.filling import fill

    if ask.pairs:
        raise UsageError("--pair: a masked language model reads one text. Leave it out.")
    if ask.output is not None and (ask.json or ask.output.suffix.lower() != ".jsonl"):
        raise UsageError(
            f"--output {ask.output}: expected a file that ends in .jsonl, and no --json beside it."
        )
    texts = ask.texts or tuple(_read(run, ask))
    found = fill(run.model, run.tokenizer, texts, top=ask.top or TOP)  # type: ignore[arg-type]  # an Encoder
    if ask.output is not None:
        lines = "".join(json.dumps(_values(one), ensure_ascii=False) + "\n" for one in found)
        durable.replace(ask.output, lines.encode())
        note(f"{len(found):,} texts: {ask.output}")
    elif ask.json:
        escaped = lacks_characters(sys.stdout)
        for one in found:
            print(json.dumps(_values(one), ensure_ascii=escaped))
    else:
        for one in found:
            print(one.best)
            for guesses in one.masks:
                print("  " + "  ".join(f"{_shown(g.text)} {g.probability:.3f}" for g in guesses))


def evaluate(run: "Run", ask: EvaluateAsk) -> None:
    """Judge a masked language model by text, beside guesses that look at no context.

    Raises:
        UsageError: the text cannot be read, or there is too little of it.
        PhalanxError: the model's scores are not numbers.
    """
    import math

    from phalanx.data.sources import read_documents
    from phalanx.tasks import masked_lm

    others = set(ask.options) - {"text_column", "encoding_errors"}
    if others or ask.output:
        wrong = "output" if ask.output else min(others)
        raise UsageError(
            f"--{wrong.replace('_', '-')}: a masked language model is judged by text alone. Leave "
            "it out."
        )
    data = run.data_config(ask.options)
    documents = read_documents(
        list(ask.data), text_column=data.text_column, encoding_errors=data.encoding_errors
    )
    ids_N = run.tokenizer.encode_documents([document.text for document in documents])
    hiding = masked_lm.Hiding(run.tokenizer, masked_lm.JUDGED_FRACTION)
    text = masked_lm.Text.over(hiding, ids_N, run.config.context)
    score = masked_lm.evaluate(run.model, text)  # type: ignore[arg-type]  # an Encoder
    if math.isnan(score.loss):
        raise PhalanxError(
            f"{run.path}: the model's scores are not numbers (NaN). Its weights have probably "
            "diverged: train again with a lower learning rate."
        )
    kept = run.file(masked_lm.FILE_NAME)
    baseline = None
    if kept is not None:
        unigram = masked_lm.Unigram.from_json(kept, run.tokenizer.vocabulary)
        baseline = unigram.evaluate(text)
    if ask.json:
        beside = {"unigram": None if baseline is None else baseline.as_dict()}
        figures = {**score.as_dict(), "tokens": score.tokens, "baselines": beside}
        print_json({"model": str(run.path), "data": list(ask.data), **figures})
        return
    print(f"hidden tokens  {score.tokens:,} ({hiding.fraction:.0%})")
    print(f"loss           {score.loss:.4f} nats per hidden token{_beside(baseline, 'loss')}")
    print(f"perplexity     {score.perplexity:.4f}{_beside(baseline, 'perplexity')}")
    print(f"accuracy       {score.accuracy:.4f}{_beside(baseline, 'accuracy')}")
    if baseline is None:
        note("no baseline: the model directory has no counts of its training text")


def _beside(baseline: object, name: str) -> str:
    """A baseline's figure behind the model's."""
    return "" if baseline is None else f"   by frequency alone {getattr(baseline, name):.4f}"


def _read(run: "Run", ask: PredictAsk) -> list[str]:
    """The texts of files: a column of a table, or lines; of stdin for -."""
    from phalanx.cli.lines import opened_lines
    from phalanx.data.labelled import read_examples

    texts: list[str] = []
    data = run.data_config(ask.options)
    for file in ask.files:
        if file == "-":
            with opened_lines(None, data.encoding_errors) as lines:
                texts += [line for several in lines for line in several]
        else:
            texts += [example.text for example in read_examples(file, data, labelled=False)]
    return texts


def _shown(text: str) -> str:
    """A guess in one line: a line end and the like as an escape."""
    return text if text.isprintable() else json.dumps(text)


def _values(filled: "Filled") -> dict[str, object]:
    masks = [[{"text": g.text, "probability": g.probability} for g in m] for m in filled.masks]
    return {"text": filled.text, "filled": filled.best, "masks": masks}
