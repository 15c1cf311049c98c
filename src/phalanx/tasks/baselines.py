"""What a classifier must beat: the commonest label, and naive Bayes on words.

Both are counts of the training side, kept as JSON beside the model. A classifier that is no better
than naive Bayes has learned which words occur, and nothing of their order.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from phalanx.data.labelled import Example
from phalanx.errors import UsageError

FILE_NAME = "baseline.json"
MOST_WORDS = 50_000
MOST_COUNTS = 1_000_000
"""Counts of a word with a label that are kept at most: about 10 MB of JSON."""

# Chinese, Japanese and Korean are written without spaces: each character is a word.
_EAST_ASIAN = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_EAST_ASIAN}]|[^\W{_EAST_ASIAN}]+")
_REMEDY = "Expected what `phalanx train` wrote. Copy the model directory again."


def words(text: str) -> list[str]:
    """The words of a text, in lower case: runs of letters and digits, Han characters alone."""
    return _WORD.findall(text.lower())


class Baselines:
    """The commonest label, and multinomial naive Bayes with one count added to each (Laplace).

    The words that occur most often are kept, as many as there is room for.

    Args:
        rows: training rows of each label.
        counts: of each word, how often it occurs in rows of each label.
    """

    def __init__(self, rows: Mapping[str, int], counts: Mapping[str, Mapping[str, int]]) -> None:
        self.rows, self.counts = dict(rows), {word: dict(of) for word, of in counts.items()}
        self._labels = sorted(self.rows)
        self._word_ids = {word: number for number, word in enumerate(self.counts)}
        number_of = {label: number for number, label in enumerate(self._labels)}
        totals_C = np.zeros(len(self._labels))
        for of in self.counts.values():
            for label, count in of.items():
                totals_C[number_of[label]] += count
        all_rows = sum(self.rows.values())
        self._prior_C = np.log([self.rows[label] / all_rows for label in self._labels])
        self._empty_C = -np.log(totals_C + len(self.counts)) if self.counts else totals_C
        # How much more likely a word is with a label where it occurred: log(count + 1).
        self._gains = [
            [(number_of[label], math.log(count + 1)) for label, count in of.items()]
            for of in self.counts.values()
        ]

    @classmethod
    def fit(cls, examples: Iterable[Example]) -> Self:
        """Count the words of training rows; of a pair, those of both texts."""
        rows: Counter[str] = Counter()
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for example in examples:
            rows[example.label] += 1
            for word in _words_of(example):
                counts[word][example.label] += 1
        # Equal counts in the order of the words, so that the order of the rows decides nothing.
        often = sorted(counts, key=lambda word: (-counts[word].total(), word))[:MOST_WORDS]
        kept = int((np.cumsum([len(counts[word]) for word in often]) <= MOST_COUNTS).sum())
        return cls(rows, {word: counts[word] for word in often[:kept]})

    @property
    def majority(self) -> str:
        """The label with the most training rows; of equals, the first by name."""
        return max(self._labels, key=lambda label: self.rows[label])

    def naive_bayes(self, example: Example) -> str:
        """The likeliest label of a row; words that were not counted say nothing."""
        return self._labels[int(self.log_likelihoods(example).argmax())]

    def log_likelihoods(self, example: Example) -> NDArray[np.float64]:
        """The logarithm of P(label, words) up to a constant, labels in the order of their names."""
        known = [self._word_ids[word] for word in _words_of(example) if word in self._word_ids]
        sums_C: NDArray[np.float64] = self._prior_C + len(known) * self._empty_C
        for word in known:
            for label, gain in self._gains[word]:
                sums_C[label] += gain
        return sums_C

    def give(
        self, examples: Sequence[Example], labels: Sequence[str]
    ) -> dict[str, NDArray[np.int64]]:
        """The number among ``labels`` that each baseline gives each row, by the baseline's name."""
        of = {label: number for number, label in enumerate(labels)}
        always = np.full(len(examples), of[self.majority], dtype=np.int64)
        bayes = [of[self.naive_bayes(example)] for example in examples]
        return {"majority": always, "naive_bayes": np.array(bayes, dtype=np.int64)}

    def to_json(self) -> bytes:
        """The counts as JSON."""
        values = {"format": 1, "rows": self.rows, "words": self.counts}
        return (json.dumps(values, ensure_ascii=False, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, labels: Sequence[str], place: str) -> Self:
        """What ``to_json`` wrote.

        Args:
            data: the content of the file.
            labels: the model's; no others may occur.
            place: where it came from, for errors.

        Raises:
            UsageError: it is malformed.
        """
        try:
            values = json.loads(data)
            rows, counts = values["rows"], values["words"]
            known = set(labels)
            sound = (
                values["format"] == 1
                and _are_counts(rows, known)
                and sum(rows.values()) > 0
                and len(counts) <= MOST_WORDS
                and all(_are_counts(of, known & rows.keys()) for of in counts.values())
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise UsageError(f"{place}: it is no file of baselines. {_REMEDY}")
        return cls(rows, counts)


def _words_of(example: Example) -> list[str]:
    return words(example.text) + ([] if example.pair is None else words(example.pair))


def _are_counts(of: Any, labels: set[str]) -> bool:
    return of.keys() <= labels and all(
        type(count) is int and 0 < count < 2**62 for count in of.values()
    )
