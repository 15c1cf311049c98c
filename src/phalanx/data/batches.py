"""Windows of a token stream: random batches to train on, and every position once to validate on."""

from typing import Any, NamedTuple

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
        tokens: the stream, shape (N,), integers.
        length: positions of a window, T.
        seed: of the order and the offsets.

    Raises:
        UsageError: the stream is shorter than one window.
    """

    def __init__(self, tokens: NDArray[np.integer[Any]], length: int, seed: int) -> None:
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
        self.tokens = tokens
        self.length = length
        self.seed = seed
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
        positions = starts[:, None] + np.arange(self.length + 1)
        window = self.tokens[positions].astype(np.int64)
        inputs, targets = window[:, :-1].copy(), window[:, 1:].copy()
        return torch.from_numpy(inputs), torch.from_numpy(targets)


class ValidationWindows(NamedTuple):
    """A whole stream in windows, every target once, the last window padded on the right.

    Attributes:
        inputs_NT: int64; 0 on padding.
        targets_NT: int64; ``IGNORED`` on padding.
        lengths_N: int64, positions of each window that are not padding; all but the last are T.
    """

    inputs_NT: Tensor
    targets_NT: Tensor
    lengths_N: Tensor

    @property
    def positions(self) -> int:
        """Targets that count: one fewer than the stream has tokens."""
        return int(self.lengths_N.sum())


def validation_windows(tokens: NDArray[np.integer[Any]], length: int) -> ValidationWindows:
    """Cut a stream of N tokens into all its windows of ``length`` positions, not overlapping.

    Each of the N - 1 targets appears exactly once, so a mean over them depends on no sampling.

    Raises:
        UsageError: the stream has no target, or the length is below 1.
    """
    if length < 1 or len(tokens) < 2:
        raise UsageError(
            f"The validation text has {len(tokens)} tokens and the context is {length}. Expected "
            "at least 2 tokens and a context of at least 1. Give more text."
        )
    pairs = len(tokens) - 1
    count = -(-pairs // length)
    inputs = np.zeros(count * length, dtype=np.int64)
    targets = np.full(count * length, IGNORED, dtype=np.int64)
    inputs[:pairs] = tokens[:-1]
    targets[:pairs] = tokens[1:]
    lengths = np.full(count, length, dtype=np.int64)
    lengths[-1] = pairs - (count - 1) * length
    return ValidationWindows(
        inputs_NT=torch.from_numpy(inputs.reshape(count, length)),
        targets_NT=torch.from_numpy(targets.reshape(count, length)),
        lengths_N=torch.from_numpy(lengths),
    )
