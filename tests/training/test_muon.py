"""Muon against torch's own, and its batched and stacked forms against one matrix at a time."""

import pytest
import torch
from torch import nn

from phalanx.training.muon import Muon, orthogonalize


def parameters(*shapes: tuple[int, int]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def set_gradients(params: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in params:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(24, 24), (48, 16), (16, 48)])
def test_updates_are_those_of_torch(shape: tuple[int, int]) -> None:
    ours, theirs = parameters(shape), parameters(shape)
    start = ours[0].detach().clone()
    muon = Muon([(p, 1) for p in ours], lr=0.05, momentum=0.9, weight_decay=0.1)
    golden = torch.optim.Muon(theirs, lr=0.05, momentum=0.9, weight_decay=0.1)
    for step in range(4):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        muon.step()
        golden.step()
    moved = (theirs[0] - start).abs().mean().item()
    # Both iterate in bfloat16, in other orders: equal up to its rounding.
    difference = (ours[0] - theirs[0]).abs().max().item()
    assert difference < 0.03 * moved


def test_a_batch_of_matrices_is_each_of_them_alone() -> None:
    shapes = [(8, 24), (24, 8), (8, 24), (8, 8)]
    together, alone = parameters(*shapes), parameters(*shapes)
    batched = Muon([(p, 1) for p in together], dtype=torch.float64)
    single = [Muon([(p, 1)], dtype=torch.float64) for p in alone]
    for step in range(2):
        set_gradients(together, step)
        set_gradients(alone, step)
        batched.step()
        for optimizer in single:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_stacked_gates_are_made_orthogonal_one_by_one() -> None:
    [stacked] = parameters((32, 8))
    gates = [nn.Parameter(part.clone()) for part in stacked.detach().chunk(4)]
    whole = Muon([(stacked, 4)], dtype=torch.float64)
    parts = Muon([(gate, 1) for gate in gates], dtype=torch.float64)
    set_gradients([stacked], 0)
    assert stacked.grad is not None
    for gate, gradient in zip(gates, stacked.grad.chunk(4), strict=True):
        gate.grad = gradient.clone()
    as_one = nn.Parameter(stacked.detach().clone())
    as_one.grad = stacked.grad.clone()
    whole.step()
    parts.step()
    Muon([(as_one, 1)], dtype=torch.float64).step()
    torch.testing.assert_close(stacked.detach(), torch.cat([g.detach() for g in gates]))
    assert (stacked - as_one).abs().max() > 1e-3  # taking it for one matrix is something else


def test_singular_values_come_near_one() -> None:
    values_NR = torch.linalg.svdvals(orthogonalize(torch.randn(5, 12, 30, dtype=torch.float64)))
    assert 0.6 < values_NR.min() < values_NR.max() < 1.3


def test_a_zero_gradient_moves_nothing() -> None:
    [parameter] = parameters((6, 4))
    before = parameter.detach().clone()
    parameter.grad = torch.zeros_like(parameter)
    Muon([(parameter, 1)]).step()
    assert torch.equal(parameter, before)


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="equal parts"):
        Muon([(nn.Parameter(torch.zeros(3)), 1)])
    with pytest.raises(ValueError, match=r"3 equal parts.*\(4, 4\)"):
        Muon([(nn.Parameter(torch.zeros(4, 4)), 3)])
