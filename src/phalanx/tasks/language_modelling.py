"""Predicting each token from those before it, by teacher forcing: all positions in one pass.

The true tokens are the inputs, whatever the model would have said, so no position waits for
another's answer. The loss of the one pass is the mean of the T losses of one position each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from phalanx.data.batches import LanguageWindows, ValidationWindows, validation_windows
from phalanx.data.tokenizers import Tokenizer
from phalanx.models.base import SequenceModel
from phalanx.tasks.positions import Batch, Total, loss, total

__all__ = ["Batch", "Score", "Text", "Total", "batches", "evaluate", "loss", "total"]

# Positions of one pass without gradients; more do not make a product faster.
PASS_POSITIONS = 8192


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text.

    Args:
        loss: nats per token.
        tokens: predicted tokens: each token of the text but the first, once.
        bytes: bytes of UTF-8 that those tokens stand for.
    """

    loss: float
    tokens: int
    bytes: int

    @property
    def perplexity(self) -> float:
        """exp(loss): as uncertain as a choice among so many equally likely tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text; unlike the loss it compares models of different tokenizers."""
        return self.loss * self.tokens / math.log(2) / self.bytes if self.bytes else math.nan

    def as_dict(self) -> dict[str, float]:
        """The figures under the names that logs and JSON use."""
        return {
            "loss": self.loss,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
        }


@dataclass(frozen=True)
class Text:
    """A text to be judged on: windows that hold each of its targets once.

    Args:
        windows: the windows.
        bytes: bytes of UTF-8 that the targets stand for.
        unknown: tokens that stand for a character outside the vocabulary.
    """

    windows: ValidationWindows
    bytes: int
    unknown: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, texts: list[str], length: int) -> "Text":
        """Documents in a row, cut into windows of ``length`` positions.

        Raises:
            UsageError: fewer than two tokens.
        """
        ids_N = tokenizer.encode_documents(texts)
        windows = validation_windows(ids_N, length)
        unknown = 0
        if tokenizer.unknown_id is not None:
            unknown = int((ids_N == tokenizer.unknown_id).sum())
        return cls(windows, int(tokenizer.byte_lengths(ids_N[1:]).sum()), unknown)


def batches(windows: LanguageWindows, batch_size: int) -> Callable[[int], Batch]:
    """The batch of each step: a pure function of (seed, step)."""
    return lambda step: Batch(*windows.batch(step, batch_size))


@torch.no_grad()
def evaluate(model: SequenceModel, text: Text) -> Score:
    """Score a model on a whole text by passes over all its windows, every position counted once.

    The model is put into evaluation mode meanwhile.
    """
    windows, device = text.windows, model.embedding.weight.device
    length = windows.inputs_NT.shape[1]
    # All windows but the last are full; the last is cut to its length, so that nothing is padded.
    whole, rest = len(windows.lengths_N) - 1, int(windows.lengths_N[-1])
    rows = max(1, PASS_POSITIONS // length)
    parts = [slice(at, min(at + rows, whole)) for at in range(0, whole, rows)]
    passes = [Batch(windows.inputs_NT[part], windows.targets_NT[part]) for part in parts]
    passes.append(Batch(windows.inputs_NT[whole:, :rest], windows.targets_NT[whole:, :rest]))
    was_training = model.training
    model.eval()
    try:
        nats = sum(float(total(model, batch.to(device)).nats.double()) for batch in passes)
    finally:
        model.train(was_training)
    return Score(nats / windows.positions, windows.positions, text.bytes)
