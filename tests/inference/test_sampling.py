"""Samples follow the softmax, and the tokens that take part are those of the definition."""

import math

import pytest
import torch
from chi_square import LIMIT, deviations
from torch import Tensor

from phalanx.errors import UsageError
from phalanx.inference.noise import request_keys
from phalanx.inference.sampling import BROKEN, Chooser, Greedy, Sampler, Without

SCORES = torch.tensor([1.5, 0.0, -1.0, 0.7, 0.7, -3.0, 2.0])


def draw(chooser: Chooser, scores_V: Tensor, count: int = 20_000, seed: int = 1) -> Tensor:
    """How often each token is chosen at positions 0 .. count - 1."""
    zeros = torch.zeros(count, dtype=torch.int64)
    tokens = chooser.choose(
        scores_V.expand(count, -1), request_keys(seed, zeros), torch.arange(count), None
    )
    return torch.bincount(tokens, minlength=len(scores_V))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_samples_follow_the_softmax(temperature: float) -> None:
    counts = draw(Sampler(temperature), SCORES)
    expected = (SCORES / temperature).softmax(-1) * counts.sum()
    assert abs(deviations(counts, expected)) < LIMIT
    # The control: a slightly different temperature is told apart.
    other = (SCORES / (temperature * 1.1)).softmax(-1) * counts.sum()
    assert deviations(counts, other) > LIMIT


def test_truncated_samples_follow_what_is_left() -> None:
    counts = draw(Sampler(top_k=3), SCORES[[0, 1, 3, 6]])
    kept = [0, 2, 3]
    expected = SCORES[[0, 3, 6]].softmax(-1) * counts.sum()
    assert counts[1] == 0
    assert abs(deviations(counts[kept], expected)) < LIMIT


def taking_part(sampler: Sampler, scores_V: Tensor) -> list[int]:
    return torch.isfinite(sampler.scores(scores_V[None])[0]).nonzero()[:, 0].tolist()


@pytest.mark.parametrize(
    ("top_k", "expected"),
    [(1, [6]), (2, [0, 6]), (3, [0, 3, 4, 6]), (4, [0, 3, 4, 6]), (7, list(range(7)))],
)
def test_top_k_keeps_the_highest_and_their_equals(top_k: int, expected: list[int]) -> None:
    assert taking_part(Sampler(top_k=top_k), SCORES) == expected
    assert taking_part(Sampler(top_k=top_k + 100), SCORES) == list(range(7))


PROBABILITIES = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (0.01, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.69, [1, 3]),
        (0.71, [1, 2, 3]),
        (1.0, [0, 1, 2, 3]),
    ],
)
def test_top_p_keeps_the_smallest_sufficient_set(top_p: float, expected: list[int]) -> None:
    assert taking_part(Sampler(top_p=top_p), PROBABILITIES) == expected


def test_of_equal_tokens_top_p_keeps_the_first() -> None:
    assert taking_part(Sampler(top_p=0.5), torch.zeros(4)) == [0, 1]


def test_top_p_counts_after_temperature_and_top_k() -> None:
    # Among the two highest alone, 0.4 and 0.3 become 4/7 and 3/7.
    assert taking_part(Sampler(top_k=2, top_p=0.5), PROBABILITIES) == [1]
    assert taking_part(Sampler(top_p=0.5), PROBABILITIES) == [1, 3]
    assert taking_part(Sampler(temperature=0.2, top_p=0.5), PROBABILITIES) == [1]


def test_kept_scores_are_divided_by_the_temperature() -> None:
    scores = Sampler(temperature=0.5, top_k=2).scores(SCORES[None])[0]
    assert scores[6] == 4.0
    assert scores[0] == 3.0
    assert scores[1] == -math.inf


def test_choice_depends_on_key_and_position_and_not_on_the_place_in_the_batch() -> None:
    keys, positions = request_keys(5, torch.arange(64)), torch.arange(64) * 3
    scores = torch.randn(64, 50)
    chosen = Sampler().choose(scores, keys, positions)
    order = torch.randperm(64)
    assert torch.equal(
        Sampler().choose(scores[order], keys[order], positions[order]), chosen[order]
    )
    assert not torch.equal(Sampler().choose(scores, keys, positions + 1), chosen)
    assert not torch.equal(Sampler().choose(scores, keys[order], positions), chosen)


def test_greedy_takes_the_first_of_the_highest() -> None:
    scores = torch.tensor([[0.0, 2.0, 2.0], [3.0, 3.0, 1.0]])
    assert Greedy().choose(scores, scores[:, 0].long(), scores[:, 0].long()).tolist() == [1, 0]


@pytest.mark.parametrize("chooser", [Greedy(), Sampler(), Sampler(top_k=2), Sampler(top_p=0.5)])
def test_scores_that_are_no_numbers_are_reported_in_their_row_alone(chooser: Chooser) -> None:
    scores = torch.tensor([[0.0, 9.0, 1.0], [0.0, math.nan, 1.0]])
    keys = request_keys(0, torch.zeros(2, dtype=torch.int64))
    good, bad = chooser.choose(scores, keys, torch.zeros(2, dtype=torch.int64), None).tolist()
    assert good == 1
    assert bad == BROKEN


def test_barred_tokens_are_never_chosen_and_the_rest_keep_their_odds() -> None:
    counts = draw(Without(Sampler(), (0, 6)), SCORES)
    assert counts[[0, 6]].sum() == 0
    expected = SCORES[1:6].softmax(-1) * counts.sum()
    assert abs(deviations(counts[1:6], expected)) < LIMIT
    assert Without(Greedy(), (6,)).choose(SCORES[None], *[torch.zeros(1).long()] * 2).tolist() == [
        0
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        Sampler(**wrong)  # type: ignore[arg-type]  # one of the numbers, whichever it is
