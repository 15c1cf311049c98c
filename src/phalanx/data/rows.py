"""What formats of rows share: a row, which columns are read of it, and values made plain.

A reader of a format shows what columns there are to whoever wants rows, who chooses those that play
a role (``text``, ``label``); then it yields rows of just these.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from phalanx.data.decoding import decode, newlines
from phalanx.data.opening import Source, blocks
from phalanx.data.reading import GO_ON, NAME_COLUMN, Findings, Reading
from phalanx.errors import UsageError, did_you_mean

# What a column of text may be called, tried in this order where none was asked for.
TEXT_COLUMNS = ("text", "content", "body", "sentence", "document", "article", "passage", "story")
RECORD = 1 << 24  # characters of one row at most: a row is held in memory, a file is not

KINDS = {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "a truth value"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_NAMES, _SHOWN_CHARACTERS = 12, 40


@dataclass(frozen=True)
class Header:
    """What columns a file has.

    Args:
        shown: the file, as its user knows it.
        names: of the columns in order; what the first line holds, in CSV and TSV.
        first_line: whether the names stand in a first line, which could be data instead.
        tabs: whether it is TSV.
        advice: what to do if it is.
        kinds: what a column holds where the format says so and it is not text.
    """

    shown: str
    names: Sequence[str]
    first_line: bool = False
    tabs: bool = False
    advice: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chosen:
    """Which columns are read.

    Args:
        columns: the name of the column in each role; its number from 1 where no line has names.
        headed: whether the first line of CSV or TSV holds names; else it is data.
    """

    columns: Mapping[str, str]
    headed: bool = True


Choose = Callable[[Header], Chosen]


class Row(NamedTuple):
    """One row of a table, or one entry of JSON.

    Args:
        place: file and line (or row, or entry).
        values: by role; a role whose column this entry of JSON lacks is not in it. Text has ``\\n``
            for line ends. A string of JSON that stands alone plays the role ``text``.
        columns: the column in each role.
    """

    place: str
    values: Mapping[str, object]
    columns: Mapping[str, str]

    def where(self, role: str) -> str:
        """The place of a value in words, with a comma after its column."""
        name = self.columns.get(role)
        return self.place if name is None else f"{self.place}, {name!r},"


def choose_text(wanted: str | None) -> Choose:
    """Choose the column of the text: the one asked for, or the first known name that is there.

    Raises (when choosing):
        UsageError: it is not there, or holds something else.
    """

    def choose(header: Header) -> Chosen:
        name = find_column(header, wanted, TEXT_COLUMNS)
        if name is None:
            raise lacking(header, wanted, TEXT_COLUMNS, "text", NAME_COLUMN)
        if name in header.kinds:
            raise UsageError(
                f"{header.shown}: the column {name!r} holds {header.kinds[name]}. Expected text "
                f"(string). Write it as text, or name another: {NAME_COLUMN}."
            )
        return Chosen({"text": name})

    return choose


def find_column(header: Header, wanted: str | None, known: Sequence[str]) -> str | None:
    """Return the column asked for, or the first known name (in any case); None: not there."""
    if wanted is not None:
        return wanted if wanted in header.names else None
    plain = {name.strip().casefold(): name for name in reversed(header.names)}
    return next((plain[name] for name in known if name in plain), None)


def lacking(
    header: Header, wanted: str | None, known: Sequence[str], what: str, option: str
) -> UsageError:
    """The error at a column that is not there: names those that are and the nearest one.

    Args:
        header: the columns.
        wanted: the one asked for.
        known: those that would have been taken.
        what: what it holds.
        option: how to name it.
    """
    names = header.names
    there = ", ".join(short(name) for name in names[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    if wanted is not None:
        expected, near = f"the column {wanted!r}", did_you_mean(wanted, names)
        near = near.partition(" Known:")[0]
    else:
        expected, near = f"one of {', '.join(known)}", _nearest(names, known)
    return UsageError(
        f"{header.shown} has the columns {there}{more}. Expected {expected}.{near} Name the column "
        f"of the {what}: {option}.{'' if near else header.advice}"
    )


def _nearest(names: Sequence[str], known: Sequence[str]) -> str:
    for name in names:
        if difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.75):
            return f" Did you mean {short(name)}?"
    return ""


def clean(value: object, place: str, reading: Reading, findings: Findings) -> object:
    """Return a value of JSON or Parquet with its text as ``decode`` would have made it.

    Raises:
        UsageError: a text holds a lone surrogate (unless those are replaced).
    """
    if isinstance(value, list):
        return [clean(item, place, reading, findings) for item in value]
    if isinstance(value, dict):
        return {name: clean(item, place, reading, findings) for name, item in value.items()}
    if not isinstance(value, str):
        return value
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
    return newlines(value, findings)


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
