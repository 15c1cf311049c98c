"""CSV and TSV: a first line of column names, or none, and rows.

CSV is that of RFC 4180: a field in double quotes may hold commas, line ends and doubled quotes.
TSV is that of IANA (text/tab-separated-values): a quote is a character like any other, and a field
holds neither tab nor line end.
"""

import csv
from collections.abc import Iterator
from itertools import chain

from phalanx.data import rows
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.rows import Choose, Header, Row
from phalanx.errors import UsageError

_TSV_ADVICE = "A field cannot hold a tab or a line end, not in quotes either: .csv has quotes."
_NAMED = 12  # columns in the header of an example at most
_OTHER_MARKS = (";", "\t", "|", ",")  # what divides fields in files that are called .csv or .tsv


def delimited(
    source: Source, reading: Reading, findings: Findings, choose: Choose
) -> Iterator[Row]:
    """Yield the rows of a .csv or .tsv file.

    Raises:
        UsageError: the header names a column twice or lacks one that is wanted, a row has more
            or fewer fields, or quotes are out of place; the message names file and line.
    """
    tabs = source.shown.lower().removesuffix(".gz").endswith(".tsv")
    findings.format = "TSV" if tabs else "CSV"
    table = (_tsv_rows if tabs else _csv_rows)(source, reading, findings)
    line, first = next(table, (1, []))
    if not first:
        return
    advice = _no_header(first, r"\t" if tabs else ",", source.shown)
    chosen = choose(Header(source.shown, first, True, tabs, advice))
    if chosen.headed:
        _refuse_twice(first, f"{source.shown}:{line}", advice)
        places = {role: first.index(name) for role, name in chosen.columns.items()}
    else:
        places = {role: int(number) - 1 for role, number in chosen.columns.items()}
        table = chain([(line, first)], table)
    for line, row in table:
        if len(row) != len(first):
            findings.fault(
                f"{source.shown}:{line} has {_fields(len(row))}, and the "
                f"{'header' if chosen.headed else 'first line'} {len(first)}. "
                "Expected as many in each row. "
                + (_TSV_ADVICE if tabs else "Put a field that holds a comma in double quotes.")
            )
            continue
        values = {role: row[place] for role, place in places.items()}
        yield Row(f"{source.shown}:{line}", values, chosen.columns)


def _refuse_twice(header: list[str], place: str, advice: str) -> None:
    names = [name for name in header if name]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(
            f"{place} names the column {rows.short(twice)} twice. Expected names "
            f"that differ. Rename one.{advice}"
        )


def _no_header(first: list[str], separator: str, shown: str) -> str:
    names = separator.join(f"c{number}" for number in range(1, min(len(first), _NAMED) + 1))
    cat = "zcat" if shown.lower().endswith(".gz") else "cat"
    advice = (
        " If the first line is no header, put one in front of it: "
        f"(printf '{names}\\n'; {cat} {shown}) > "
        f"with_header{'.csv' if separator == ',' else '.tsv'}"
    )
    other = next((mark for mark in _OTHER_MARKS if len(first) == 1 and mark in first[0]), None)
    if other is not None:
        advice += f". If {other!r} divides its fields, put {separator!r} in its stead"
    return advice


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
