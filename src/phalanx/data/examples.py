"""Labelled texts from tables; texts alone from a file of lines, where no label is needed."""

from collections.abc import Iterator
from math import isnan

from phalanx.config import DataConfig
from phalanx.data import columns, rows
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.rows import Row
from phalanx.data.samples import Example
from phalanx.data.tables import rows_of
from phalanx.errors import UsageError

# What programs write where a label is missing.
MISSING = frozenset(("", "nan", "NaN", "NAN", "<NA>", "NULL", "null", "None", "#N/A"))


def examples(
    source: Source, data: DataConfig, findings: Findings, labelled: bool
) -> Iterator[Example]:
    """Yield the examples of a file.

    Rows without text are passed over and counted; where no labels are asked for they are faults,
    for then an answer is wanted for each row.

    Raises:
        UsageError: the file is malformed, or a row has no label; the message names file and line.
    """
    reading = Reading(data.text_column, data.encoding_errors)
    table = rows_of(source, reading, findings, columns.of_examples(data, findings, labelled))
    if table is None:
        if labelled:
            raise UsageError(
                f"{source.shown} is no table. Expected texts and labels in columns of CSV, TSV, "
                "JSONL or Parquet, by their endings .csv, .tsv, .jsonl and .parquet. Convert it, "
                "or rename it if it is one of them."
            )
        findings.format = "lines"
        table = (
            Row(f"{source.shown}:{number}", {"text": line}, {})
            for number, line in rows.lines(source, reading, findings)
            if line.strip()
        )
    for row in table:
        text = _text(row, "text", findings, needed=not labelled)
        pair = _text(row, "pair", findings, needed=not labelled) if "pair" in row.columns else ""
        label = _label(row, findings, labelled)
        if text is not None and pair is not None and label is not None:
            yield Example(text, label, pair if "pair" in row.columns else None, row.place)


def _text(row: Row, role: str, findings: Findings, needed: bool) -> str | None:
    """Return a text that is more than white space, or None where the row is passed over."""
    if role not in row.values:
        findings.fault(
            f"{row.place} has no {row.columns.get(role, role)!r}, the column of the text. Expected "
            "it in each row. Add it, or take the row out."
        )
        return None
    value = row.values[role]
    if value is None or (isinstance(value, str) and (not value or value.isspace())):
        if needed:
            findings.fault(
                f"{row.where(role)} holds no text. Expected some in each row, for each is to be "
                "answered. Take the row out."
            )
        elif value is None:
            findings.missing += 1
        else:
            findings.blank += 1
        return None
    if not isinstance(value, str):
        kind = rows.KINDS.get(type(value), "a number")
        findings.fault(
            f"{row.where(role)} holds {kind} where the text should be. Expected text. Convert it, "
            "or name another column: --text-column."
        )
        return None
    if len(value) > rows.RECORD:
        findings.fault(rows.too_long(row.where(role)))
        return None
    return value


def _label(row: Row, findings: Findings, labelled: bool) -> str | None:
    """Return a label without white space around it, or None where there is a fault."""
    value = row.values.get("label")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is None or isinstance(value, str) or (isinstance(value, float) and isnan(value)):
        label = value.strip() if isinstance(value, str) else ""
        if label not in MISSING:
            return label
        if not labelled:
            return ""
        found = f"{label!r}, as programs write a missing value" if label else "no label"
        findings.fault(
            f"{row.where('label')} holds {found}. Expected the label of each text. Add it, or take "
            "the row out" + ("; if it is a label, give it another name." if label else ".")
        )
        return None
    kind = rows.KINDS.get(type(value), "a number that is not whole")
    findings.fault(
        f"{row.where('label')} holds {kind}. Expected a label: text or a whole number. Convert it, "
        "or name another column: --label-column."
    )
    return None
