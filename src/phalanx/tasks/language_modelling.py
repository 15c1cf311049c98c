"""Predicting each token from those before it, by teacher forcing: all positions in one pass.

The true tokens are the inputs, whatever the model would have said, so no position waits for
another's answer. The loss of the one pass is the mean of the T losses of one position each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.data.batches import LanguageWindows, ValidationWindows
from phalanx.data.tokenizers import Tokenizer
from phalanx.inference.passes import PASS_POSITIONS, evaluating
from phalanx.models.base import SequenceModel
from phalanx.tasks.positions import Batch, Total, loss, total

__all__ = ["Batch", "Score", "Text", "Total", "batches", "evaluate", "loss", "total"]

# Positions of one pass without gradients; more do not make a product faster.
_COUNTED_POSITIONS = 2**20


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text.

    Args:
        loss: nats per token.
        tokens: predicted tokens: each token of the text but the first, once.
        bytes: bytes of UTF-8 that those tokens stand for; None: see ``Text``.
    """

    loss: float
    tokens: int
    bytes: int | None

    @property
    def perplexity(self) -> float:
        """exp(loss): as uncertain as a choice among so many equally likely tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text; unlike the loss it compares models of different tokenizers.

        NaN where the bytes are not known.
        """
        return self.loss * self.tokens / math.log(2) / self.bytes if self.bytes else math.nan

    def as_dict(self) -> dict[str, float]:
        """The figures that are known, under the names that logs and JSON use."""
        figures = {"loss": self.loss, "perplexity": self.perplexity}
        return figures if self.bytes is None else {**figures, "bits_per_byte": self.bits_per_byte}


@dataclass(frozen=True)
class Text:
    """A text to be judged on: windows that hold each of its targets once.

    Args:
        windows: the windows.
        bytes: bytes of UTF-8 that the targets stand for, where an unknown character counts as
            U+FFFD. None where the tokenizer changes the text in other ways too (words and WordPiece
            leave out white space, others may lower case): its tokens do not add up to the text.
        unknown: targets that stand for a character or a word outside the vocabulary.
    """

    windows: ValidationWindows
    bytes: int | None
    unknown: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, texts: list[str], length: int) -> "Text":
        """Documents in a row, cut into windows of ``length`` positions.

        Raises:
            UsageError: fewer than two tokens.
        """
        return cls.over(tokenizer, tokenizer.encode_documents(texts), length)

    @classmethod
    def over(
        cls,
        tokenizer: Tokenizer,
        ids_N: NDArray[np.integer[Any]],
        length: int,
        most: int | None = None,
        end_id: int | None = None,
    ) -> "Text":
        """A stream of tokens, perhaps a mapped file; see ``ValidationWindows``.

        Raises:
            UsageError: fewer than two tokens.
        """
        windows = ValidationWindows(ids_N, length, most, end_id)
        size = unknown = 0
        for _, targets_NT in windows.passes(_COUNTED_POSITIONS):
            targets = targets_NT.numpy()
            size += int(tokenizer.byte_lengths(targets).sum())
            if tokenizer.unknown_id is not None:
                unknown += int((targets == tokenizer.unknown_id).sum())
        kept = tokenizer.exact or (tokenizer.kind == "characters" and not tokenizer.normalizes)
        return cls(windows, size if kept else None, unknown)


def batches(windows: LanguageWindows, batch_size: int) -> Callable[[int], Batch]:
    """The batch of each step: a pure function of (seed, step)."""

    def batch(step: int) -> Batch:
        starts = windows.sample_ids(step, batch_size)
        inputs_BT, targets_BT = windows.take(starts)
        samples_B = torch.from_numpy(starts)
        return Batch(inputs_BT, targets_BT, None, windows.segments(inputs_BT), samples_B)

    return batch


@torch.no_grad()
def evaluate(model: SequenceModel, text: Text) -> Score:
    """Score a model on a whole text by passes over all its windows, every position counted once.

    The model is put into evaluation mode meanwhile.
    """
    windows, device = text.windows, model.embedding.weight.device
    nats = 0.0
    with evaluating(model):
        for inputs_NT, targets_NT in windows.passes(PASS_POSITIONS):
            batch = Batch(inputs_NT, targets_NT, segments_BT=windows.segments(inputs_NT))
            nats += float(total(model, batch.to(device)).nats.double())
    return Score(nats / windows.positions, windows.positions, text.bytes)
