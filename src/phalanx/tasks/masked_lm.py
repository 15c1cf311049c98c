"""Guessing hidden tokens of a text from what stands on both sides of them, all in one pass.

Windows of the stream of tokens are read as in language modelling, but a share of their tokens is
hidden. Scores are made at the hidden positions alone, which is most of what a large vocabulary
costs.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phalanx.data.batches import IGNORED, LanguageWindows, ValidationWindows, segments
from phalanx.data.masking import is_text, mask_tokens
from phalanx.data.tokenizers import Tokenizer
from phalanx.data.wrapping import first_position
from phalanx.errors import UsageError
from phalanx.inference.passes import PASS_POSITIONS, evaluating
from phalanx.models import Encoder
from phalanx.rows import Rows
from phalanx.shapes import Ids, PerRow
from phalanx.tasks.batch import TensorBatch, Total
from phalanx.tasks.positions import CHUNK_SCORES, total_of

FILE_NAME = "baseline.json"
JUDGED_FRACTION = 0.15  # of the tokens are hidden from a model that is judged after training
_VALIDATION_SEED = 0  # the same tokens are hidden whatever the run's seed, so that losses compare
_COUNTED = 2**22  # tokens at once


@dataclass(frozen=True)
class Batch(TensorBatch):
    """Windows of text, all of one length, of which some tokens are to be guessed.

    Args:
        inputs_BT: int64 tokens as the model sees them.
        chosen_BK: int64, where the tokens to be guessed stand; 0 behind the last of a row.
        targets_BK: int64, which they are; ``IGNORED`` behind the last of a row.
        segments_BT: see ``positions.Batch``.
        samples_B: see ``positions.Batch``.
    """

    inputs_BT: Ids
    chosen_BK: Ids
    targets_BK: Ids
    segments_BT: Ids | None = None
    samples_B: PerRow | None = None

    @property
    def rows(self) -> Rows | None:
        """The rows as the model takes them."""
        return None if self.segments_BT is None else Rows.packed(self.segments_BT)

    @property
    def answers(self) -> int:
        """How many tokens are to be guessed."""
        return int((self.targets_BK != IGNORED).sum())

    @property
    def tokens(self) -> int:
        """Input tokens."""
        return self.inputs_BT.numel()


@dataclass(frozen=True)
class Score:
    """How well hidden tokens are guessed.

    Args:
        loss: nats per hidden token.
        accuracy: share of them whose likeliest answer is right.
        tokens: hidden tokens.
    """

    loss: float
    accuracy: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss): as uncertain as a choice among so many equally likely tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def as_dict(self) -> dict[str, float]:
        """The figures under the names that logs and JSON use."""
        return {"loss": self.loss, "accuracy": self.accuracy, "perplexity": self.perplexity}


@dataclass(frozen=True)
class Hiding:
    """How windows of a stream become rows of which tokens are hidden.

    A tokenizer with a ``cls`` id has it before every window, as before the texts that the model is
    to label afterwards.

    Args:
        tokenizer: of the tokens; it has a mask.
        fraction: of the tokens that are hidden.
        separate: whether positions see their own document alone.
    """

    tokenizer: Tokenizer
    fraction: float
    separate: bool = False

    def length(self, positions: int) -> int:
        """Tokens of a window that fills so many positions.

        Raises:
            UsageError: it would have none.
        """
        length = positions - first_position(self.tokenizer)
        if length < 1:
            raise UsageError(
                f"A context of {positions} tokens holds no text beside the one that begins it. "
                "Expected at least 2. Set a longer context."
            )
        return length

    def batch(
        self, ids_BT: Ids, samples_B: PerRow, seed: int, epoch: int | NDArray[np.int64]
    ) -> Batch:
        """The batch of windows; what is hidden depends on seed, epoch and sample alone."""
        if first_position(self.tokenizer):
            ids_BT = torch.nn.functional.pad(
                ids_BT, (1, 0), value=self.tokenizer.special_ids["cls"]
            )
        masked = mask_tokens(
            ids_BT,
            None,
            self.tokenizer,
            self.fraction,
            seed=seed,
            epoch=epoch,
            samples_B=samples_B,
        )
        end_id = self.tokenizer.end_id if self.separate else None
        return Batch(*masked, segments(ids_BT, end_id), samples_B)


@dataclass(frozen=True)
class Text:
    """A text to be judged on: windows that hold each of its tokens once, some of them hidden.

    Args:
        windows: the windows.
        hiding: what is hidden in them: the same tokens each time.
    """

    windows: ValidationWindows
    hiding: Hiding

    @classmethod
    def over(
        cls,
        hiding: Hiding,
        ids_N: NDArray[np.integer[Any]],
        positions: int,
        most: int | None = None,
    ) -> "Text":
        """A stream of tokens, in windows of so many positions; ``most`` as ``ValidationWindows``.

        Raises:
            UsageError: fewer than two tokens.
        """
        return cls(ValidationWindows(ids_N, hiding.length(positions), most), hiding)

    def passes(self) -> Iterator[Batch]:
        """Yield all windows in order, as many at a time as make a pass."""
        rows, last = max(1, PASS_POSITIONS // self.windows.length), len(self.windows) - 1
        starts = [*range(0, last, rows), last]  # the last one may be shorter, and comes alone
        for at in starts:
            end = len(self.windows) if at == last else min(at + rows, last)
            ids_BT, _ = self.windows.take(at, end)
            yield self.hiding.batch(ids_BT, torch.arange(at, end), _VALIDATION_SEED, 0)


def batches(windows: LanguageWindows, batch_size: int, hiding: Hiding) -> Callable[[int], Batch]:
    """The batch of each step: a pure function of (seed, step)."""

    def batch(step: int) -> Batch:
        starts = windows.sample_ids(step, batch_size)
        places = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
        ids_BT, _ = windows.take(starts)
        epochs = places // windows.count
        return hiding.batch(ids_BT, torch.from_numpy(starts), windows.seed, epochs)

    return batch


def total(model: Encoder, batch: Batch, label_smoothing: float = 0.0) -> Total:
    """The summed cross entropy, in nats, of all hidden tokens of a batch, in one pass."""
    return total_of(model, _chosen(model, batch), batch.targets_BK, label_smoothing)


@torch.no_grad()
def evaluate(model: Encoder, text: Text) -> Score:
    """Score a model on a whole text; it is put into evaluation mode meanwhile."""
    device = model.embedding.weight.device
    rows = max(1, CHUNK_SCORES // (model.config.outputs or model.config.vocabulary))
    nats, right, count = 0.0, 0, 0
    with evaluating(model):
        for batch in text.passes():
            here = batch.to(device)
            wanted_BK = here.targets_BK != IGNORED
            y_ND, targets_N = _chosen(model, here)[wanted_BK], here.targets_BK[wanted_BK]
            for y_CD, targets_C in zip(y_ND.split(rows), targets_N.split(rows), strict=True):
                scores_CV = model.head(y_CD).float()
                nats += float(
                    torch.nn.functional.cross_entropy(scores_CV, targets_C, reduction="sum")
                )
                right += int((scores_CV.argmax(-1) == targets_C).sum())
            count += len(targets_N)
    return _score(nats, right, count)


@dataclass(frozen=True)
class Unigram:
    """What a model must beat: guesses that look at no context, by how often each token occurs.

    Args:
        counts_V: int64, how often each token occurs in the training text; 0 for special tokens.
    """

    counts_V: NDArray[np.int64]

    @classmethod
    def fit(cls, tokenizer: Tokenizer, ids_N: NDArray[np.integer[Any]]) -> Self:
        """Count a stream of tokens, perhaps a mapped file."""
        counts_V = np.zeros(tokenizer.vocabulary, dtype=np.int64)
        for at in range(0, len(ids_N), _COUNTED):
            counts_V += np.bincount(ids_N[at : at + _COUNTED], minlength=len(counts_V))
        return cls(np.where(is_text(tokenizer), counts_V, 0))

    def evaluate(self, text: Text) -> Score:
        """Score it on a text; a token that did not occur counts as if it had once (Laplace)."""
        can_be = is_text(text.hiding.tokenizer)
        smoothed_V = np.where(can_be, self.counts_V + 1.0, 0.0)
        with np.errstate(divide="ignore"):  # no special token is ever hidden
            nats_V = -np.log(smoothed_V / smoothed_V.sum())
        commonest = int(self.counts_V.argmax())
        nats, right, count = 0.0, 0, 0
        for batch in text.passes():
            targets_N = batch.targets_BK[batch.targets_BK != IGNORED].numpy()
            nats += float(nats_V[targets_N].sum())
            right += int((targets_N == commonest).sum())
            count += len(targets_N)
        return _score(nats, right, count)

    def to_json(self) -> bytes:
        """The content of ``baseline.json``."""
        return json.dumps({"counts": self.counts_V.tolist()}).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, vocabulary: int) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: it is malformed, or belongs to another vocabulary.
        """
        try:
            counts_V = np.array(json.loads(content)["counts"], dtype=np.int64)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
            counts_V = np.empty(0, dtype=np.int64)
        if counts_V.shape != (vocabulary,) or counts_V.min() < 0:
            raise UsageError(
                f"{FILE_NAME} does not hold a count for each of {vocabulary} tokens. Expected the "
                "file that training wrote. Copy all files of the model directory again."
            )
        return cls(counts_V)


def _chosen(model: Encoder, batch: Batch) -> Tensor:
    """The model's last outputs (B, K, D) at the hidden positions."""
    y_BTD, _ = model.hidden(batch.inputs_BT, batch.rows)
    chosen_BKD = batch.chosen_BK[..., None].expand(-1, -1, y_BTD.shape[-1])
    return y_BTD.gather(1, chosen_BKD)


def _score(nats: float, right: int, count: int) -> Score:
    if not count:
        raise UsageError(
            "The text to judge by has no known token that could be hidden. Expected text that the "
            "tokenizer knows. Give other text."
        )
    return Score(nats / count, right / count, count)
