"""The same tokens take part as in Hugging Face's processors, in the same order."""

import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from phalanx.errors import UsageError
from phalanx.inference.noise import request_keys
from phalanx.inference.sampling import Greedy, Penalized, Sampler, Without, make_chooser

VOCABULARY = 50


def scores(rows: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return 3 * torch.randn(rows, VOCABULARY, dtype=torch.float64, generator=generator)


def texts(rows: int = 64, length: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(VOCABULARY, (rows, length), generator=generator)


def seen_in(ids_BT: Tensor) -> Tensor:
    return torch.zeros(len(ids_BT), VOCABULARY, dtype=torch.bool).scatter(1, ids_BT, True)


@pytest.mark.parametrize("min_p", [0.0, 0.02, 0.1, 0.5, 1.0])
def test_min_p_is_that_of_hugging_face(min_p: float) -> None:
    expected = MinPLogitsWarper(min_p)(texts(), scores())
    assert torch.equal(Sampler(min_p=min_p).scores(scores()), expected)
    left = expected.isfinite().sum(-1)
    assert left.min() >= 1
    if min_p == 0.1:
        assert len(left.unique()) > 5  # how many stay depends on the row


@pytest.mark.parametrize("penalty", [1.3, 0.7])
def test_the_repetition_penalty_is_that_of_hugging_face(penalty: float) -> None:
    expected = RepetitionPenaltyLogitsProcessor(penalty)(texts(), scores().clone())
    found = Penalized(Greedy(), penalty).scores(scores(), seen_in(texts()))
    assert torch.equal(found, expected)
    assert not torch.equal(found, scores())


def test_all_of_them_are_applied_in_the_order_of_hugging_face() -> None:
    theirs = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.4),
            TemperatureLogitsWarper(0.7),
            TopKLogitsWarper(20),
            TopPLogitsWarper(0.9),
            MinPLogitsWarper(0.05),
        ]
    )
    expected = theirs(texts(), scores().clone())
    sampler = Sampler(temperature=0.7, top_k=20, top_p=0.9, min_p=0.05)
    penalized_BV = Penalized(sampler, 1.4).scores(scores(), seen_in(texts()))
    assert torch.equal(sampler.scores(penalized_BV), expected)
    # The order matters: each of these leaves another number of tokens.
    left = expected.isfinite().sum()
    assert Sampler(0.7, 20, 0.9).scores(penalized_BV).isfinite().sum() != left
    assert sampler.scores(scores()).isfinite().sum() != left


def test_the_penalty_comes_before_greedy_too() -> None:
    logits_BV = torch.tensor([[2.0, 1.9, -1.0], [-1.0, -1.1, -3.0]])
    seen_BV = torch.tensor([[True, False, False], [True, False, False]])
    zeros_B = torch.zeros(2, dtype=torch.int64)
    chooser = make_chooser(0, repetition_penalty=1.2)
    assert chooser.choose(logits_BV, zeros_B, zeros_B, seen_BV).tolist() == [1, 1]
    assert Greedy().choose(logits_BV, zeros_B, zeros_B).tolist() == [0, 0]


def test_a_chooser_says_whether_it_looks_back() -> None:
    assert not Greedy().wants_seen
    assert not make_chooser(0.8, 5, 0.9, 0.1).wants_seen
    penalized = make_chooser(0.8, repetition_penalty=1.1)
    assert penalized.wants_seen
    assert Without(penalized, (1,)).wants_seen
    assert make_chooser(0) == Greedy()


def test_a_barred_token_stays_barred_under_a_penalty() -> None:
    logits_BV = scores(8)
    keys_B, positions_B = request_keys(0, torch.arange(8)), torch.arange(8)
    chooser = Without(Penalized(Sampler(5.0), 0.1), tuple(range(1, VOCABULARY)))
    seen_BV = torch.ones(8, VOCABULARY, dtype=torch.bool)
    assert chooser.choose(logits_BV, keys_B, positions_B, seen_BV).tolist() == [0] * 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"min_p": float("nan")},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": -1.0},
        {"repetition_penalty": float("nan")},
        {"repetition_penalty": float("inf")},
        {"temperature": 0.0, "min_p": 2.0},
    ],
)
def test_numbers_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        make_chooser(**wrong)  # type: ignore[arg-type]  # one of the numbers, whichever it is
