"""CSV and TSV, whose rows are documents; both begin with a line of column names.

CSV is that of RFC 4180: a field in double quotes may hold commas, line ends and doubled quotes.
TSV is that of IANA (text/tab-separated-values): a quote is a character like any other, and a field
holds neither tab nor line end.
"""

import csv
from collections.abc import Iterator

from phalanx.data import rows
from phalanx.data.documents import Piece
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.errors import UsageError

_TSV_ADVICE = "A field cannot hold a tab or a line end, not in quotes either: .csv has quotes."
_NAMED = 12  # columns in the header of an example at most


def delimited(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    """Yield a document for each row of a .csv or .tsv file.

    Raises:
        UsageError: the header names a column twice or lacks the one with the text, a row has more
            or fewer fields, or quotes are out of place; the message names file and line.
    """
    tabs = source.shown.lower().removesuffix(".gz").endswith(".tsv")
    findings.format = "TSV" if tabs else "CSV"
    table = (_tsv_rows if tabs else _csv_rows)(source, reading, findings)
    line, header = next(table, (1, []))
    if not header:
        return
    separator = r"\t" if tabs else ","
    advice = _no_header(len(header), separator, source.shown)
    names = [name for name in header if name]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(
            f"{source.shown}:{line} names the column {rows.short(twice)} twice. Expected names "
            f"that differ. Rename one.{advice}"
        )
    column = header.index(rows.choose_column(header, reading.text_column, source.shown, advice))
    for line, row in table:
        if len(row) != len(header):
            findings.fault(
                f"{source.shown}:{line} has {_fields(len(row))}, and the header {len(header)}. "
                "Expected as many in each row. "
                + (_TSV_ADVICE if tabs else "Put a field that holds a comma in double quotes.")
            )
            continue
        yield from rows.text_pieces(row[column], findings)


def _no_header(count: int, separator: str, shown: str) -> str:
    names = separator.join(f"c{number}" for number in range(1, min(count, _NAMED) + 1))
    cat = "zcat" if shown.lower().endswith(".gz") else "cat"
    return (
        " If the first line is no header, put one in front of it: "
        f"(printf '{names}\\n'; {cat} {shown}) > "
        f"with_header{'.csv' if separator == ',' else '.tsv'}"
    )


def _csv_rows(
    source: Source, reading: Reading, findings: Findings
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line where it begins, fields) for each row that is not empty."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for _, line in rows.lines(source, reading, findings):
            taken += len(line) + 1
            if taken > rows.RECORD:
                raise UsageError(rows.too_long(f"{source.shown}:{begin}"))
            yield line + "\n"

    # A limit of the whole process. It is raised because a row is bounded here already.
    csv.field_size_limit(max(csv.field_size_limit(), rows.RECORD))
    reader = csv.reader(lines(), strict=True)
    while True:
        begin, taken = reader.line_num + 1, 0
        try:
            row = next(reader, None)
        except csv.Error as error:
            findings.fault(
                f"{source.shown}:{begin} is not CSV: {_csv_words(str(error))} "
                "Expected a quote inside a quoted field to be doubled, and each one closed."
            )
            continue
        if row is None:
            return
        if row:
            yield begin, row


def _csv_words(error: str) -> str:
    if "end of data" in error:
        return "a field in quotes is still open at the end of the file."
    if "new-line" in error:
        return "it has a lone carriage return outside quotes."
    return "a quote closes a field that goes on."


def _tsv_rows(
    source: Source, reading: Reading, findings: Findings
) -> Iterator[tuple[int, list[str]]]:
    for number, line in rows.lines(source, reading, findings):
        if line:
            yield number, line.split("\t")


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"
