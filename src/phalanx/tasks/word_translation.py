"""What a translator must beat: each token translated by itself, in the order of the source.

Which token stands for which is learned from the pairs alone, by expectation maximisation (Brown et
al. 1993, IBM model 1): how often two tokens stand in a pair, shared among the tokens that could
have brought each one about. It knows no order and no context, so a model that is no better has
learned a dictionary.
"""

import json
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError

FILE_NAME = "baseline.json"
ROUNDS = 5
MOST_CELLS = 2_000_000
"""Pairs of tokens that are counted at most; of more data sentences that lie evenly over it."""

Tokens = Sequence[NDArray[np.integer[Any]]]


class WordTranslation:
    """A dictionary of tokens.

    Args:
        best: of each source token that was seen, the target token that it most likely stands for.
    """

    def __init__(self, best: dict[int, int]) -> None:
        self.best = best

    @classmethod
    def fit(cls, sources: Tokens, targets: Tokens, end_id: int) -> Self:
        """Learn from pairs; a source's end stands for what no word of it brings about.

        Args:
            sources: tokens of each source, its end the last.
            targets: tokens of each target, its end the last.
            end_id: the end.
        """
        cells = sum(len(s) * len(t) for s, t in zip(sources, targets, strict=True))
        stride = max(1, -(-cells // MOST_CELLS))
        source_N, target_N, place_N = _cells(sources[::stride], targets[::stride], end_id)
        if not len(source_N):
            return cls({})
        codes_N = source_N * (int(target_N.max()) + 1) + target_N
        keys_U, key_N = np.unique(codes_N, return_inverse=True)
        source_U, target_U = np.divmod(keys_U, int(target_N.max()) + 1)
        chance_U = np.ones(len(keys_U))
        for _ in range(ROUNDS):
            share_N = chance_U[key_N] / np.bincount(place_N, chance_U[key_N])[place_N]
            counts_U = np.bincount(key_N, share_N, len(keys_U))
            chance_U = counts_U / np.bincount(source_U, counts_U)[source_U]
        # The last of each source in this order is its likeliest; of equal ones the first id.
        order_U = np.lexsort((-target_U, chance_U, source_U))
        pairs = zip(source_U[order_U].tolist(), target_U[order_U].tolist(), strict=True)
        return cls({source: target for source, target in pairs if source != end_id})

    def translate(self, tokenizer: Tokenizer, text: str) -> str:
        """The text token by token; one that was never seen gives nothing."""
        ids = (self.best.get(token) for token in tokenizer.encode(text))
        return tokenizer.decode(token for token in ids if token is not None)

    def to_json(self) -> bytes:
        """The dictionary as a file's content."""
        return (json.dumps({"word_translation": sorted(self.best.items())}) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, place: str) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: it is something else; ``place`` names it.
        """
        try:
            pairs = json.loads(data)["word_translation"]
            return cls({int(source): int(target) for source, target in pairs})
        except (ValueError, TypeError, LookupError, RecursionError):
            raise UsageError(
                f"{place}: no dictionary of tokens. Expected what `phalanx train` wrote. Copy the "
                "model directory again."
            ) from None


def _cells(
    sources: Tokens, targets: Tokens, end_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of a source and a target token of each sentence; the place is the target's."""
    source_parts, target_parts, place_parts, first = [], [], [], 0
    for source, target in zip(sources, targets, strict=True):
        words = target[target != end_id]
        source_parts.append(np.tile(source, len(words)))
        target_parts.append(np.repeat(words, len(source)))
        place_parts.append(np.repeat(np.arange(first, first + len(words)), len(source)))
        first += len(words)
    parts = (source_parts, target_parts, place_parts)
    source_N, target_N, place_N = (
        np.concatenate([np.empty(0, np.int64), *part]).astype(np.int64) for part in parts
    )
    return source_N, target_N, place_N
