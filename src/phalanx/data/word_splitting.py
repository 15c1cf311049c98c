"""Raw text taken apart into words, as annotated text is: each with its place in the text."""

import re
import sys
import unicodedata
from functools import cache
from itertools import pairwise
from typing import NamedTuple

# Ideographs, kana and the marks written among them: text without spaces, a word a character.
CJK = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)


class Word(NamedTuple):
    """A word, and the characters of the text that it is: from ``start`` up to ``end``."""

    text: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """The words of a text.

    White space divides; addresses (http, www), @names and #tags stay whole; Chinese and Japanese
    characters stand alone; runs of letters, digits and marks stay together over inner hyphens and,
    between digits, points and commas; English clitics ('s, n't) are words, as in the Penn Treebank;
    of everything else each character is one, dots in a row together.
    """
    return [Word(found.group(), *found.span()) for found in _pattern().finditer(text)]


def begins_without_space(word: str) -> bool:
    """Whether a word is of a script written without spaces, so that none stood before it."""
    return _BEGINS_CJK.match(word) is not None


_BEGINS_CJK = re.compile(f"[{CJK}\u3001-\u3003\u3008-\u301f\uff01-\uff20]")


@cache
def _pattern() -> re.Pattern[str]:
    letter = rf"(?:(?![{CJK}])[\w{_marks()}\u200c\u200d])"
    return re.compile(
        rf"""
        (?:https?://|www\.)[^\s<>"{CJK}]*[^\s<>"{CJK}.,;:!?)\]'…]  # an address
        | [@\#]{letter}+                                         # @name, #tag
        | \d+(?:[.,:]\d+)+                                      # 1,000.5 and 12:30
        | {letter}+?(?=n['’]t\b)                                 # do of don't
        | n['’]t\b
        | ['’](?:s|m|d|re|ve|ll)\b
        | {letter}+(?:-{letter}+)*
        | \.{{2,}}
        | \S
        """,
        re.VERBOSE | re.IGNORECASE,
    )


def _marks() -> str:
    """Combining marks as ranges for a pattern: without them Hindi words would fall apart."""
    points = [
        point
        for point in range(0x300, 0x20000)
        if unicodedata.category(chr(point)).startswith("M") and point <= sys.maxunicode
    ]
    breaks = [at for at, (one, two) in enumerate(pairwise(points)) if two != one + 1]
    firsts = [points[0], *(points[at + 1] for at in breaks)]
    lasts = [*(points[at] for at in breaks), points[-1]]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(firsts, lasts, strict=True))
