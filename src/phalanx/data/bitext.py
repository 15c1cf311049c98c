"""Pairs of sentences: tables of two columns, two files line by line, or ``IN: ... OUT: ...``."""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

from phalanx.config import DataConfig
from phalanx.data import columns, rows
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.rows import Row
from phalanx.data.samples import Pair
from phalanx.data.tables import is_table, rows_of
from phalanx.errors import UsageError

_IN, _OUT = "IN: ", " OUT: "


def units(groups: Sequence[Sequence[Source]], labelled: bool) -> list[Sequence[Source]]:
    """Return the files behind each path one by one, or two together.

    Two paths, each a file of lines that are no pairs yet, are the sources and their targets.
    """
    sources = [source for group in groups for source in group]
    two = labelled and [len(group) for group in groups] == [1, 1]
    if two and not any(is_table(source) or is_scan(source) for source in sources):
        return [sources]
    return [[source] for source in sources]


def pairs(
    unit: Sequence[Source], data: DataConfig, book: Callable[[str], Findings], labelled: bool
) -> Iterator[Pair]:
    """Yield the pairs of a file, or of two: one with the sources and one with the targets.

    Pairs with an empty side are passed over and counted, unless there need be no targets.

    Raises:
        UsageError: a file is malformed, or two have not as many lines; names file and line.
    """
    findings = book(unit[0].shown)
    for place, source, target in _sides(unit, data, findings, book, labelled):
        if labelled and not (source.strip() and target.strip()):
            findings.blank += 1
        else:
            yield Pair(source, target, place)


def _sides(
    unit: Sequence[Source],
    data: DataConfig,
    findings: Findings,
    book: Callable[[str], Findings],
    labelled: bool,
) -> Iterator[tuple[str, str, str]]:
    reading = Reading(None, data.encoding_errors)
    if len(unit) == 2:
        yield from _aligned(unit[0], unit[1], reading, findings, book(unit[1].shown))
        return
    [source] = unit
    table = rows_of(source, reading, findings, columns.of_pairs(data, findings, labelled))
    if table is None:
        yield from _scan(source, reading, findings, labelled)
        return
    for row in table:
        yield from _of_row(row, data, findings, labelled)


def is_scan(source: Source) -> bool:
    """Whether the first line with something in it is of the form ``IN: ... OUT: ...``."""
    every = rows.lines(source, Reading(None, "replace"), Findings(source.shown))
    first = next((line for _, line in every if line.strip()), "")
    return first.startswith(_IN) and _OUT in first


def _scan(
    source: Source, reading: Reading, findings: Findings, labelled: bool
) -> Iterator[tuple[str, str, str]]:
    scan = is_scan(source)
    if not scan and labelled:
        raise UsageError(
            f"{source.shown} holds no pairs. Expected a table with two columns (.tsv, .csv, "
            ".jsonl, .parquet), lines of the form `IN: ... OUT: ...`, or two files of as many "
            "lines: first the sources, then the targets. If tabs divide its columns, let its name "
            "end in .tsv."
        )
    findings.format = "IN: ... OUT: ..." if scan else "lines"
    for number, line in rows.lines(source, reading, findings):
        place = f"{source.shown}:{number}"
        if not scan:
            yield place, line, ""
        elif line.startswith(_IN) and _OUT in line:
            before, _, after = line.removeprefix(_IN).partition(_OUT)
            yield place, before.strip(), after.strip()
        elif line.strip():
            findings.fault(
                f"{place} is not of the form `IN: ... OUT: ...`, as the first line is. Expected it "
                "in each line. Mend the line, or take it out."
            )


def _aligned(
    source: Source, target: Source, reading: Reading, findings: Findings, others: Findings
) -> Iterator[tuple[str, str, str]]:
    findings.format = others.format = "lines"
    lines = rows.lines(source, reading, findings), rows.lines(target, reading, others)
    counts = [0, 0]
    for left, right in zip_longest(*lines):
        counts[0] += left is not None
        counts[1] += right is not None
        if left is not None and right is not None:
            yield f"{source.shown}:{left[0]}", left[1], right[1]
    if counts[0] != counts[1]:
        short, long = (source, target) if counts[0] < counts[1] else (target, source)
        findings.fault(
            f"{source.shown} has {counts[0]:,} lines and {target.shown} {counts[1]:,}. Expected as "
            f"many, each the translation of the other's. {short.shown} ends before line "
            f"{min(counts) + 1:,} of {long.shown}: from where on do they differ?"
        )


def _of_row(
    row: Row, data: DataConfig, findings: Findings, labelled: bool
) -> Iterator[tuple[str, str, str]]:
    values, where = dict(row.values), row.where
    if "both" in row.columns:
        both = values.get("both")
        if not isinstance(both, dict) or not both:
            findings.fault(
                f"{row.where('both')} holds no object. Expected one with the two languages, such "
                'as {"en": "...", "zh": "..."}.'
            )
            return
        given = [name for name in (data.source_column, data.target_column) if name]
        names = given if len(given) == 2 else [*both]
        if len(names) != 2 or not all(name in both for name in names):
            findings.fault(
                f"{row.where('both')} holds the languages {', '.join(map(repr, both))}. Expected "
                "two, or the names of two of them: --source-column and --target-column."
            )
            return
        values = dict(zip(("source", "target"), (both[name] for name in names), strict=True))
    sides = []
    for role in ("source", "target"):
        value = values.get(role)
        if value is not None and not isinstance(value, str):
            findings.fault(
                f"{where(role)} holds {rows.KINDS.get(type(value), 'a number')} where the {role} "
                "should be. Expected text."
            )
            return
        sides.append(value or "")
    yield row.place, sides[0], sides[1]
