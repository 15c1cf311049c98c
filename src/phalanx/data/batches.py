"""Windows of a token stream: random batches to train on, and every position once to validate on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phalanx.data.order import random_bits, sample_at
from phalanx.errors import UsageError

IGNORED = -100  # the target that torch's cross entropy leaves out by default

# A stream of its own for the offsets: no sample has a negative index.
_OFFSET_INDEX = np.array([-1], dtype=np.int64)


class LanguageWindows:
    """Training samples of a language model: windows of ``length + 1`` tokens, in keyed order.

    The stream has N - 1 pairs (token, next token). In each epoch windows of ``length`` pairs lie
    end to end from an offset that the epoch draws, and each is seen once: no pair comes twice in an
    epoch, and the cuts fall elsewhere in the next. What the windows leave over, fewer than two
    windows, lies at the ends of the stream, in other parts each time.

    ``batch(step)`` is a pure function of (seed, step): resuming needs no state, and the models of a
    comparison see the same samples.

    Args:
        tokens: the stream, shape (N,), integers; a mapped file is read where windows lie alone.
        length: positions of a window, T.
        seed: of the order and the offsets.
        end_id: the token between documents, where windows are to keep them apart; None: a window
            reads on from one document into the next.

    Raises:
        UsageError: the stream is shorter than one window.
    """

    def __init__(
        self,
        tokens: NDArray[np.integer[Any]],
        length: int,
        seed: int,
        end_id: int | None = None,
    ) -> None:
        if length < 1:
            raise UsageError(
                f"A context of {length} tokens holds no text. Expected at least 1. Set a longer "
                "context."
            )
        if len(tokens) < length + 1:
            raise UsageError(
                f"The training text has {len(tokens)} tokens, and a context of {length} needs at "
                f"least {length + 1}. Give more text or set a shorter context."
            )
        self.tokens = np.asarray(tokens)  # without the type of a mapped file, which slows indexing
        self.length = length
        self.seed = seed
        self.end_id = end_id
        pairs = len(tokens) - 1
        # One window fewer than fit, where that leaves any: room for the cuts to move, while every
        # epoch has the same number, which is what makes a batch computable from its step.
        self.count = max(1, pairs // length - 1)
        self._offsets = pairs - self.count * length + 1

    def offset(self, epoch: int) -> int:
        """Return where the first window of an epoch starts."""
        return int(random_bits(self.seed, epoch, _OFFSET_INDEX)[0] % np.uint64(self._offsets))

    def sample_ids(self, step: int, batch_size: int) -> NDArray[np.int64]:
        """Return where each sample of a step starts in the stream, shape (B,)."""
        first = step * batch_size
        positions = np.arange(first, first + batch_size, dtype=np.int64)
        epochs, which = np.unique(positions // self.count, return_inverse=True)
        offsets = np.array([self.offset(int(epoch)) for epoch in epochs], dtype=np.int64)
        return offsets[which] + sample_at(self.seed, positions, self.count) * self.length

    def batch(self, step: int, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return inputs_BT and targets_BT (int64) of a step, counted from 0."""
        return self.take(self.sample_ids(step, batch_size))

    def take(self, starts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return inputs_BT and targets_BT (int64) of the windows at ``starts``; a worker's share of
        a batch is ``take(sample_ids(step, batch_size)[rank::workers])``."""
        return _cut(self.tokens, starts, self.length)

    def segments(self, inputs_BT: Tensor) -> Tensor | None:
        """Return which document of its window each position belongs to; None: not kept apart."""
        return segments(inputs_BT, self.end_id)


class ValidationWindows:
    """Windows of a stream to be judged on, not overlapping, cut when they are asked for.

    All of the stream's windows, which hold each of its N - 1 targets once, so that a mean over them
    depends on no sampling; the last one may be shorter. Of a stream with more than ``most`` targets
    whole windows that lie evenly over it.

    Args:
        tokens: the stream, shape (N,), integers.
        length: positions of a window, T.
        most: targets to be judged by at most, though at least a window's; None: all.
        end_id: see ``LanguageWindows``.

    Attributes:
        positions: targets in all windows.

    Raises:
        UsageError: the stream has no target, or the length is below 1.
    """

    def __init__(
        self,
        tokens: NDArray[np.integer[Any]],
        length: int,
        most: int | None = None,
        end_id: int | None = None,
    ) -> None:
        if length < 1 or len(tokens) < 2:
            raise UsageError(
                f"The text to judge by has {len(tokens)} tokens and the context is {length}. "
                "Expected at least 2 tokens and a context of at least 1. Give more text."
            )
        self.tokens = np.asarray(tokens)
        self.length = length
        self.end_id = end_id
        pairs = len(tokens) - 1
        whole = pairs // length
        if most is None or most >= pairs or whole == 0:
            self._all = self._count = -(-pairs // length)
            self.positions = pairs
        else:
            self._all, self._count = whole, min(whole, max(1, most // length))
            self.positions = self._count * length

    def __len__(self) -> int:
        return self._count

    def take(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Return inputs_NT and targets_NT (int64) of the windows ``first`` to ``last - 1``.

        The last window of all is to be taken alone: it may be shorter than T.
        """
        starts = np.arange(first, last, dtype=np.int64) * self._all // self._count * self.length
        width = min(self.length, len(self.tokens) - 1 - int(starts[-1]))
        return _cut(self.tokens, starts, width)

    def passes(self, positions: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs_NT and targets_NT of all windows in order, about ``positions`` at a time."""
        rows, last = max(1, positions // self.length), self._count - 1
        for at in range(0, last, rows):
            yield self.take(at, min(at + rows, last))
        yield self.take(last, self._count)

    def segments(self, inputs_NT: Tensor) -> Tensor | None:
        """Return which document of its window each position belongs to; None: not kept apart."""
        return segments(inputs_NT, self.end_id)


def segments(inputs_BT: Tensor, end_id: int | None) -> Tensor | None:
    """Number the documents of each row, ascending along it; the end of one begins the next.

    A document of tokens t1 to tn is the segment (end, t1, ..., tn), whose targets are
    (t1, ..., tn, end): so its first token has something to be predicted from.
    """
    return None if end_id is None else (inputs_BT == end_id).cumsum(1)


def _cut(
    tokens: NDArray[np.integer[Any]], starts: NDArray[np.int64], length: int
) -> tuple[Tensor, Tensor]:
    window = tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64)
    inputs, targets = window[:, :-1].copy(), window[:, 1:].copy()
    return torch.from_numpy(inputs), torch.from_numpy(targets)
