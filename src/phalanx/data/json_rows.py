"""JSON whose entries are rows: one a line, or a list read whole."""

import json
from collections.abc import Iterator

from phalanx.data import rows
from phalanx.data.decoding import decode
from phalanx.data.opening import Source, blocks
from phalanx.data.reading import Findings, Reading
from phalanx.data.rows import Choose, Chosen, Header, Row
from phalanx.errors import UsageError


def json_lines(
    source: Source, reading: Reading, findings: Findings, choose: Choose
) -> Iterator[Row]:
    """Yield a row for each line: an object, or a string.

    Raises:
        UsageError: a line is no JSON or too long, or the first object lacks a wanted column.
    """
    findings.format = "JSON lines"
    entries = _Entries(source.shown, reading, findings, choose)
    for number, line in rows.lines(source, reading, findings):
        if not line.strip():
            continue
        place = f"{source.shown}:{number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            findings.fault(
                f"{place} is not JSON: {_why(error)}. Expected one object or string a line, such "
                'as {"text": "..."}. Mend the line, or take it out.'
            )
            continue
        yield from entries.row(entry, place)


def json_list(
    source: Source, reading: Reading, findings: Findings, choose: Choose
) -> Iterator[Row]:
    """Yield a row for each entry of a list, read whole: an object, or a string.

    Raises:
        UsageError: the list is malformed or too long to hold, or see ``json_lines``.
    """
    findings.format = "JSON list"
    parts: list[str] = []
    size = 0
    for block in decode(blocks(source), findings, reading.encoding_errors):
        parts.append(block)
        size += len(block)
        if size > rows.RECORD:
            raise UsageError(
                f"{source.shown} is a JSON list of more than {rows.RECORD:,} characters, which "
                "would have to be held in memory. Expected one entry a line. "
                f"Convert it: jq -c '.[]' {source.shown} > converted.jsonl"
            )
    try:
        listed = json.loads("".join(parts))
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise UsageError(
            f"{source.shown}:{line} is not JSON: {_why(error)}. Expected a list of objects or "
            "strings. Mend it, or let the name end in .txt to read it as text."
        ) from None
    entries = _Entries(source.shown, reading, findings, choose)
    for number, entry in enumerate(listed, 1):
        yield from entries.row(entry, f"{source.shown}, entry {number}")


class _Entries:
    """The entries of one JSON file; the first object decides which columns are read."""

    def __init__(self, shown: str, reading: Reading, findings: Findings, choose: Choose) -> None:
        self._shown, self._reading, self._findings = shown, reading, findings
        self._choose = choose
        self._chosen: Chosen | None = None

    def row(self, entry: object, place: str) -> Iterator[Row]:
        """Yield one row, or none where the entry is neither an object nor a string."""
        if isinstance(entry, dict):
            if self._chosen is None:
                self._chosen = self._choose(Header(self._shown, list(entry)))
            columns = self._chosen.columns
            found = {role: entry[name] for role, name in columns.items() if name in entry}
        elif isinstance(entry, str):
            columns, found = {}, {"text": entry}
        else:
            self._findings.fault(
                f"{place} is {rows.KINDS.get(type(entry), 'a number')}. Expected an object with a "
                'column of text, such as {"text": "..."}, or a string.'
            )
            return
        row = Row(place, found, columns)
        for role, value in found.items():
            found[role] = rows.clean(value, row.where(role), self._reading, self._findings)
        yield row


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
