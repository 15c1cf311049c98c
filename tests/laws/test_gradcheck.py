"""Analytic gradients against finite differences, in fp64; second ones too for the scan."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from law_checks import view_state
from subjects import CROSS, MIXERS, Subject, built, make_batch, use_schedule
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from phalanx.schedules.scan import Replay, scan, scan_from


@pytest.mark.parametrize("schedule", [0, 1, -1], ids=["reference", "second", "last"])
@pytest.mark.parametrize("subject", MIXERS + CROSS, ids=str)
def test_gradients_of_a_mixer(subject: Subject, schedule: int) -> None:
    module = built(subject)
    use_schedule(module, schedule)
    batch = make_batch(subject, "ragged", 5)
    names, parameters = zip(*module.named_parameters(), strict=True)

    def run(x_BTD: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, weights, strict=True))

        def call() -> tuple[Tensor, ...]:
            inputs = replace(batch, x_BTD=x_BTD)
            start = subject.begin(module, inputs, None, 6) if subject.causal else None
            y_BTD, state = subject.call(module, inputs, start)
            found = [y_BTD]
            if state is not None:  # but for the slot where padding is written, which nobody reads
                found += [t for t in view_state(state).values() if t.is_floating_point()]
            return tuple(found)

        return _with_parameters(module, given, call)

    inputs = (batch.x_BTD.requires_grad_(), *(p.detach().requires_grad_() for p in parameters))
    assert gradcheck(run, inputs, fast_mode=True)


def _with_parameters(
    module: torch.nn.Module, given: dict[str, Tensor], call: Callable[[], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """Run ``call`` with other tensors in place of the module's parameters."""
    with torch.nn.utils.stateless._reparametrize_module(module, given):
        return call()


def coefficients(length: int) -> tuple[Tensor, Tensor, Tensor]:
    a_BTD = torch.rand(2, length, 3, dtype=torch.float64, requires_grad=True)
    b_BTD = torch.randn(2, length, 3, dtype=torch.float64, requires_grad=True)
    return a_BTD, b_BTD, torch.randn(2, 3, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("length", [1, 3, 4, 5, 9])
def test_gradients_of_the_scan(length: int) -> None:
    a_BTD, b_BTD, _ = coefficients(length)
    assert gradcheck(lambda a, b: scan(a, b, 4), (a_BTD, b_BTD))
    assert gradgradcheck(lambda a, b: scan(a, b, 4), (a_BTD, b_BTD))


@pytest.mark.parametrize("length", [1, 4, 9])
def test_gradients_of_the_scan_from_a_carried_chunk(length: int) -> None:
    a_BTD, b_BTD, hidden_BD = coefficients(length)
    lengths_B = torch.tensor([length, length - 1])
    real_BT1 = (torch.arange(length) < lengths_B[:, None])[..., None]

    def run(a_BTD: Tensor, b_BTD: Tensor, hidden_BD: Tensor) -> tuple[Tensor, Tensor]:
        a_BTD, b_BTD = torch.where(real_BT1, a_BTD, 1), torch.where(real_BT1, b_BTD, 0)
        h_BTD, last = scan_from(a_BTD, b_BTD, Replay.begin(hidden_BD), lengths_B, 4)
        return h_BTD, last.hidden_BD

    assert gradcheck(run, (a_BTD, b_BTD, hidden_BD))
    assert gradgradcheck(run, (a_BTD, b_BTD, hidden_BD))
