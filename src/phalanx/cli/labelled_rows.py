"""Tables that a classifier labels: read with all their columns, written with the label beside."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from phalanx import durable
from phalanx.cli.lines import opened_lines
from phalanx.config import DataConfig
from phalanx.data.columns import of_examples
from phalanx.data.labelled import EXAMPLES, Example, read_examples, units_of
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.rows import Chosen, Header, Row
from phalanx.data.tables import rows_of
from phalanx.errors import UsageError
from phalanx.inference.classifying import Classification, Text
from phalanx.jsonable import finite

FORMATS = (".csv", ".tsv", ".jsonl")
STDIN = "-"
_COLUMN = "column "  # a role of its own for each column, beside those of the task

Columns = dict[str, object]


def table_format(path: Path) -> str:
    """The ending of an output.

    Raises:
        UsageError: it is none that can be written.
    """
    if path.suffix.lower() not in FORMATS or path.is_dir():
        raise UsageError(
            f"--output {path}: expected a file that ends in {', '.join(FORMATS)}, the ending being "
            "its format."
        )
    return path.suffix.lower()


def read_table(
    files: Sequence[str], data: DataConfig, output: Path | None
) -> tuple[list[Text], list[Columns]]:
    """The texts of files, or of stdin's lines for ``-``, and all columns of their rows.

    Raises:
        UsageError: a file is malformed, or is what the output would replace.
    """
    texts: list[Text] = []
    columns: list[Columns] = []
    for file in files:
        if file == STDIN:
            with opened_lines(None, data.encoding_errors) as reader:
                lines = [line for portion in reader for line in portion]
            texts += lines
            columns += [{"text": line} for line in lines]
            continue
        for [source] in units_of(EXAMPLES, file):
            if output is not None and output.exists() and output.samefile(source.path):
                raise UsageError(
                    f"--output {output} is an input too. Expected another file: what was given is "
                    "left as it is."
                )
            examples = read_examples(source.path, data, labelled=False)
            texts += texts_of(examples)
            columns += _whole_rows(source, data) or [{"text": e.text} for e in examples]
    return texts, columns


def texts_of(examples: Sequence[Example]) -> list[Text]:
    """What a model reads of rows."""
    return [e.text if e.pair is None else (e.text, e.pair) for e in examples]


def _whole_rows(source: Source, data: DataConfig) -> list[Columns]:
    """All columns of a table's rows; nothing of a file of lines."""
    findings = Findings(source.shown)
    choose = of_examples(data, findings, labelled=False)

    def all_columns(header: Header) -> Chosen:
        headed = choose(header).headed
        names = header.names if headed else [str(n + 1) for n in range(len(header.names))]
        return Chosen({f"{_COLUMN}{name}": name for name in names}, headed)

    table = rows_of(source, Reading(None, data.encoding_errors), findings, all_columns)
    return [] if table is None else list(_by_name(table))


def _by_name(table: Iterator[Row]) -> Iterator[Columns]:
    for row in table:
        yield {role.removeprefix(_COLUMN): value for role, value in row.values.items()}


def answer(found: Classification, top: int | None) -> Columns:
    """What is said of a text in JSON: the label, and the probabilities of all, or of ``top``."""
    kept = found.top(len(found.labels) if top is None else top)
    return {
        "label": found.label,
        "probability": found.probability,
        "probabilities": dict(kept),
    }


def write_table(
    path: Path, columns: Sequence[Columns], found: Sequence[Classification], top: int | None
) -> None:
    """Write rows with their columns, the label and its probability behind them.

    Where the input has a column ``label`` or ``probability`` already, those that are added are
    called ``predicted_label`` and so on. With ``top`` CSV and TSV have ``label_2``,
    ``probability_2`` and so on too; JSONL has the probabilities of all labels, or of so many.

    Raises:
        StorageError: it cannot be written; what was there before is left.
    """
    ending = table_format(path)
    names = list(dict.fromkeys(name for row in columns for name in row))
    taken = any(name in names for name in ("label", "probability", "probabilities"))
    prefix = "predicted_" if taken else ""
    if ending == ".jsonl":
        lines = (
            json.dumps(finite({**row, **_renamed(answer(one, top), prefix)}), ensure_ascii=False)
            for row, one in zip(columns, found, strict=True)
        )
        content = "".join(f"{line}\n" for line in lines)
    else:
        content = _delimited(ending, names, columns, found, top or 1, prefix)
    durable.replace(path, content.encode())


def _delimited(
    ending: str,
    names: list[str],
    columns: Sequence[Columns],
    found: Sequence[Classification],
    top: int,
    prefix: str,
) -> str:
    top = min(top, len(found[0].labels)) if found else top
    places = ["" if place == 0 else f"_{place + 1}" for place in range(top)]
    added = [f"{prefix}{what}{place}" for place in places for what in ("label", "probability")]
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t" if ending == ".tsv" else ",", lineterminator="\n")
    writer.writerow([name for name in names if name not in added] + added)
    for row, one in zip(columns, found, strict=True):
        answers = [cell for label, share in one.top(top) for cell in (label, f"{share:.6f}")]
        writer.writerow([_cell(row.get(name)) for name in names if name not in added] + answers)
    return file.getvalue()


def _renamed(answers: Mapping[str, object], prefix: str) -> Columns:
    return {f"{prefix}{name}": value for name, value in answers.items()}


def _cell(value: object) -> object:
    """A value of a row of JSON in a cell of CSV."""
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
