"""Batches of texts of about one length, so that little of them is padding.

Samples are sorted by length and cut into batches; those of equal length are put in another order in
each epoch, and so are the batches. Where the cuts fall depends on the sorted lengths alone, so that
every epoch has the same number of batches, and a batch can be computed from its step.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phalanx.data.order import random_bits
from phalanx.errors import UsageError

Lengths = NDArray[np.integer[Any]]
MOST_PADDING = 0.1  # of a pass without gradients


class LengthBatches:
    """Training batches of samples of uneven length, in keyed order: each sample once an epoch.

    ``rows(step)`` is a pure function of (seed, step): resuming needs no state.

    Args:
        lengths: tokens of each sample, shape (N,); or (N, 2) of a source and a target.
        batch_size: samples of a batch where ``batch_tokens`` is None: so many, or one fewer where
            batches of equal size come out at that.
        batch_tokens: bounds rows x longest, padding included (of source and target, each).
        seed: of the order.

    Attributes:
        count: batches of an epoch.
        padding: share of the positions of an epoch that are padding.

    Raises:
        UsageError: no sample, or one with more tokens than ``batch_tokens``.
    """

    def __init__(
        self, lengths: Lengths, *, batch_size: int, batch_tokens: int | None, seed: int
    ) -> None:
        if not len(lengths):
            raise UsageError("There is no text to learn from. Expected at least one. Give more.")
        lengths_NK = _columns(lengths)
        longest = int(lengths_NK.max())
        if batch_tokens is not None and longest > batch_tokens:
            raise UsageError(
                f"The longest text has {longest} tokens and a batch {batch_tokens} "
                f"(train.batch_tokens). Expected a batch that holds it: at least {longest}. Set "
                "more tokens for a batch, or a lower train.sequence_length."
            )
        self.seed = seed
        self._ranks = _ranks(lengths_NK)
        sorted_NK = lengths_NK[np.argsort(self._ranks, kind="stable")]
        self._cuts = (
            _even_cuts(len(lengths_NK), batch_size)
            if batch_tokens is None
            else _cuts(sorted_NK, batch_tokens)
        )
        self.count = len(self._cuts) - 1
        longest_CK = np.maximum.reduceat(sorted_NK, self._cuts[:-1])
        self._shapes = [
            (int(rows), *map(int, longest_K))
            for rows, longest_K in zip(np.diff(self._cuts), longest_CK, strict=True)
        ]
        positions = int((np.diff(self._cuts)[:, None] * longest_CK).sum())
        self.padding = 1 - int(lengths_NK.sum()) / max(1, positions)
        # Two epochs, as a batch behind another may be the first of the next.
        self._order = lru_cache(maxsize=2)(self._order_of)

    def largest(self, rows: int) -> tuple[int, ...]:
        """The shape with the most positions that at most ``rows`` rows of a batch have.

        (rows, longest); of two lengths (rows, source, target).
        """
        shapes = [(min(rows, count), *longest) for count, *longest in self._shapes]
        return max(shapes, key=lambda shape: (shape[0] * sum(shape[1:]), shape))

    @property
    def typical(self) -> tuple[int, ...]:
        """The shape of the batch in the middle of all, by positions; as ``largest``."""
        by_positions = sorted(self._shapes, key=lambda shape: shape[0] * sum(shape[1:]))
        return by_positions[len(by_positions) // 2]

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return which samples make the batch of a step, counted from 0."""
        epoch, place = divmod(step, self.count)
        order_N, batches = self._order(epoch)
        batch = int(batches[place])
        return order_N[self._cuts[batch] : self._cuts[batch + 1]].copy()

    def _order_of(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The samples by length, and the order in which the batches cut from them come."""
        count = len(self._ranks)
        keys_N = random_bits(self.seed, epoch, np.arange(count, dtype=np.int64))
        # A stream of their own: no sample has a negative index.
        keys_C = random_bits(self.seed, epoch, -1 - np.arange(self.count, dtype=np.int64))
        return np.lexsort((keys_N, self._ranks)), np.argsort(keys_C, kind="stable")


def in_order(lengths: Lengths, positions: int) -> list[NDArray[np.int64]]:
    """Return the samples in batches of about one length, for passes without gradients.

    At most a tenth of a batch is padding. Lengths that differ more share none: a pass over few rows
    costs little more than its positions.

    Args:
        lengths: tokens of each sample, shape (N,) or (N, 2).
        positions: bounds rows x longest; a longer sample makes a batch of its own.

    Returns:
        int64 indices of each batch; each sample is in one of them.
    """
    if not len(lengths):
        return []
    lengths_NK = _columns(lengths)
    order_N = np.argsort(_ranks(lengths_NK), kind="stable")
    cuts = _cuts(lengths_NK[order_N], positions, MOST_PADDING)
    return [order_N[first:last] for first, last in pairwise(cuts)]


def padded(samples: Sequence[NDArray[np.integer[Any]]], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Return samples as one tensor (B, T), int64, ``fill`` behind each; and lengths_B, int64."""
    lengths_B = np.array([len(sample) for sample in samples], dtype=np.int64)
    ids_BT = np.full((len(samples), int(lengths_B.max(initial=0))), fill, dtype=np.int64)
    for row, sample in zip(ids_BT, samples, strict=True):
        row[: len(sample)] = sample
    return torch.from_numpy(ids_BT), torch.from_numpy(lengths_B)


def _columns(lengths: Lengths) -> NDArray[np.int64]:
    lengths_NK = lengths.astype(np.int64)
    return lengths_NK[:, None] if lengths_NK.ndim == 1 else lengths_NK


def _ranks(lengths_NK: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each sample's lengths among all that there are; equal lengths, equal ranks.

    Of pairs the targets ascend, and among equal ones the sources, up and down in turn: where the
    target grows by one, the source does not fall back.
    """
    targets_N = lengths_NK[:, -1]
    if lengths_NK.shape[1] == 1:
        return targets_N
    _, turns_N = np.unique(targets_N, return_inverse=True)
    sources_N = np.where(turns_N % 2, -lengths_NK[:, 0], lengths_NK[:, 0])
    pairs_N2 = np.stack((targets_N, sources_N), 1)
    ranks: NDArray[np.int64] = np.unique(pairs_N2, axis=0, return_inverse=True)[1].ravel()
    return ranks


def _even_cuts(count: int, batch_size: int) -> NDArray[np.int64]:
    """Where batches begin that differ by one sample at most, and the end."""
    batches = -(-count // batch_size)
    return np.arange(batches + 1, dtype=np.int64) * count // batches


def _cuts(sorted_NK: NDArray[np.int64], positions: int, padding: float = 1.0) -> NDArray[np.int64]:
    """Where batches begin whose rows x longest is within ``positions``, and the end.

    From the longest on: what is left over makes a small batch of the shortest. Of no batch more
    than the share ``padding`` is padding.
    """
    lengths_NK = np.maximum(sorted_NK[::-1], 1)
    cuts, start = [0], 0
    while start < len(lengths_NK):
        most = max(1, positions // int(lengths_NK[start].max()))
        rest_RK = lengths_NK[start : start + most]
        longest_RK = np.maximum.accumulate(rest_RK, axis=0)
        rows_R = np.arange(1, len(rest_RK) + 1)
        fits_R = rows_R * longest_RK.max(1) <= positions
        fits_R &= rest_RK.sum(1).cumsum() >= (1 - padding) * rows_R * longest_RK.sum(1)
        start += int(np.flatnonzero(fits_R).max(initial=0)) + 1
        cuts.append(start)
    return len(lengths_NK) - np.array(cuts[::-1], dtype=np.int64)
