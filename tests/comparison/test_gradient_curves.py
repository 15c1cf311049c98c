import math

import pytest
import torch

from phalanx.comparison.gradients import LENGTH, carried, slope, with_radius
from phalanx.mixers import RNN
from phalanx.models import Decoder, build, preset


def tanh_rnn(seed: int = 0) -> Decoder:
    model = build(preset("rnn", 11, LENGTH, width=8, layers=1, init="glorot"), seed=seed)
    assert isinstance(model, Decoder)
    return model


def tokens(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 11, (2, LENGTH), generator=generator) for _ in range(count)]


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.0])
def test_a_nearly_linear_rnn_carries_its_radius(radius: float) -> None:
    model = tanh_rnn()
    cell = next(m for m in model.modules() if isinstance(m, RNN))
    with torch.no_grad():
        model.embedding.weight.mul_(1e-3)  # tanh is linear near zero
        cell.weight_hh_l0.copy_(torch.linalg.qr(torch.randn(8, 8)).Q)
    changed = with_radius(model, radius)
    assert changed is not None
    found = carried([changed], tokens(3), f"radius {radius}")
    for decades in found.decades:
        assert decades == pytest.approx(math.log10(radius), abs=0.01)
    expected = "stable" if radius == 1.0 else "vanishes"
    assert found.verdict().verdict == expected


def test_a_radius_above_one_explodes_where_nothing_saturates() -> None:
    model = tanh_rnn()
    cell = next(m for m in model.modules() if isinstance(m, RNN))
    with torch.no_grad():
        model.embedding.weight.zero_()
        cell.weight_hh_l0.copy_(torch.eye(8))
    changed = with_radius(model, 1.5)
    assert changed is not None
    found = carried([changed], tokens(3), "radius 1.5")
    assert found.verdict().verdict == "explodes"
    assert found.decades[0] == pytest.approx(math.log10(1.5), abs=1e-3)


def test_only_rnn_layers_have_a_radius() -> None:
    model = build(preset("lstm", 11, LENGTH, width=8, layers=1), seed=0)
    assert isinstance(model, Decoder)
    assert with_radius(model, 0.5) is None


def test_a_norm_that_left_the_number_format_still_vanishes() -> None:
    assert slope([1.0, *[0.0] * 63]) == pytest.approx(0.0)
    assert slope([10.0 ** (-d) for d in range(30)] + [0.0] * 34) < -0.3
