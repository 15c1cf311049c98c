"""Law 10: declared cost = counted cost = closed form (docs/laws.md)."""

from dataclasses import replace
from typing import Any

import law_costs
import pytest
import torch
from law_checks import LawError
from subjects import BY_NAME, CROSS, MIXERS, WIDTH, Subject
from torch import Tensor, nn

from phalanx.config import TrainingConfig
from phalanx.mixers import GRU, LSTM, Attention, MinGRU, Mixer
from phalanx.mixers.recurrent import GatedCell
from phalanx.models import build, preset
from phalanx.models.presets import PRESETS
from phalanx.rows import Rows
from phalanx.training.estimate import estimate


@pytest.mark.parametrize("subject", MIXERS + CROSS, ids=str)
@pytest.mark.parametrize("length", [1, 9])
def test_law_10_cost(subject: Subject, length: int) -> None:
    law_costs.cost(subject, length)


@pytest.mark.parametrize("name", PRESETS)
def test_law_10_what_a_dry_run_declares(name: str) -> None:
    B, T, V = 3, 8, 20
    changes: dict[str, Any] = {} if name in ("gpt2", "bert-base") else {"width": 16, "layers": 2}
    config = preset(name, V, 64, **changes)
    with torch.device("meta"):
        model = build(config)
    mixers = [part for part in model.modules() if isinstance(part, Mixer)]
    inside = {id(part) for mixer in mixers for part in mixer.modules()}
    flops = 0
    for mixer in mixers:
        if isinstance(mixer, GatedCell):
            mixer.use_schedule("fused")
        flops += law_costs.training_flops(mixer, B, T)
    outside = [part for part in model.modules() if id(part) not in inside]
    entries = sum(part.weight.numel() for part in outside if isinstance(part, nn.Linear))
    tied = V * config.width if not any(
        isinstance(p, nn.Linear) and p.out_features == V for p in outside
    ) else 0  # fmt: skip
    flops += 6 * B * T * (entries + tied)
    training = TrainingConfig(batch_size=B, sequence_length=T)
    assert estimate(config, training).flops_per_step == flops


class AttendsTwice(Attention):
    def _attend(self, *given: Any) -> Tensor:
        return (super()._attend(*given) + super()._attend(*given)) / 2


class ProjectsAtEveryStep(GRU):
    def advance(self, x_BD: Tensor, state: Any) -> Any:
        super().advance(x_BD, state)
        return super().advance(x_BD, state)


class MultipliesOutsideProducts(MinGRU):
    def _coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        product = (x[..., None, :] * self.input.weight).sum(-1) + self.input.bias
        gate, candidate = product.chunk(2, -1)
        update = torch.sigmoid(gate)
        return 1 - update, update * candidate


class RunsItsKernelTwice(LSTM):
    def whole(self, x_BTD: Tensor, rows: Rows, state: Any) -> Any:
        super().whole(x_BTD, rows, state)
        return super().whole(x_BTD, rows, state)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("attention", lambda: AttendsTwice(WIDTH, 2)),
        ("gru", lambda: ProjectsAtEveryStep(WIDTH)),
        ("lstm", lambda: RunsItsKernelTwice(WIDTH)),
        ("mingru", lambda: MultipliesOutsideProducts(WIDTH, inner=12, chunk=4)),
    ],
)
def test_planted_cost_is_caught(name: str, make: Any) -> None:
    with pytest.raises(LawError, match="closed form"):
        law_costs.cost(replace(BY_NAME[name], make=make))
