"""CoNLL: a word a line with its tag in another column, a blank line between sentences.

Columns are divided by tabs where the first line of words holds one, else by white space (and where
tabs and spaces are mixed, but white space divides all lines alike). A line of nothing but white
space ends a sentence too, for files are found with both. ``-DOCSTART-`` lines and
comments (``# text = ...``) are passed over. In front of a sentence a line that begins with ``#`` is
a comment unless it has the columns of the others and a tag that others have too: ``#`` is a word.

CoNLL-U (ten columns, the first a number) has its words in column 2 and, unless another is asked
for, its tags in column 4; lines of several words (``1-2``) and of none (``1.1``) are passed over.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phalanx.config import DataConfig
from phalanx.data import rows
from phalanx.data.columns import TAGS, WORDS
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.samples import Sentence
from phalanx.errors import UsageError, did_you_mean

_UNIVERSAL = 10  # columns of CoNLL-U
_NOT_ONE_WORD = re.compile(r"\d+[-.]\d+")
_NUMBER = re.compile(r"\d+([-.]\d+)?")
_SPACES = re.compile(r"[ \t]+")
_COMMENTS = ("# ", "#begin document", "#end document")


def conll(
    source: Source, data: DataConfig, findings: Findings, labelled: bool
) -> Iterator[Sentence]:
    """Yield the sentences of a file, which is held in memory.

    Args:
        source: the file.
        data: ``text_column`` and ``tag_column`` may be numbers of columns, from 1, or names in a
            first line; by default the word is in the first, the tag in the last.
        findings: takes faults and what else was found.
        labelled: whether tags have to be there; else a file may have but one column.

    Raises:
        UsageError: lines differ in their columns, or a word or a tag is empty; names file and line.
    """
    findings.format = "CoNLL"
    every = rows.lines(source, Reading(None, data.encoding_errors), findings)
    lines = [(number, line) for number, line in every if not line.startswith("-DOCSTART-")]
    shape = _shape(source.shown, lines, data, labelled, findings)
    if shape is None:
        return
    words: list[str] = []
    tags: list[str] = []
    place = ""
    for number, line in [*lines[shape.header :], (0, "")]:
        if not line.strip():
            if words:
                yield Sentence(tuple(words), tuple(tags), place)
            words, tags = [], []
            continue
        fields = _fields(line, shape.tabs)
        if not words and shape.comment(line, fields):
            continue
        if len(fields) != shape.count:
            findings.fault(_ragged(f"{source.shown}:{number}", line, len(fields), shape))
            continue
        if shape.universal and _NOT_ONE_WORD.fullmatch(fields[0]):
            continue
        word = fields[shape.word_at]
        tag = None if shape.tag_at is None else fields[shape.tag_at]
        if not word.strip() or tag == "":
            findings.fault(
                f"{source.shown}:{number} has an empty {'tag' if word.strip() else 'word'}. "
                "Expected a word and its tag. Mend the line, or take it out."
            )
            continue
        if not words:
            place = f"{source.shown}:{number}"
        words.append(word)
        if tag is not None:
            tags.append(tag)


@dataclass(frozen=True)
class _Shape:
    """How the lines of one file are made.

    Args:
        tabs: whether tabs divide columns; else white space does.
        count: columns of a line.
        universal: whether it is CoNLL-U.
        word_at, tag_at: their places in a line; no tag where there is but one column.
        tags: all that occur in lines that are no comments for certain.
        header: lines at the beginning that hold no sentence.
    """

    tabs: bool
    count: int
    universal: bool
    word_at: int
    tag_at: int | None
    tags: frozenset[str]
    header: int

    def comment(self, line: str, fields: Sequence[str]) -> bool:
        """Whether a line in front of a sentence is no word."""
        if not line.startswith("#"):
            return False
        if self.universal or len(fields) != self.count:
            return self.universal or line.startswith(_COMMENTS) or line.strip() == "#"
        return self.tag_at is not None and fields[self.tag_at] not in self.tags


def _shape(
    shown: str,
    lines: Sequence[tuple[int, str]],
    data: DataConfig,
    labelled: bool,
    findings: Findings,
) -> _Shape | None:
    """Return how the lines are made, or None where there are no words.

    Raises:
        UsageError: a column that was asked for is not there, or there is no column of tags.
    """
    filled = [(at, line) for at, (_, line) in enumerate(lines) if line.strip()]
    certain = [(at, line) for at, line in filled if not line.startswith("#")] or filled
    if not certain:
        return None
    at, line = certain[0]
    tabs = "\t" in line and not _mixed(certain, findings)
    first = _fields(line, tabs)
    count = len(first)
    fields = [_fields(line, tabs) for _, line in certain]
    fields = [each for each in fields if len(each) == count]
    universal = tabs and count == _UNIVERSAL and all(_NUMBER.fullmatch(f[0]) for f in fields)
    if universal:
        findings.format = "CoNLL-U"
    given = (data.text_column, data.tag_column)
    header = _is_header(first, given)
    if header:
        findings.remarks.append("its first line names columns, and is passed over")
    names = first if header else []
    word_at = _place(shown, given[0], names, count, "text", 1 if universal else 0)
    tag_at = None
    if count > 1 or labelled:
        last = max((n for n in range(count) if n != word_at), default=0)
        tag_at = _place(shown, given[1], names, count, "tag", 3 if universal else last)
    if word_at == tag_at:
        alone = ", for there is no other" if count == 1 else ""
        raise UsageError(
            f"{shown}: column {word_at + 1} would be both the word and its tag{alone}. Expected "
            "two columns, divided by tabs or spaces. Name the tag's by its number: "
            "--tag-column NUMBER."
        )
    tags = frozenset(() if tag_at is None else (each[tag_at] for each in fields[header:]))
    return _Shape(tabs, count, universal, word_at, tag_at, tags, at + 1 if header else 0)


def _mixed(lines: Sequence[tuple[int, str]], findings: Findings) -> bool:
    """Whether tabs divide some lines and spaces others, into as many columns by white space."""
    if all("\t" in line for _, line in lines):
        return False
    mixed = len({len(_fields(line, False)) for _, line in lines}) == 1
    if mixed:
        findings.remarks.append("tabs divide some lines and spaces others: read as white space")
    return mixed


def _is_header(first: Sequence[str], given: Sequence[str | None]) -> bool:
    """Whether a first line holds the names that were asked for, or known ones of word and tag."""
    names = [name for name in given if name is not None and not name.isdecimal()]
    if names:
        return all(name in first for name in names)
    plain = [field.casefold() for field in first]
    return plain[0] in WORDS and len(plain) > 1 and plain[-1] in TAGS


def _fields(line: str, tabs: bool) -> list[str]:
    if tabs:
        return [field.strip(" ") for field in line.split("\t")]
    return _SPACES.split(line.strip(" \t"))


def _place(
    shown: str, given: str | None, names: Sequence[str], count: int, role: str, default: int
) -> int:
    """Return the place of a column that is given by its number or its name.

    Raises:
        UsageError: it is not there.
    """
    if given is None:
        return default
    if given in names:
        return names.index(given)
    if given.isdecimal() and 1 <= int(given) <= count:
        return int(given) - 1
    known = did_you_mean(given, names) if names else ""
    raise UsageError(
        f"{shown} has {count} column{'s' * (count != 1)}"
        f"{'' if names else ' without names'}. Expected column {given!r} there.{known} Give its "
        f"number, from 1 to {count}: --{role}-column NUMBER."
    )


def _ragged(place: str, line: str, found: int, shape: _Shape) -> str:
    mixed = shape.tabs and "\t" not in line and " " in line.strip()
    return (
        f"{place} has {found} column{'s' * (found != 1)}, and the first line of words "
        f"{shape.count}.{' It has spaces where that one has tabs.' if mixed else ''} Expected as "
        f"many in each line, divided by {'tabs' if shape.tabs else 'spaces'}, and a blank line "
        "between sentences. Mend the line."
    )
