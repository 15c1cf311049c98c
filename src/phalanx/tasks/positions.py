"""What language modelling and tagging share: an answer at every position, learned in one pass."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name
from torch.utils.checkpoint import checkpoint

from phalanx.data.batches import IGNORED
from phalanx.models.base import Model, SequenceModel
from phalanx.rows import Rows
from phalanx.shapes import Ids, PerRow, Sequence
from phalanx.tasks.batch import TensorBatch, Total

# Scores of one chunk of positions, 64 MB in float32. Below it one product is faster than several.
CHUNK_SCORES = 2**24

__all__ = ["CHUNK_SCORES", "Batch", "Total", "loss", "total", "total_of"]


@dataclass(frozen=True)
class Batch(TensorBatch):
    """Inputs, and the answer wanted at each position.

    Args:
        inputs_BT: int64 tokens; any valid token at padding.
        targets_BT: int64; ``IGNORED`` where no answer is wanted.
        lengths_B: int64, real positions of each row; None where every row is full.
        segments_BT: int64, the number of the packed document that each position belongs to,
            ascending along a row; None where each row is one document.
        samples_B: int64, where each row's sample begins in the stream of training tokens: to name
            it by; None where there is no such stream.
    """

    inputs_BT: Ids
    targets_BT: Ids
    lengths_B: PerRow | None = None
    segments_BT: Ids | None = None
    samples_B: PerRow | None = None

    @property
    def rows(self) -> Rows | None:
        """The rows as the model takes them."""
        if self.segments_BT is not None:
            return Rows.packed(self.segments_BT, self.lengths_B)
        if self.lengths_B is None:
            return None
        return Rows.padded(self.lengths_B, self.inputs_BT.shape[1])

    @property
    def answers(self) -> int:
        """How many answers are wanted."""
        return int((self.targets_BT != IGNORED).sum())

    @property
    def tokens(self) -> int:
        """Real input tokens."""
        return self.inputs_BT.numel() if self.lengths_B is None else int(self.lengths_B.sum())


def total(model: SequenceModel, batch: Batch, label_smoothing: float = 0.0) -> Total:
    """The summed cross entropy, in nats, of all wanted answers of a batch in one pass.

    ``label_smoothing`` is the share of each answer that is spread evenly over all outputs (Szegedy
    et al. 2016, section 7): for training, never for judging a model. With many outputs the scores
    are made chunk by chunk and made again in the backward pass, so that all of them never exist at
    once.
    """
    y_BTD, _ = model.hidden(batch.inputs_BT, batch.rows)
    return total_of(model, y_BTD, batch.targets_BT, label_smoothing)


def total_of(model: Model, y_BTD: Sequence, targets_BT: Ids, label_smoothing: float = 0.0) -> Total:
    """The summed cross entropy (see ``total``) of what the model's last layer gave."""
    y_ND, targets_N = y_BTD.flatten(0, 1), targets_BT.flatten()
    answers = (targets_N != IGNORED).sum()
    config = model.config
    positions = max(1, CHUNK_SCORES // (config.outputs or config.vocabulary))
    if y_ND.shape[0] <= positions:
        return Total(_cross_entropy(model, y_ND, targets_N, label_smoothing), answers)
    losses = [
        checkpoint(_cross_entropy, model, y_CD, targets_C, label_smoothing, use_reentrant=False)
        for y_CD, targets_C in zip(y_ND.split(positions), targets_N.split(positions), strict=True)
    ]
    return Total(torch.stack(losses).sum(), answers)


def loss(model: SequenceModel, batch: Batch) -> Tensor:
    """The mean cross entropy, in nats, over the wanted answers of a batch: a scalar."""
    whole = total(model, batch)
    return whole.nats / whole.answers


def _cross_entropy(model: Model, y_ND: Tensor, targets_N: Tensor, label_smoothing: float) -> Tensor:
    # In float32 at least, whatever autocast made of the scores: a sum over many needs the digits.
    scores_NV = model.head(y_ND)
    scores_NV = scores_NV.to(torch.promote_types(scores_NV.dtype, torch.float32))
    return F.cross_entropy(
        scores_NV,
        targets_N,
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
