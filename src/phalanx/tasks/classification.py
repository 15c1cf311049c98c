"""Labelling whole texts: one answer a row, learned from the label that belongs to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.inference.classifying import on_device
from phalanx.shapes import Ids, PerRow
from phalanx.tasks.batch import TensorBatch, Total

Weights = Sequence[float]
"""Of each label; no tensor, as memory is estimated with tensors that have none."""


@dataclass(frozen=True)
class Batch(TensorBatch):
    """Texts, and the label wanted of each.

    Args:
        inputs_BT: int64 tokens; any valid token at padding.
        labels_B: int64, the number of each row's label.
        lengths_B: int64, real positions of each row; None where every row is full.
        types_BT: int64, the text of a pair that each token belongs to; None where there are none.
        samples_B: int64, the number of each row's example.
    """

    inputs_BT: Ids
    labels_B: PerRow
    lengths_B: PerRow | None = None
    types_BT: Ids | None = None
    samples_B: PerRow | None = None

    @property
    def answers(self) -> int:
        """How many answers are wanted: one a row."""
        return len(self.labels_B)

    @property
    def tokens(self) -> int:
        """Real input tokens."""
        return self.inputs_BT.numel() if self.lengths_B is None else int(self.lengths_B.sum())


def total(
    model: Any, batch: Batch, label_smoothing: float = 0.0, weights_C: Weights | None = None
) -> Total:
    """The summed cross entropy of a batch, in nats, and its rows.

    A row's loss, smoothing included, counts by the weight of its label. It is the rows that a mean
    is taken over, not their weights as in ``torch.nn.functional.cross_entropy``: a row weighs the
    same whatever shares its batch, and micro-batches add up.

    Args:
        model: a classifier.
        batch: on the model's device.
        label_smoothing: share of each answer that is spread evenly over all labels; for training.
        weights_C: of each label, see ``balanced``; None: all count alike.
    """
    inputs = (batch.inputs_BT, batch.lengths_B, batch.types_BT)
    scores_BC = model(*on_device(model, inputs, batch.inputs_BT.device))
    scores_BC = scores_BC.to(torch.promote_types(scores_BC.dtype, torch.float32))
    labels_B = batch.labels_B
    nats_B = F.cross_entropy(scores_BC, labels_B, reduction="none", label_smoothing=label_smoothing)
    if weights_C is not None:
        nats_B = nats_B * nats_B.new_tensor(weights_C)[labels_B]
    return Total(nats_B.sum(), labels_B.new_full((), len(labels_B)))


def loss(model: Any, batch: Batch) -> Tensor:
    """The mean cross entropy, in nats, over the rows of a batch: a scalar."""
    whole = total(model, batch)
    return whole.nats / whole.answers


def balanced(counts: Sequence[int]) -> Weights:
    """Weights by which every label counts alike, inverse to how often it occurs.

    Their mean over all rows is 1. A label without a row has weight 0.

    Args:
        counts: rows of each label.
    """
    even = sum(counts) / sum(count > 0 for count in counts)
    return tuple(even / count if count else 0.0 for count in counts)
