"""``phalanx predict``: let a trained model label texts, tag their words, or fill in a mask."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from phalanx.cli.common import Device, Json, PredictAsk, given_options
from phalanx.errors import UsageError


def predict(
    model: Path,
    /,
    *files: str,
    text: Annotated[list[str] | None, Parameter(negative=())] = None,
    pair: Annotated[list[str] | None, Parameter(negative=())] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    top: int | None = None,
    text_column: str | None = None,
    pair_column: str | None = None,
    encoding_errors: Literal["strict", "replace"] | None = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Let a trained model answer for texts: labels with probabilities, entities, masked words.

    All positions of a text are answered for in one pass; texts of about one length share a batch,
    and no answer depends on what shares it.

    Parameters
    ----------
    model
        A run directory, a model directory, or one of Hugging Face.
    files
        Files of texts: CSV, TSV, JSONL or Parquet with a column of text, CoNLL for tagging, or
        plain text with one a line. Default: lines of stdin.
    text
        A text; may be given again.
    pair
        The second text of a pair, one for each --text.
    output
        The file to write. Labels: .csv, .tsv or .jsonl; tags: .conll or .jsonl; translations: .txt
        or .jsonl. Default: stdout.
    top
        How many of the likeliest answers to tell for each.
    text_column
        The column of the text. Default: as in training.
    pair_column
        The column of the second text. Default: as in training.
    encoding_errors
        strict refuses what is not UTF-8, replace goes on with U+FFFD in its stead.
    """
    from phalanx.cli.columns import check_columns
    from phalanx.cli.tasks import commands_of
    from phalanx.runs import load

    texts, pairs = tuple(text or ()), tuple(pair or ())
    if texts and files:
        raise UsageError("Texts (--text) and files are given. Expected one of the two.")
    if not texts and not files:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "Nothing to answer for. Expected texts (--text), files, or lines on stdin."
            )
        files = ("-",)
    if pairs and len(pairs) != len(texts):
        raise UsageError(
            f"{len(pairs)} second texts (--pair) for {len(texts)} texts (--text). Expected one "
            "each, or none."
        )
    if top is not None and top < 1:
        raise UsageError(f"--top {top}: expected 1 or more.")
    options = given_options(
        text_column=text_column, pair_column=pair_column, encoding_errors=encoding_errors
    )
    _refuse_what_nothing_reads(texts, files, options)
    if output is not None and not output.parent.is_dir():
        raise UsageError(
            f"--output {output}: {output.parent} is no directory. Expected a file in one that "
            "exists. Make it first, or choose another place."
        )
    run = load(model, device)
    commands = commands_of(run.task)
    if commands is None:
        raise UsageError(
            f"{run.path}: a model for {run.task.replace('_', ' ')} does not predict. "
            + (
                f'Let it write: phalanx generate {model} --prompt "..."'
                if run.task == "language_modelling"
                else "Use it from Python: phalanx.load(...).embed(texts)."
            )
        )
    if run.task == "translation" and text_column is not None:
        options["source_column"] = options.pop("text_column")  # the text to translate
    check_columns(run.task, () if pair_column is None else ("pair_column",))
    commands.predict(run, PredictAsk(texts, pairs, files, output, json, top, options))


def _refuse_what_nothing_reads(
    texts: tuple[str, ...], files: tuple[str, ...], options: dict[str, str]
) -> None:
    """Options about files, where there are none."""
    for name in options:
        column = name.endswith("_column")
        if texts or (column and all(file == "-" for file in files)):
            given = "Texts (--text)" if texts else "Lines of stdin"
            raise UsageError(
                f"--{name.replace('_', '-')}: {given} have no "
                f"{'columns' if column else 'encoding of their own'}. Leave it out, or name a file."
            )
