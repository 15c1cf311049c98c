"""What a tagger must beat: the commonest tag, and for each word the tag that it had most often.

Both are counts of the training side, kept as JSON beside the model. A tagger that is no better than
the second has learned a list of words, and nothing of what stands around them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from phalanx.data.samples import Sentence
from phalanx.errors import UsageError

FILE_NAME = "baseline.json"
MAJORITY, PER_WORD = "majority tag", "most frequent tag"


@dataclass(frozen=True)
class Baselines:
    """The tags that the training side had most often.

    Args:
        majority: the commonest of all; also that of words not seen.
        tags: of the words whose commonest tag is another.
    """

    majority: str
    tags: Mapping[str, str]

    @classmethod
    def fit(cls, sentences: Iterable[Sentence]) -> Self:
        """Count the tags of at least one sentence; equal counts go by the order of the names."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                counts[word][tag] += 1
        majority = _commonest(sum(counts.values(), Counter()))
        best = {word: _commonest(tags) for word, tags in sorted(counts.items())}
        return cls(majority, {word: tag for word, tag in best.items() if tag != majority})

    def give(self, sentences: Iterable[Sentence]) -> dict[str, list[list[str]]]:
        """The tags that each baseline gives to the words of sentences."""
        words = [sentence.words for sentence in sentences]
        return {
            MAJORITY: [[self.majority] * len(each) for each in words],
            PER_WORD: [self._of(each) for each in words],
        }

    def _of(self, words: Sequence[str]) -> list[str]:
        return [self.tags.get(word, self.majority) for word in words]

    def to_json(self) -> bytes:
        """The baselines as a file."""
        values = {"majority": self.majority, "tags": self.tags}
        return json.dumps(values, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes, source: str) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: it is no such file.
        """
        try:
            values = json.loads(data)
            majority, tags = values["majority"], values["tags"]
            texts = (majority, *tags, *tags.values())
            sound = all(isinstance(text, str) for text in texts)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise UsageError(
                f"{source} holds no baselines of a tagger. Expected what training kept there. "
                "Train again, or take the file away to evaluate without baselines."
            )
        return cls(majority, tags)


def _commonest(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))
