"""Causality and decay by exact gradients."""

import pytest
import torch
from plain_models import PlainGPT
from torch import Tensor, nn

from phalanx.profiling.elements.gradients import causality, gradient_by_distance, gradients


def test_causal_and_not() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 7, 4, dtype=torch.float64)
    one = nn.LSTM(4, 4, batch_first=True, dtype=torch.float64)
    both = nn.LSTM(4, 4, batch_first=True, bidirectional=True, dtype=torch.float64)
    assert causality(lambda x: one(x)[0], x).causal
    found = causality(lambda x: both(x)[0], x)
    assert not found.causal
    assert found.leak > 0
    assert found.where is not None
    assert found.where[0] < found.where[1]


def test_one_small_leak_is_found_and_placed() -> None:
    def leaky(x: Tensor) -> Tensor:
        y = x.cumsum(1)
        y[:, 2, 0] += 1e-9 * x[:, 5, 3]
        return y

    found = causality(leaky, torch.randn(1, 7, 4, dtype=torch.float64))
    assert (found.causal, found.where) == (False, (2, 5))
    assert 0 < found.leak < 1e-8


def test_a_nan_is_not_causal() -> None:
    found = causality(lambda x: (x * 0).sqrt(), torch.ones(1, 3, 2))  # derivative inf * 0
    assert not found.causal


def test_a_model_of_ids_by_its_embedding() -> None:
    torch.manual_seed(0)
    model = PlainGPT(20, 16, 16, 2, 2)
    ids = torch.randint(20, (2, 9))
    assert causality(model, ids, at=model.tokens).causal
    assert not causality(lambda i: model(i).flip(1), ids, at=model.tokens).causal
    assert all(p.grad is None for p in model.parameters())
    assert not model.tokens._forward_hooks
    with pytest.raises(ValueError, match="ran 2 times"):
        causality(lambda i: model(i) + model(i), ids, at=model.tokens)


def test_gradient_by_distance_of_a_known_decay() -> None:
    def decay(x: Tensor) -> Tensor:
        h, outputs = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            h = 0.5 * h + x[:, t]
            outputs.append(h)
        return torch.stack(outputs, 1)

    x = torch.randn(3, 8, 4, dtype=torch.float64)
    last = gradient_by_distance(decay, x)
    assert len(last) == 8
    for d, norm in enumerate(last):
        assert norm == pytest.approx(last[0] * 0.5**d)
    several = gradient_by_distance(decay, x, outputs=[3, 7])
    assert several == pytest.approx(last)
    assert gradients(decay, x, outputs=[3, 7]).shape == (2, 3, 8, 4)
