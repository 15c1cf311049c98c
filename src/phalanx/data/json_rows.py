"""JSON whose entries are documents: one a line, or a list read whole."""

import json
from collections.abc import Iterator

from phalanx.data import rows
from phalanx.data.decoding import decode
from phalanx.data.documents import Piece
from phalanx.data.opening import Source, blocks
from phalanx.data.reading import Findings, Reading
from phalanx.errors import UsageError


def json_lines(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    """Yield a document for each line: an object's text column, or a string.

    Raises:
        UsageError: a line is no JSON, or its text is missing, no text or too long.
    """
    findings.format = "JSON lines"
    entries = _Entries(source.shown, reading, findings)
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
        yield from entries.pieces(entry, place)


def json_list(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    """Yield a document for each entry of a list, read whole: an object's text column, or a string.

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
    entries = _Entries(source.shown, reading, findings)
    for number, entry in enumerate(listed, 1):
        yield from entries.pieces(entry, f"{source.shown}, entry {number}")


class _Entries:
    """The entries of one JSON file; the first object decides which column holds the text."""

    def __init__(self, shown: str, reading: Reading, findings: Findings) -> None:
        self._shown, self._reading, self._findings = shown, reading, findings
        self._column: str | None = None

    def pieces(self, entry: object, place: str) -> Iterator[Piece]:
        if isinstance(entry, dict):
            if self._column is None:
                wanted = self._reading.text_column
                self._column = rows.choose_column(list(entry), wanted, self._shown)
            if self._column not in entry:
                self._findings.fault(
                    f"{place} has no {self._column!r}, the column of the text. Expected it in each "
                    "object. Add it, or null for a row without text."
                )
                return
            place, entry = f"{place}, {self._column!r},", entry[self._column]
        elif not isinstance(entry, str):
            self._findings.fault(
                f"{place} is {rows.KINDS.get(type(entry), 'a number')}. Expected an object with a "
                'column of text, such as {"text": "..."}, or a string.'
            )
            return
        yield from rows.value_pieces(entry, place, self._reading, self._findings)


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
