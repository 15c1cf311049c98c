"""Ways to choose the next token from a model's scores.

The order is Hugging Face's: repetition penalty, temperature, top-k, top-p, min-p; each looks at
what those before it left.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from phalanx.errors import UsageError
from phalanx.inference.noise import gumbel
from phalanx.shapes import PerRow

BROKEN = -1
"""What is chosen where the scores are not numbers; no token has this id."""


class Chooser(Protocol):
    """A way to choose one token a row, from what belongs to that row alone."""

    @property
    def wants_seen(self) -> bool:
        """Whether it asks which tokens a row has already; keeping them costs B x V bytes."""
        ...

    def choose(
        self, logits_BV: Tensor, keys_B: PerRow, positions_B: PerRow, seen_BV: Tensor | None
    ) -> PerRow:
        """The chosen token ids, int64 (B); BROKEN in rows whose best score is NaN.

        Args:
            logits_BV: scores of the model.
            keys_B: the request's key of each row (``noise.request_keys``).
            positions_B: the absolute position that each row's token will take.
            seen_BV: True at the tokens of the row's prompt and output so far; None unless
                ``wants_seen``.
        """
        ...


@dataclass(frozen=True)
class Greedy:
    """The token with the highest score; of equal ones the first."""

    @property
    def wants_seen(self) -> bool:
        """No."""
        return False

    def choose(
        self, logits_BV: Tensor, keys_B: PerRow, positions_B: PerRow, seen_BV: Tensor | None = None
    ) -> PerRow:
        """The chosen token ids (see Chooser.choose); keys and positions do not matter."""
        return _best(logits_BV)


@dataclass(frozen=True)
class Sampler:
    """A token drawn with probability softmax(scores / temperature), perhaps of a part of them.

    Args:
        temperature: above 0; below 1 prefers likely tokens, above 1 evens out.
        top_k: only the ``top_k`` highest scores take part, and those equal to the lowest of them.
        top_p: only the most likely tokens take part, as many as it takes for their probabilities
            (after temperature and ``top_k``) to reach ``top_p``; of equal ones the first.
        min_p: only tokens at least ``min_p`` times as probable as the likeliest take part (Nguyen
            et al. 2024); 0 is the same as none.

    Raises:
        UsageError: a number out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise UsageError(
                f"temperature {self.temperature}: expected a number above 0. "
                "For the most likely token each time, choose greedily."
            )
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(
                f"top_k {self.top_k}: expected 1 or more. Leave it out for all tokens."
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top_p {self.top_p}: expected a number above 0 and at most 1.")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise UsageError(f"min_p {self.min_p}: expected a number from 0 to 1.")

    @property
    def wants_seen(self) -> bool:
        """No."""
        return False

    def choose(
        self, logits_BV: Tensor, keys_B: PerRow, positions_B: PerRow, seen_BV: Tensor | None = None
    ) -> PerRow:
        """The chosen token ids (see Chooser.choose)."""
        scores_BV = self.scores(logits_BV)
        return _best(scores_BV + gumbel(keys_B, positions_B, scores_BV.shape[1]))

    def scores(self, logits_BV: Tensor) -> Tensor:
        """Scores in float64 (B, V) whose softmax is drawn from; -inf where a token is left out."""
        scores_BV = logits_BV.double() / self.temperature
        if self.top_k is not None:
            lowest_B1 = scores_BV.topk(min(self.top_k, scores_BV.shape[1])).values[:, -1:]
            scores_BV = scores_BV.masked_fill(scores_BV < lowest_B1, -torch.inf)
        if self.top_p is not None and self.top_p < 1:
            ordered_BV, order_BV = scores_BV.sort(descending=True, stable=True)
            weights_BV = ordered_BV.softmax(-1)
            # A token stays while those before it have not reached top_p, so the first always does.
            over_BV = weights_BV.cumsum(-1) - weights_BV >= self.top_p
            left_out_BV = torch.zeros_like(over_BV).scatter(1, order_BV, over_BV)
            scores_BV = scores_BV.masked_fill(left_out_BV, -torch.inf)
        if self.min_p:
            weights_BV = scores_BV.softmax(-1)
            least_B1 = self.min_p * weights_BV.amax(-1, keepdim=True)
            scores_BV = scores_BV.masked_fill(weights_BV < least_B1, -torch.inf)
        return scores_BV


@dataclass(frozen=True)
class Penalized:
    """Another way to choose, with the tokens that a row already has made less likely.

    The score of each token of the prompt or the output is divided by the penalty where it is
    positive and multiplied where it is negative (Keskar et al. 2019, section 4.1).

    Args:
        chooser: how to choose by the changed scores.
        penalty: above 1 avoids repetition, below 1 invites it.

    Raises:
        UsageError: the penalty is not above 0.
    """

    chooser: Chooser
    penalty: float

    def __post_init__(self) -> None:
        if not 0 < self.penalty < float("inf"):
            raise UsageError(
                f"repetition_penalty {self.penalty}: expected a number above 0. 1 changes "
                "nothing; 1.2 is usual."
            )

    @property
    def wants_seen(self) -> bool:
        """Yes: the penalty is theirs."""
        return True

    def choose(
        self, logits_BV: Tensor, keys_B: PerRow, positions_B: PerRow, seen_BV: Tensor | None
    ) -> PerRow:
        """The chosen token ids (see Chooser.choose)."""
        assert seen_BV is not None
        scores_BV = self.scores(logits_BV, seen_BV)
        return self.chooser.choose(scores_BV, keys_B, positions_B, seen_BV)

    def scores(self, logits_BV: Tensor, seen_BV: Tensor) -> Tensor:
        """The changed scores, in float64 (B, V)."""
        scores_BV = logits_BV.double()
        lowered_BV = torch.where(scores_BV < 0, scores_BV * self.penalty, scores_BV / self.penalty)
        return torch.where(seen_BV, lowered_BV, scores_BV)


@dataclass(frozen=True)
class Without:
    """Another way to choose, from all tokens but some.

    Args:
        chooser: how to choose among the rest.
        tokens: ids that are never chosen.
    """

    chooser: Chooser
    tokens: tuple[int, ...]

    @property
    def wants_seen(self) -> bool:
        """As the chooser inside."""
        return self.chooser.wants_seen

    def choose(
        self, logits_BV: Tensor, keys_B: PerRow, positions_B: PerRow, seen_BV: Tensor | None = None
    ) -> PerRow:
        """The chosen token ids (see Chooser.choose)."""
        barred_N = torch.tensor(self.tokens, device=logits_BV.device)
        logits_BV = logits_BV.index_fill(1, barred_N, -torch.inf)
        return self.chooser.choose(logits_BV, keys_B, positions_B, seen_BV)


def make_chooser(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
) -> Chooser:
    """The way to choose that these numbers describe; a temperature of 0 takes the likeliest.

    Raises:
        UsageError: a number out of its range, be it used or not.
    """
    sampler = Sampler(temperature or 1.0, top_k, top_p, min_p)
    chooser = sampler if temperature else Greedy()
    penalized = Penalized(chooser, repetition_penalty)
    return chooser if repetition_penalty == 1 else penalized


def _best(scores_BV: Tensor) -> PerRow:
    best_B, index_B = scores_BV.max(-1)
    return torch.where(best_B.isnan(), BROKEN, index_B)
