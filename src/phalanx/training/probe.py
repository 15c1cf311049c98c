"""How long a validation will take, found before the first one: one pass of it, timed."""

import time
from collections.abc import Callable
from typing import Any

import torch

from phalanx.inference.passes import PASS_POSITIONS, evaluating
from phalanx.models.base import SequenceModel
from phalanx.tasks.batch import Total, TrainingBatch
from phalanx.tasks.language_modelling import Batch, Text, total


def validation_seconds(model: SequenceModel, text: Text) -> float:
    """Seconds that ``evaluate(model, text)`` will take, about.

    Times one of its passes. Draws nothing at random and leaves the model as it was.
    """
    windows = text.windows
    inputs_NT, targets_NT = next(windows.passes(PASS_POSITIONS))
    batch = Batch(inputs_NT, targets_NT, segments_BT=windows.segments(inputs_NT))
    batch = batch.to(model.embedding.weight.device)
    return pass_seconds(model, batch, total) * windows.positions / inputs_NT.numel()


@torch.no_grad()
def pass_seconds(
    model: Any, batch: TrainingBatch, total: Callable[[Any, Any, float], Total]
) -> float:
    """Seconds of one pass over a batch, which lies where the model does: the second of two."""
    with evaluating(model):
        for _ in range(2):  # the first is slow
            began = time.perf_counter()
            float(total(model, batch, 0.0).nats)
            took = time.perf_counter() - began
    return took
