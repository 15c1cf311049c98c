"""What tasks learn from: a labelled text, a tagged sentence, a pair of sentences."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its class.

    Args:
        text: not only white space.
        label: without white space around it; empty where none was asked for and none is there.
        pair: the second text, where texts come in pairs.
        place: file and line, such as ``train.csv:17``.
    """

    text: str
    label: str
    pair: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words, each with its tag.

    Args:
        words: at least one, none empty.
        tags: as many; none where none were asked for and none are there.
        place: file and line of the first word.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence and its translation.

    Args:
        source, target: not only white space, where both were asked for.
        place: file and line, that of the source where there are two files.
    """

    source: str
    target: str
    place: str
