"""Runs on texts of their own, each batched with others of about its length."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phalanx.data.length_batches import LengthBatches, Lengths, in_order
from phalanx.inference.passes import PASS_POSITIONS
from phalanx.tasks.batch import TrainingBatch
from phalanx.training.prepared import Prepared, StepShapes
from phalanx.training.probe import pass_seconds


@dataclass(frozen=True, kw_only=True)
class RowsPrepared(Prepared):
    """A run whose samples are texts, or pairs of them. N: samples; K: 1, or 2 for pairs.

    Args:
        lengths: tokens of each training sample, shape (N,) or (N, 2) of source and target.
        validation_lengths: those of the validation side.
        order: which samples make the batch of a step.
    """

    lengths: Lengths
    validation_lengths: Lengths
    order: LengthBatches

    @abstractmethod
    def batch(self, samples_B: NDArray[np.int64], epoch: int) -> TrainingBatch:
        """The training samples of these numbers, as they are in that epoch."""

    @abstractmethod
    def zeros(self, rows: int, *lengths: int) -> TrainingBatch:
        """A batch of zeros: so many rows, all of the given lengths (one, or source and target)."""

    def batches(self) -> Callable[[int], TrainingBatch]:
        """See Prepared."""
        return lambda step: self.batch(self.order.rows(step), step // self.order.count)

    @property
    def epoch_tokens(self) -> int:
        """See Prepared."""
        return int(self.lengths.sum())

    def validation_seconds(self, model: Any) -> float:
        """See Prepared: a pass over its longest batch, timed, for all of its positions."""
        rows, *longest = _largest(self.validation_lengths)
        batch = self.zeros(rows, *longest).to(model.embedding.weight.device)
        seconds = pass_seconds(model, batch, self.total)
        return seconds * int(self.validation_lengths.sum()) / max(1, rows * sum(longest))

    def shapes(self) -> StepShapes:
        """See Prepared."""
        most = self.config.train.most_rows
        rows, *longest = self.order.largest(most)
        return StepShapes(
            total=self.total,
            rows=most,
            step=lambda wanted: self.zeros(*self.order.largest(wanted)),
            validation=lambda: self.zeros(*_largest(self.validation_lengths)),
            typical=lambda: (self.zeros(*self.order.typical), 1),
            tokens=round(self.epoch_tokens / self.order.count),
            positions=rows * sum(longest),
        )


def _largest(lengths: Lengths) -> tuple[int, ...]:
    """(rows, longest) of the pass with the most positions; (rows, source, target) of pairs."""
    lengths_NK = lengths[:, None] if lengths.ndim == 1 else lengths
    shapes = [
        (len(rows), *map(int, lengths_NK[rows].max(0)))
        for rows in in_order(lengths, PASS_POSITIONS)
    ]
    return max(shapes, key=lambda shape: shape[0] * sum(shape[1:]))
