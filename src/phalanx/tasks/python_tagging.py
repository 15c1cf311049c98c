"""Labelling every token of Python source: an encoder answers for all positions in one pass."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from phalanx.data.batches import IGNORED
from phalanx.data.python_tags import TaggedWindows
from phalanx.inference.passes import PASS_POSITIONS, evaluating
from phalanx.models.base import SequenceModel
from phalanx.tasks.positions import Batch, loss, total

__all__ = ["Batch", "Score", "batches", "evaluate", "loss", "majority_accuracy", "total"]


@dataclass(frozen=True)
class Score:
    """How well a model labels.

    Args:
        loss: nats per labelled token.
        accuracy: share of labelled tokens that got their label.
        tokens: labelled tokens.
    """

    loss: float
    accuracy: float
    tokens: int

    def as_dict(self) -> dict[str, float]:
        """The figures under the names that logs and JSON use."""
        return {"loss": self.loss, "accuracy": self.accuracy}


def batches(windows: TaggedWindows, batch_size: int, seed: int) -> Callable[[int], Batch]:
    """The batch of each step: a pure function of (seed, step).

    Batches of full windows carry no lengths, so that only those with the last window are padded.
    """
    length = windows.inputs_NT.shape[1]

    def batch(step: int) -> Batch:
        inputs_BT, labels_BT, lengths_B = windows.batch(step, batch_size, seed)
        full = int(lengths_B.min()) == length
        return Batch(inputs_BT, labels_BT, None if full else lengths_B)

    return batch


@torch.no_grad()
def evaluate(model: SequenceModel, windows: TaggedWindows) -> Score:
    """Score a model on all windows, every labelled token counted once."""
    device = model.embedding.weight.device
    length = windows.inputs_NT.shape[1]
    rows = max(1, PASS_POSITIONS // length)
    nats, right, count = 0.0, 0, 0
    with evaluating(model):
        for at in range(0, len(windows.inputs_NT), rows):
            part = slice(at, at + rows)
            batch = Batch(
                windows.inputs_NT[part], windows.labels_NT[part], windows.lengths_N[part]
            ).to(device)
            scores_BTV = model(batch.inputs_BT, batch.rows).float()
            wanted_BT = batch.targets_BT != IGNORED
            labels_N = batch.targets_BT[wanted_BT]
            scores_NV = scores_BTV[wanted_BT]
            nats += float(torch.nn.functional.cross_entropy(scores_NV, labels_N, reduction="sum"))
            right += int((scores_NV.argmax(-1) == labels_N).sum())
            count += len(labels_N)
    return Score(nats / count, right / count, count)


def majority_accuracy(train: TaggedWindows, validation: TaggedWindows) -> float:
    """Accuracy on ``validation`` of always guessing the commonest label of ``train``."""
    learned = train.label_counts()
    commonest = max(learned, key=lambda label: learned[label])
    counts = validation.label_counts()
    return counts[commonest] / sum(counts.values())
