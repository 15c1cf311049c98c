"""Beam search: of all answers to a source, the best that can be found by keeping a few at a time.

A hypothesis is scored by its log-probability divided by the length penalty
((5 + length) / 6)^alpha (Wu et al. 2016, equation 14), where the length counts the token that ends
it. Without the division (alpha 0) a longer answer can only lose.

Each source has ``beam`` places. A hypothesis that ends keeps its place, and the open ones share the
rest (Sutskever et al. 2014, section 3.2), so a beam of 1 is greedy decoding, token for token, and a
beam as wide as there are answers finds the best of all. A source is done when no open hypothesis
can still become one of the best: log-probabilities only fall, so an open one of log-probability s
ends with at most s / penalty, the penalty being the largest that it can reach.

What is found for a source depends on nothing beside it. Only open hypotheses are computed: the
batch shrinks as they end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from phalanx.errors import UsageError
from phalanx.inference.memory import check_states
from phalanx.inference.passes import check_scores
from phalanx.models import EncoderDecoder
from phalanx.rows import Rows
from phalanx.shapes import SourceIds

BEAM = 4
LENGTH_PENALTY = 0.6
"""Both as in section 6.1 of the paper of the 2017 Transformer."""
MOST_PENALTY = 10.0  # of alpha, on both sides of 0: beyond it a penalty may be no float


@dataclass(frozen=True)
class Hypothesis:
    """An answer that was found.

    Args:
        tokens: its tokens, the one that ended it among them.
        log_probability: of all of them, in nats.
        score: the log-probability divided by the length penalty.
        ended: the model ended it; otherwise it is as long as it was allowed to be.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: bool


def beam_search(
    model: EncoderDecoder,
    source_BS: SourceIds,
    source_rows: Rows | None,
    limits: Sequence[int],
    *,
    end_id: int,
    beam: int = BEAM,
    length_penalty: float = LENGTH_PENALTY,
    n: int = 1,
    barred: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """The best answers to each source, best first; of equal ones the one that was found first.

    Args:
        model: in evaluation mode.
        source_BS: the sources' tokens.
        source_rows: which of them are real; None where all are.
        limits: tokens that each answer may have, the end among them; at least 1.
        end_id: the token that an answer begins behind, and that ends it.
        beam: hypotheses that are kept for each source.
        length_penalty: alpha; above 0 favours longer answers, 0 takes the likeliest.
        n: answers wanted of each source, at most ``beam``.
        barred: tokens that are never chosen.

    Raises:
        UsageError: a number out of its range, or more than this machine can carry.
        PhalanxError: the model's scores are not numbers.
    """
    check_search(beam, length_penalty, n)
    with torch.inference_mode():
        memory = model.encode(source_BS, source_rows)
        # The end's token is read first, and the last one never.
        capacity = max(limits)
        check_states(partial(model.empty_state, memory), beam, capacity, source_BS.device)
        state = model.empty_state(memory, capacity)
        searches = [_Search(limit, beam, length_penalty, n, end_id) for limit in limits]
        ids = [end_id] * len(searches)
        while True:
            logits_NV, state = model.step(torch.tensor(ids, device=source_BS.device), state)
            chances, tokens = _likeliest(logits_NV, beam, barred)
            parents: list[int] = []
            ids, first = [], 0
            for search in searches:
                rows = slice(first, first + len(search.open))
                first = rows.stop
                parents += [rows.start + at for at in search.grow(chances[rows], tokens[rows])]
                ids += [hypothesis.tokens[-1] for hypothesis in search.open]
            if not parents:
                return [search.best() for search in searches]
            if parents != list(range(logits_NV.shape[0])):
                state = state.select(torch.tensor(parents, device=source_BS.device))


def check_search(beam: int, length_penalty: float, n: int) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        UsageError: one of them is out of its range.
    """
    if beam < 1:
        raise UsageError(f"beam {beam}: expected 1 or more; 1 takes the likeliest token each time.")
    if not abs(length_penalty) <= MOST_PENALTY:  # NaN too
        raise UsageError(
            f"length_penalty {length_penalty}: expected a number from {-MOST_PENALTY:g} to "
            f"{MOST_PENALTY:g}, such as 0.6."
        )
    if not 1 <= n <= beam:
        raise UsageError(
            f"{n} answers of a beam of {beam}: expected 1 to {beam}. Widen the beam for more."
        )


def penalty(length: int, alpha: float) -> float:
    """((5 + length) / 6)^alpha (Wu et al. 2016, equation 14)."""
    return float(((5 + length) / 6) ** alpha)


@dataclass(frozen=True)
class _Open:
    tokens: tuple[int, ...]
    log_probability: float


@dataclass
class _Search:
    """The search for the answers to one source; nothing in it knows of the others."""

    limit: int
    beam: int
    alpha: float
    n: int
    end_id: int
    open: list[_Open] = field(default_factory=lambda: [_Open((), 0.0)])
    finished: list[Hypothesis] = field(default_factory=list)

    def grow(self, chances: list[list[float]], tokens: list[list[int]]) -> list[int]:
        """Take the likeliest next tokens of each open hypothesis, best first.

        Returns:
            Which of the open ones before each of the open ones now continues.
        """
        candidates = [
            (-hypothesis.log_probability - chance, row, rank, token)
            for row, hypothesis in enumerate(self.open)
            for rank, (chance, token) in enumerate(zip(chances[row], tokens[row], strict=True))
        ]
        before, self.open, parents = self.open, [], []
        # Of equal ones, that of the better hypothesis and then the likelier token: never a draw.
        for cost, row, _, token in sorted(candidates)[: self.beam - len(self.finished)]:
            longer = _Open((*before[row].tokens, token), -cost)
            if token == self.end_id or len(longer.tokens) == self.limit:
                self._finish(longer)
            else:
                self.open.append(longer)
                parents.append(row)
        if self._decided():
            self.open, parents = [], []
        return parents

    def best(self) -> list[Hypothesis]:
        """The best finished ones, best first; of equal ones the one that ended first."""
        return sorted(self.finished, key=lambda hypothesis: -hypothesis.score)[: self.n]

    def _finish(self, done: _Open) -> None:
        score = done.log_probability / penalty(len(done.tokens), self.alpha)
        ended = done.tokens[-1] == self.end_id
        self.finished.append(Hypothesis(done.tokens, done.log_probability, score, ended))

    def _decided(self) -> bool:
        """Whether no open hypothesis can come to be among the best."""
        best = self.best()
        if not self.open or len(best) < self.n:
            return False
        # The penalty is monotonic in the length, so its extremes are those of the lengths.
        lengths = len(self.open[0].tokens) + 1, self.limit
        largest = max(penalty(length, self.alpha) for length in lengths)
        # An equal score would not do: the finished one came first.
        return self.open[0].log_probability / largest <= best[-1].score


def _likeliest(
    logits_NV: Tensor, count: int, barred: Sequence[int]
) -> tuple[list[list[float]], list[list[int]]]:
    """Log-probabilities and ids of the likeliest tokens of each row; of equal ones the first."""
    logits_NV = logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32))
    total_N1 = logits_NV.logsumexp(-1, keepdim=True)
    check_scores(total_N1)
    if barred:
        logits_NV = logits_NV.index_fill(
            1, torch.tensor(barred, device=logits_NV.device), -torch.inf
        )
    count = min(count, logits_NV.shape[1] - len(barred))
    best_NK, tokens_NK = logits_NV.topk(min(count + 1, logits_NV.shape[1]))
    if (best_NK[:, 1:] == best_NK[:, :-1]).any():  # topk does not say which of equals it takes
        best_NK, tokens_NK = logits_NV.sort(dim=-1, descending=True, stable=True)
    chances_NK = (best_NK - total_N1)[:, :count]
    return chances_NK.tolist(), tokens_NK[:, :count].tolist()
