"""A document: text that belongs together, whole under a name, or in pieces as it streams."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PIECE = 1 << 20  # characters of a piece at most

# White space in Unicode's sense, as GPT-2's expression has it; str.isspace holds a little more.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_PLACE = re.compile(f"[^{WHITE_SPACE}][{WHITE_SPACE}]")


@dataclass(frozen=True)
class Document:
    """A text under a name.

    Args:
        name: where the text came from, relative to what was asked for, with ``/`` between parts;
            it decides on which side of a split by file the document falls.
        text: the text, without a byte order mark and with ``\\n`` for ``\\r\\n``.
    """

    name: str
    text: str

    @property
    def bytes(self) -> int:
        """Length of the text in UTF-8."""
        return len(self.text.encode())


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document, small enough to hold.

    Args:
        text: 1 to ``PIECE`` characters.
        begins: whether it is the first piece of its document.
    """

    text: str
    begins: bool


def pieces(blocks: Iterable[str], size: int = PIECE) -> Iterator[Piece]:
    """Cut one document, which comes in blocks of any length, into pieces of at most ``size``.

    A piece ends before white space that follows something else: at the last run of white space with
    a blank in it, else with a line end, else at the last of any. No match of GPT-2's expression
    crosses such a place, nor looks across it: encoding piece by piece equals encoding the whole,
    for byte-level BPE of that kind as for bytes and characters. Where ``size`` characters hold no
    such place the cut is after ``size`` characters; a BPE may then see one word as two. Where the
    cuts are depends on the text alone, not on the blocks.
    """
    rest, begins = "", True
    for block in blocks:
        text, start = rest + block, 0
        while len(text) - start > size:
            cut = _cut(text, start, size)
            yield Piece(text[start:cut], begins)
            start, begins = cut, False
        rest = text[start:]
    if rest:
        yield Piece(rest, begins)


def whole(pieces: Iterable[Piece]) -> Iterator[str]:
    """Yield the text of each document, put together again."""
    parts: list[str] = []
    for piece in pieces:
        if piece.begins and parts:
            yield "".join(parts)
            parts = []
        parts.append(piece.text)
    if parts:
        yield "".join(parts)


def _cut(text: str, start: int, size: int) -> int:
    end = start + size + 1  # the space may follow the piece
    for space in (" ", "\n"):  # nearly always one of them, and found at once
        found = text.rfind(space, start, end)
        if found > start:
            cut = start + len(text[start:found].rstrip(WHITE_SPACE))
            if cut > start:
                return cut
    cut = start + size
    for place in _PLACE.finditer(text, start, end):
        cut = place.end() - 1
    return cut
