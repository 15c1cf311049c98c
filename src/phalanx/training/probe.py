"""How long a validation will take, found before the first one: one pass of it, timed."""

import time

import torch

from phalanx.models.base import SequenceModel
from phalanx.tasks.language_modelling import PASS_POSITIONS, Batch, Text, total


@torch.no_grad()
def validation_seconds(model: SequenceModel, text: Text) -> float:
    """Seconds that ``evaluate(model, text)`` will take, about.

    Runs one of its passes twice, because the first one is slow, and counts the second. Draws
    nothing at random and leaves the model as it was.
    """
    windows = text.windows
    inputs_NT, targets_NT = next(windows.passes(PASS_POSITIONS))
    batch = Batch(inputs_NT, targets_NT, segments_BT=windows.segments(inputs_NT))
    batch = batch.to(model.embedding.weight.device)
    was_training = model.training
    model.eval()
    try:
        for _ in range(2):
            began = time.perf_counter()
            float(total(model, batch).nats)
            took = time.perf_counter() - began
    finally:
        model.train(was_training)
    return took * windows.positions / inputs_NT.numel()
