"""How the tags of words mark entities, and where tags break the rules of their scheme.

A tag is a letter and a type, ``B-location``; a letter alone is of the type ``_`` (segmentation into
words: B, M, E, S). ``bio`` (also IOB2) begins every entity with B; ``iob1`` does so only where it
touches another of its type (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999); ``iobes``
marks the last word too, and entities of one word (``bmes`` and ``bilou`` with other letters).
``none``: tags that mark no entities, as parts of speech.

Reading is strict, as that of seqeval (``mode="strict"``): what breaks a rule is no entity.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phalanx.errors import UsageError

OUTSIDE = "O"
NO_TYPE = "_"
# The letters of each scheme, each with what it means in that of five letters.
_LETTERS: dict[str, dict[str, str]] = {
    "bio": {"B": "B", "I": "I"},
    "iob1": {"B": "B", "I": "I"},
    "iobes": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "bmes": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "bilou": {"B": "B", "I": "I", "L": "E", "U": "S"},
}
SCHEMES = (*_LETTERS, "none")
_ALL_LETTERS = frozenset().union(*_LETTERS.values())
_MOST_MISTAKES = 0.05  # share of entities that may begin otherwise and still be taken for mistakes


class Span(NamedTuple):
    """An entity: the words from ``start`` up to, not including, ``end``."""

    type: str
    start: int
    end: int


class _Mark(NamedTuple):
    letter: str  # of the five, or O
    type: str


_OUTSIDE = _Mark(OUTSIDE, NO_TYPE)


class Allowed(NamedTuple):
    """Which labels may follow which (from, to), begin and end a sentence; bool arrays."""

    steps_LL: NDArray[np.bool_]
    starts_L: NDArray[np.bool_]
    ends_L: NDArray[np.bool_]


def detect(tag_sequences: Iterable[Sequence[str]], places: Sequence[str] = ()) -> str:
    """The scheme of a file's tags, one of ``SCHEMES``.

    One in twenty entities may begin against the rule, or one in twenty tags with five letters break
    one, and still be taken for a mistake (``problems`` names them).

    Args:
        tag_sequences: the tags of each sentence.
        places: where each sentence stands, for the error.

    Raises:
        UsageError: some tags mark entities and others do not, or the tags are of several schemes.
    """
    sentences = [tuple(tags) for tags in tag_sequences]
    tags = {tag for sentence in sentences for tag in sentence}
    marked = {tag for tag in tags if tag[1:2] == "-" and tag[0] in _ALL_LETTERS and len(tag) > 2}
    bare = tags - {OUTSIDE}
    if not marked:
        segmentation = "B" in bare and all(tag in _ALL_LETTERS for tag in bare)
        if not segmentation:
            return "none"
        marked = bare
    if odd := sorted(bare - marked):
        raise UsageError(
            f"{_place(sentences, places, odd[0])}some tags mark entities ({min(marked)}) and "
            f"others do not ({', '.join(odd[:5])}). Expected one sort. Correct the file, or give "
            "--data.scheme none to take every tag as it is."
        )
    scheme = scheme_of(sorted(marked))
    if scheme == "bio":
        return _bio_or_iob1(sentences, places)
    _check_letters_fit(sentences, places, scheme)
    return scheme


def scheme_of(labels: Sequence[str]) -> str:
    """The scheme that a set of labels belongs to; of ``bio`` and ``iob1`` always ``bio``.

    Raises:
        UsageError: their letters are those of several schemes.
    """
    marked = [tag for tag in labels if tag[:1] in _ALL_LETTERS and tag[1:2] in ("", "-")]
    if not marked or set(labels) - set(marked) - {OUTSIDE}:
        return "none"
    letters = {tag[0] for tag in marked}
    for scheme in ("bio", "iobes", "bmes", "bilou"):
        if letters <= set(_LETTERS[scheme]):
            return scheme
    raise UsageError(
        f"the tags begin with {', '.join(sorted(letters))}: letters of several schemes. Expected "
        + ", or ".join(f"{' '.join(letters)} ({name})" for name, letters in _LETTERS.items())
        + ". Bring the file into one scheme."
    )


def _check_letters_fit(
    sentences: Sequence[Sequence[str]], places: Sequence[str], scheme: str
) -> None:
    """Refuse BIO beside a scheme whose letters hold its own: its entities would never end."""
    marked = sum(tag != OUTSIDE for tags in sentences for tag in tags)
    broken = [(at, what) for at, tags in enumerate(sentences) for _, what in problems(tags, scheme)]
    if len(broken) > _MOST_MISTAKES * marked:
        at, what = broken[0]
        where = f"{places[at]}: " if at < len(places) else ""
        raise UsageError(
            f"{where}{what}, and so {len(broken)} of {marked} tags break its rules: schemes are "
            f"mixed, such as BIO and {scheme.upper()}. Expected one scheme. Bring the file into "
            f"one, or give --data.scheme {scheme}: then the entities that break it are lost."
        )


def _bio_or_iob1(sentences: Sequence[Sequence[str]], places: Sequence[str]) -> str:
    begins: Counter[str] = Counter()
    first: dict[str, str] = {}
    for index, tags in enumerate(sentences):
        before = _OUTSIDE
        for mark, tag in zip(_marks(tags, "bio"), tags, strict=True):
            # Where the entity touches none of its type, only one scheme begins it with B.
            if mark.letter in "BI" and (before.letter == OUTSIDE or before.type != mark.type):
                begins[mark.letter] += 1
                where = f"{places[index]}: " if index < len(places) else ""
                first.setdefault(mark.letter, f"{where}{tag}")
            before = mark
    bio, iob1 = begins["B"], begins["I"]
    if iob1 <= _MOST_MISTAKES * (bio + iob1):
        return "bio"
    if bio <= _MOST_MISTAKES * (bio + iob1):
        return "iob1"
    raise UsageError(
        f"{bio} entities begin with B ({first['B']}) and {iob1} with I ({first['I']}), where no "
        "other of their type stands before: BIO and IOB1 are mixed. Expected one scheme. Bring the "
        "file into one, or give --data.scheme bio: then the entities that begin with I are lost."
    )


def _place(sentences: Sequence[Sequence[str]], places: Sequence[str], tag: str) -> str:
    found = next((n for n, tags in enumerate(sentences) if tag in tags), len(places))
    return f"{places[found]}: " if found < len(places) else ""


def spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """The entities of a sentence, read strictly; equal to seqeval's in its strict mode."""
    if scheme == "none":
        return []
    marks = [*_marks(tags, scheme), _OUTSIDE]
    begins, inside, ends = _RULES[scheme]
    found: list[Span] = []
    before, at = _OUTSIDE, 0
    while at < len(tags):
        mark = marks[at]
        if not begins(before, mark):
            before, at = mark, at + 1
            continue
        end = at + 1
        while inside(marks[end - 1], marks[end]):
            end += 1
        if ends(marks[end - 1], marks[end]):
            found.append(Span(mark.type, at, end))
        before, at = marks[end - 1], end
    return found


def problems(tags: Sequence[str], scheme: str) -> list[tuple[int, str]]:
    """Where a sentence breaks the rules of a scheme: the index of a tag, and what is wrong."""
    if scheme == "none":
        return []
    found = []
    before, last = _OUTSIDE, OUTSIDE
    for at, (mark, tag) in enumerate(zip(_marks(tags, scheme), tags, strict=True)):
        if mark.letter == OUTSIDE and tag != OUTSIDE:
            found.append((at, f"{tag!r} is no tag of the scheme {scheme}"))
        elif not _may_follow(before, mark, scheme):
            found.append((at, f"{tag} may not follow {last if at else 'the start'} in {scheme}"))
        before, last = mark, tag
    if tags and not _may_follow(before, _OUTSIDE, scheme):
        found.append((len(tags) - 1, f"{last} may not end a sentence in {scheme}"))
    return found


def allowed(labels: Sequence[str], scheme: str) -> Allowed:
    """Which labels may stand beside each other, so that every entity comes out well-formed."""
    marks = _marks(labels, scheme) if scheme != "none" else [_OUTSIDE] * len(labels)
    steps = [[_may_follow(before, mark, scheme) for mark in marks] for before in marks]
    return Allowed(
        np.array(steps, dtype=np.bool_).reshape(len(labels), len(labels)),
        np.array([_may_follow(_OUTSIDE, mark, scheme) for mark in marks], dtype=np.bool_),
        np.array([_may_follow(mark, _OUTSIDE, scheme) for mark in marks], dtype=np.bool_),
    )


def tags_of(entities: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of a sentence of ``length`` words with these entities, none overlapping another."""
    letters = {meaning: letter for letter, meaning in _LETTERS[scheme].items()}
    tags, before = [OUTSIDE] * length, Span(NO_TYPE, -1, -1)
    for entity in sorted(entities, key=lambda each: each.start):
        touching = entity.start == before.end and entity.type == before.type
        inner = [letters["I"]] * (entity.end - entity.start)
        if scheme != "iob1" or touching:
            inner[0] = letters["B"]
        if "E" in letters:
            inner[-1] = letters["S"] if len(inner) == 1 else letters["E"]
        tail = "" if entity.type == NO_TYPE else f"-{entity.type}"
        tags[entity.start : entity.end] = [letter + tail for letter in inner]
        before = entity
    return tags


def convert(tags: Sequence[str], scheme: str, wanted: str) -> list[str]:
    """A sentence's tags in another scheme; what is ill-formed comes out as ``O``."""
    if scheme == wanted:
        return list(tags)
    return tags_of(spans(tags, scheme), len(tags), wanted)


def in_five_letters(tags: Sequence[str], scheme: str) -> list[str]:
    """A sentence's tags with the letters B, I, E and S whatever the scheme's; others are ``O``."""
    marks = _marks(tags, scheme)
    return [OUTSIDE if mark.letter == OUTSIDE else f"{mark.letter}-{mark.type}" for mark in marks]


def _marks(tags: Sequence[str], scheme: str) -> list[_Mark]:
    letters = _LETTERS[scheme]
    return [
        _Mark(letters[tag[0]], tag[1:].strip("-") or NO_TYPE)
        if tag[:1] in letters and tag[1:2] in ("", "-")
        else _OUTSIDE
        for tag in tags
    ]


def _continues(before: _Mark, mark: _Mark) -> bool:
    return before.letter in "BI" and mark.letter in "IE" and before.type == mark.type


def _may_follow(before: _Mark, mark: _Mark, scheme: str) -> bool:
    if scheme == "none":
        return True
    if scheme == "iob1":  # I may stand anywhere, and B only at an entity of its type
        return mark.letter != "B" or (before.letter != OUTSIDE and before.type == mark.type)
    if mark.letter in "IE":
        return _continues(before, mark)
    return scheme == "bio" or before.letter in "OES"  # with E and S what begins must end


def _iob1_begins(before: _Mark, mark: _Mark) -> bool:
    if mark.letter == "B":
        return before.letter in "BI" and before.type == mark.type
    return mark.letter == "I" and not (before.letter == "I" and before.type == mark.type)


def _iob1_ends(before: _Mark, mark: _Mark) -> bool:
    return not before.letter == mark.letter == "B" or before.type == mark.type


_Rule = Callable[[_Mark, _Mark], bool]
_WITH_LAST: tuple[_Rule, _Rule, _Rule] = (
    lambda before, mark: mark.letter in "BS",
    _continues,
    lambda before, mark: before.letter in "ES",
)
# (an entity begins, goes on, ends) at a mark after another: the tables of seqeval.scheme.
_RULES: dict[str, tuple[_Rule, _Rule, _Rule]] = {
    "bio": (lambda before, mark: mark.letter == "B", _continues, lambda before, mark: True),
    "iob1": (_iob1_begins, _continues, _iob1_ends),
    "iobes": _WITH_LAST,
    "bmes": _WITH_LAST,
    "bilou": _WITH_LAST,
}
