"""What samples are like: lengths, balance, duplicates; each figure with the places it speaks of."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from phalanx.data.samples import Example, Pair, Sentence

T = TypeVar("T", Example, Sentence, Pair)
PLACES = 5  # named of each finding, the others are counted


@dataclass(frozen=True)
class Lengths:
    """How long texts are.

    Args:
        what: what is counted of what.
        median, most: of all texts, and what 95 of 100 do not exceed.
        longest: the longest.
        place: where that is.
    """

    what: str
    median: float
    most: int
    longest: int
    place: str

    @classmethod
    def of(cls, what: str, lengths: Sequence[int], places: Sequence[str]) -> "Lengths":
        """Count texts, at least one."""
        lengths_N = np.array(lengths, dtype=np.int64)
        most = int(np.quantile(lengths_N, 0.95, method="inverted_cdf"))
        longest = int(lengths_N.argmax())
        return cls(what, float(np.median(lengths_N)), most, lengths[longest], places[longest])

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "what": self.what,
            "median": self.median,
            "95_percent": self.most,
            "longest": self.longest,
            "longest_at": self.place,
        }


@dataclass(frozen=True)
class Balance:
    """How often labels occur, the most frequent to learn from first.

    Args:
        of: what is counted.
        rows: (label, to learn from, to validate on).
    """

    of: str
    rows: tuple[tuple[str, int, int], ...]

    @classmethod
    def count(cls, of: str, train: Iterable[str], validation: Iterable[str]) -> "Balance":
        """Count both sides' labels."""
        left, right = Counter(train), Counter(validation)
        order = sorted({*left, *right}, key=lambda label: (-left[label], -right[label], label))
        return cls(of, tuple((label, left[label], right[label]) for label in order))

    def alike(self) -> list[str]:
        """Labels that differ from another in case or white space alone, with that one."""
        plain: dict[str, list[str]] = {}
        for label, _, _ in self.rows:
            plain.setdefault(" ".join(label.casefold().replace("_", " ").split()), []).append(label)
        return [", ".join(map(repr, each)) for each in plain.values() if len(each) > 1]

    def as_dict(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "of": self.of,
            "rows": [
                {"name": name, "train": train, "validation": validation}
                for name, train, validation in self.rows
            ],
        }


@dataclass(frozen=True)
class Found:
    """Something that was found in places.

    Args:
        what: in words, for any number.
        count: how often.
        places: where, the first few.
    """

    what: str
    count: int
    places: tuple[str, ...]

    @classmethod
    def of(cls, what: str, places: Sequence[str]) -> "Found":
        """Count places."""
        return cls(what, len(places), tuple(places[:PLACES]))

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self) | {"places": list(self.places)}


def repeated(samples: Sequence[T], content: Callable[[T], Hashable]) -> list[str]:
    """Return the places of samples that say what one before them says, and where that one is."""
    first: dict[Hashable, str] = {}
    places = []
    for sample in samples:
        said = content(sample)
        if said in first:
            places.append(f"{sample.place} (as {first[said]})")
        else:
            first[said] = sample.place
    return places


def contradictory(
    samples: Sequence[T], key: Callable[[T], str], answer: Callable[[T], Hashable]
) -> list[list[T]]:
    """Return the groups of samples with equal keys that have several answers, one for each."""
    groups: dict[str, dict[Hashable, T]] = {}
    for sample in samples:
        groups.setdefault(key(sample), {}).setdefault(answer(sample), sample)
    return [list(answers.values()) for answers in groups.values() if len(answers) > 1]
