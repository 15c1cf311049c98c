"""What formats of rows share: which column holds the text, and a row's text in pieces."""

import re
from collections.abc import Iterator, Sequence

from phalanx.data.decoding import decode, newlines
from phalanx.data.documents import Piece, pieces
from phalanx.data.opening import Source, blocks
from phalanx.data.reading import GO_ON, NAME_COLUMN, Findings, Reading
from phalanx.errors import UsageError, did_you_mean

# What a column of text may be called, tried in this order where none was asked for.
TEXT_COLUMNS = ("text", "content", "body", "sentence", "document", "article", "passage", "story")
RECORD = 1 << 24  # characters of one row at most: a row is held in memory, a file is not

KINDS = {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "a truth value"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_NAMES, _SHOWN_CHARACTERS = 12, 40


def choose_column(names: Sequence[str], wanted: str | None, shown: str, advice: str = "") -> str:
    """Return the column of the text: the one asked for, or the first known name that is there.

    Raises:
        UsageError: it is not there; names the file, the columns that are and the nearest one, or
            ends in ``advice`` where none is near.
    """
    if wanted is not None and wanted in names:
        return wanted
    if wanted is None:
        plain = {name.strip().casefold(): name for name in reversed(names)}
        for name in TEXT_COLUMNS:
            if name in plain:
                return plain[name]
    there = ", ".join(short(name) for name in names[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    expected = (
        f"the column {wanted!r}" if wanted is not None else f"one of {', '.join(TEXT_COLUMNS)}"
    )
    near = "" if wanted is None else did_you_mean(wanted, names).partition(" Known:")[0]
    raise UsageError(
        f"{shown} has the columns {there}{more}. Expected {expected}.{near} Name the column of the "
        f"text: {NAME_COLUMN}.{'' if near else advice}"
    )


def value_pieces(
    value: object, place: str, reading: Reading, findings: Findings
) -> Iterator[Piece]:
    """Yield the pieces of a value that may be null, no text, or text as nobody decoded it.

    Raises:
        UsageError: it is no text, too long, or holds a lone surrogate (unless those are replaced).
    """
    if value is None:
        findings.missing += 1
        return
    if not isinstance(value, str):
        kind = KINDS.get(type(value), "a number")
        findings.fault(
            f"{place} holds {kind} where the text should be. Expected text, or null for a row "
            f"without. Convert it, or name another column: {NAME_COLUMN}."
        )
        return
    if len(value) > RECORD:
        findings.fault(too_long(place))
        return
    if _has_surrogate(value):
        where = f"{place} has the lone surrogate {_SURROGATE.findall(value)[0]!a}"
        if reading.encoding_errors == "strict":
            findings.fault(
                f"{where}, half of a character. Expected whole ones. Mend the escape, or go on "
                f"with U+FFFD in its stead: {GO_ON}."
            )
        findings.first_replaced = findings.first_replaced or where
        value, count = _SURROGATE.subn("\ufffd", value)
        findings.replaced += count
    findings.nuls += value.count("\0")
    yield from text_pieces(newlines(value, findings), findings)


def lines(source: Source, reading: Reading, findings: Findings) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line without its end).

    Raises:
        UsageError: a line is longer than a row may be.
    """
    number, rest = 1, ""
    for block in decode(blocks(source), findings, reading.encoding_errors):
        # Not splitlines: U+2028 and others are characters of a text.
        *ended, rest = (rest + block).split("\n")
        yield from enumerate(ended, number)
        number += len(ended)
        if len(rest) > RECORD:
            raise UsageError(too_long(f"{source.shown}:{number}"))
    if rest:
        yield number, rest


def text_pieces(text: str, findings: Findings) -> Iterator[Piece]:
    """Yield the pieces of a row's text; one of white space is counted and passed over."""
    if not text or text.isspace():
        findings.blank += 1
        return
    yield from pieces([text])


def too_long(place: str) -> str:
    """The error at a row that is longer than ``RECORD``."""
    return (
        f"{place} has a row of more than {RECORD:,} characters. Expected shorter ones, for a row "
        "is held in memory. Divide it, or give long texts as files of their own."
    )


def short(name: str) -> str:
    """A column's name in quotes, cut where it is long."""
    return repr(name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "...")


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
