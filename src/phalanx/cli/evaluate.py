"""``phalanx evaluate``: measure a trained model on text."""

import math
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from phalanx.cli.common import Device, Json, note, print_json, unknown_things
from phalanx.errors import PhalanxError


def evaluate(
    model: Path,
    /,
    *,
    data: Annotated[list[str], Parameter(consume_multiple=True)],
    text_column: str | None = None,
    encoding_errors: Literal["strict", "replace"] = "strict",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure a trained model on text: loss, perplexity and bits per byte.

    The text is cut into windows as long as the model's context that do not overlap, and every
    token but the first is predicted once.

    Parameters
    ----------
    model
        A run directory, or a model directory (config.json, model.safetensors, tokenizer.json).
    data
        Text files, directories, globs, or stdlib.
    text_column
        The column of rows that holds the text. Default: text, content, body and the like.
    encoding_errors
        strict refuses what is not UTF-8, replace goes on with U+FFFD in its stead.
    """
    from phalanx.runs import load
    from phalanx.tasks.language_modelling import evaluate as score_of

    run = load(model, device)
    text = run.text(paths=data, text_column=text_column, encoding_errors=encoding_errors)
    if text.unknown:
        note(
            f"warning: {text.unknown:,} of {text.windows.positions:,} tokens stand for "
            f"{unknown_things(run.tokenizer.kind)} that are unknown to the model's tokenizer; "
            "figures of models with other tokenizers do not compare"
        )
    score = score_of(run.model, text)
    if math.isnan(score.loss):
        raise PhalanxError(
            f"{run.path}: the model's scores are not numbers (NaN). Its weights have probably "
            "diverged: train again with a lower learning rate."
        )
    if json:
        figures = {"tokens": score.tokens, "bytes": score.bytes, "unknown": text.unknown}
        scores = {**score.as_dict(), "bits_per_byte": score.bits_per_byte}
        print_json({"model": str(run.path), "data": data, **scores, **figures})
        return
    print(f"loss           {score.loss:.4f} nats per token")
    print(f"perplexity     {score.perplexity:.4f}")
    if score.bytes is None:
        print("bits per byte  not known: the model's tokenizer does not keep the text as it is")
        print(f"tokens         {score.tokens:,}")
    else:
        print(f"bits per byte  {score.bits_per_byte:.4f}")
        print(f"tokens         {score.tokens:,} ({score.bytes:,} bytes)")
