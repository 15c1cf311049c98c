"""``phalanx evaluate``: measure a trained model on text, or on text with labels."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import Parameter

from phalanx.cli.common import (
    Device,
    EvaluateAsk,
    Json,
    given_options,
    note,
    print_json,
    unknown_things,
)
from phalanx.errors import PhalanxError, UsageError

if TYPE_CHECKING:
    from phalanx.models import Decoder
    from phalanx.runs import Run


def evaluate(
    model: Path,
    /,
    *,
    data: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    text_column: str | None = None,
    label_column: str | None = None,
    pair_column: str | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    tag_column: str | None = None,
    encoding_errors: Literal["strict", "replace"] | None = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure a trained model: loss, the scores of its task, and the baselines beside it.

    A language model's text is cut into windows as long as its context that do not overlap, and
    every token but the first is predicted once.

    Parameters
    ----------
    model
        A run directory, a model directory (config.json, model.safetensors, tokenizer.json), or one
        of Hugging Face.
    data
        Text files, directories, globs, or stdlib; files with labels for the other tasks.
    output
        A directory for the report: JSON, the worst mistakes, a confusion matrix as SVG.
    text_column
        The column of rows that holds the text. Default: as in training, or text, content and the
        like.
    label_column
        The column of the label. Default: as in training; so are the other columns'.
    pair_column
        The column of a second text.
    source_column
        The column of the text to translate.
    target_column
        The column of its translation.
    tag_column
        The column of the tags.
    encoding_errors
        strict refuses what is not UTF-8, replace goes on with U+FFFD in its stead.
    """
    from phalanx.cli.columns import check_columns
    from phalanx.cli.tasks import commands_of
    from phalanx.runs import load

    if output is not None:
        _check_can_be_made(output)
    run = load(model, device)
    options = given_options(
        text_column=text_column,
        label_column=label_column,
        pair_column=pair_column,
        source_column=source_column,
        target_column=target_column,
        tag_column=tag_column,
        encoding_errors=encoding_errors,
    )
    ask = EvaluateAsk(tuple(data), options, output, json)
    commands = commands_of(run.task)
    if commands is not None:
        check_columns(run.task, options)
        commands.evaluate(run, ask)
    elif run.task == "language_modelling":
        _language_model(run, ask)
    else:
        raise UsageError(
            f"{run.path}: a model for {run.task} answers no question that could be judged. "
            "Expected one trained for a task."
        )


def _check_can_be_made(output: Path) -> None:
    """Refuse a report's directory before anything costs time."""
    place = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        what = "is a file" if place == output else f"cannot be made in {place}"
        raise UsageError(
            f"--output {output} {what}. Expected a directory to write into, which is made where "
            "it is missing. Choose another name."
        )


def _language_model(run: "Run", ask: EvaluateAsk) -> None:
    from phalanx.tasks.language_modelling import evaluate as score_of

    others = set(ask.options) - {"text_column", "encoding_errors"}
    if others or ask.output:
        wrong = "output" if ask.output else min(others)
        raise UsageError(
            f"--{wrong.replace('_', '-')}: a language model is judged by text alone. Leave it out."
        )
    text = run.text(paths=list(ask.data), **ask.options)  # type: ignore[arg-type]  # names checked above
    if text.unknown:
        note(
            f"warning: {text.unknown:,} of {text.windows.positions:,} tokens stand for "
            f"{unknown_things(run.tokenizer.kind)} that are unknown to the model's tokenizer; "
            "figures of models with other tokenizers do not compare"
        )
    score = score_of(cast("Decoder", run.model), text)
    if math.isnan(score.loss):
        raise PhalanxError(
            f"{run.path}: the model's scores are not numbers (NaN). Its weights have probably "
            "diverged: train again with a lower learning rate."
        )
    if ask.json:
        figures = {"tokens": score.tokens, "bytes": score.bytes, "unknown": text.unknown}
        scores = {**score.as_dict(), "bits_per_byte": score.bits_per_byte}
        print_json({"model": str(run.path), "data": list(ask.data), **scores, **figures})
        return
    print(f"loss           {score.loss:.4f} nats per token")
    print(f"perplexity     {score.perplexity:.4f}")
    if score.bytes is None:
        print("bits per byte  not known: the model's tokenizer does not keep the text as it is")
        print(f"tokens         {score.tokens:,}")
    else:
        print(f"bits per byte  {score.bits_per_byte:.4f}")
        print(f"tokens         {score.tokens:,} ({score.bytes:,} bytes)")
