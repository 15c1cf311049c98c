"""Path lengths of mechanisms whose path length is known, and the shadow against exact gradients."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from plain_models import PlainGPT, doubling_scan, recurrent, window_mask
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.gradients import gradients
from phalanx.profiling.elements.path_rules import UnfollowedOperatorError
from phalanx.profiling.elements.paths import hops, paths, then

T, D = 12, 6


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, T, D, generator=torch.Generator().manual_seed(0))


def _attention(mask: Tensor | None) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(D, 2, batch_first=True)
    hidden = None if mask is None else ~mask
    return lambda x: layer(x, x, x, attn_mask=hidden, need_weights=False)[0]


def _recurrent(kind: type[nn.RNNBase], **options: object) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    layer = kind(D, D, batch_first=True, **options)  # type: ignore[arg-type]
    return lambda x: layer(x)[0]


def _causal_convolution() -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    layer = nn.Conv1d(D, D, 3, dilation=2)
    return lambda x: layer(F.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2)


def _distances() -> np.ndarray:
    i, j = np.ogrid[:T, :T]
    return j - i


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("layers", [1, 2])
def test_recurrent_paths_are_as_long_as_the_distance(
    x: Tensor, kind: type[nn.RNNBase], layers: int
) -> None:
    found = paths(_recurrent(kind, num_layers=layers), x)
    assert found.causal
    expected = np.where(_distances() >= 0, _distances(), np.inf)
    np.testing.assert_array_equal(found.exchanges_ij, expected)
    assert (found.law().slope, found.law().exact) == (1, True)
    per_position = 2 if kind is nn.LSTM else 3  # the cell state passes by a product and a sum
    assert found.law("kernels").mean_slope == pytest.approx(per_position, abs=0.5)
    assert found.receptive_field == T - 1


@pytest.mark.parametrize("kind", ["stacked", "reserved"])
def test_a_loop_in_python_is_followed_step_by_step(x: Tensor, kind: str) -> None:
    w, h = torch.randn(D, D), torch.zeros(1, D)
    found = paths(lambda x: recurrent(kind, x, h, w), x)
    np.testing.assert_array_equal(np.diag(found.exchanges_ij, 5), 5)
    assert found.causal


def test_a_bidirectional_layer_runs_both_ways(x: Tensor) -> None:
    found = paths(_recurrent(nn.LSTM, bidirectional=True), x)
    assert not found.causal
    np.testing.assert_array_equal(found.exchanges_ij, np.abs(_distances()))


@pytest.mark.parametrize("causal", [True, False])
def test_attention_paths_are_one_step(x: Tensor, causal: bool) -> None:
    mask = torch.ones(T, T, dtype=torch.bool).tril() if causal else None
    found = paths(_attention(mask), x)
    assert found.causal == causal
    later = _distances() > 0
    assert (found.exchanges_ij[later] == 1).all()
    assert (found.law().slope, found.law().exact) == (0, True)
    kernels = found.kernels_ij[np.isfinite(found.kernels_ij)]
    assert set(kernels) == {kernels[0]}


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_windowed_attention_needs_a_layer_a_window(x: Tensor, layers: int) -> None:
    width = 4
    one = _attention(window_mask(T, width))

    def stack(x: Tensor) -> Tensor:
        for _ in range(layers):
            x = x + one(x)
        return x

    found = paths(stack, x)
    for d, length in found.longest().items():
        needed = math.ceil(d / (width - 1))
        assert length == (needed if needed <= layers else math.inf)
    assert found.receptive_field == min(layers * (width - 1), T - 1)
    # one layer measured alone and composed gives the same
    alone = paths(lambda x: x + one(x), x).exchanges_ij
    composed = alone
    for _ in range(layers - 1):
        composed = then(composed, alone)
    np.testing.assert_array_equal(composed, found.exchanges_ij)


def test_a_scan_by_doubling_has_logarithmic_paths() -> None:
    x = torch.randn(1, 32, 2)
    found = paths(doubling_scan, x)
    for d, length in found.longest().items():
        assert length == bin(d).count("1")
    assert max(found.longest().values()) == 5
    assert found.law().slope < 0.1


def test_a_model_of_ids(x: Tensor) -> None:
    torch.manual_seed(0)
    model = PlainGPT(20, 32, 16, 2, 2)
    ids = torch.zeros(1, T, dtype=torch.long)
    found = paths(model, ids)
    assert found.causal
    assert found.law("kernels").slope == 0
    assert hops(model, ids, 0, T - 1) == hops(model, ids, 3, 4) == found.kernels_ij[0, 1]


def test_an_encoder_layer_is_followed_past_its_fast_path(x: Tensor) -> None:
    layer = nn.TransformerEncoderLayer(D, 2, 8, batch_first=True).eval()
    found = paths(layer, x)
    assert not found.causal
    assert (found.exchanges_ij[_distances() != 0] == 1).all()


CASES: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "lstm": lambda: _recurrent(nn.LSTM, num_layers=2),
    "bidirectional": lambda: _recurrent(nn.GRU, bidirectional=True),
    "attention": lambda: _attention(None),
    "causal attention": lambda: _attention(torch.ones(T, T, dtype=torch.bool).tril()),
    "window": lambda: _attention(window_mask(T, 3)),
    "fused attention": lambda: lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "convolution": _causal_convolution,
    "norm over positions": lambda: lambda x: F.layer_norm(x, (T, D)),
    "norm over width": lambda: lambda x: F.layer_norm(x, (D,)) * x.pow(2).mean(-1, keepdim=True),
    "cumulative": lambda: lambda x: x.cumsum(1) + x.cumprod(1),
    "flip and roll": lambda: lambda x: x.flip(1) + x.roll(2, 1),
    "masked": lambda: lambda x: torch.where(torch.arange(T)[:, None] > 4, x, x.flip(1)),
    "masked fill": lambda: lambda x: x.masked_fill(torch.arange(T)[:, None] > 4, 0.0),
    "gather": lambda: lambda x: x.gather(1, torch.arange(T).flip(0)[None, :, None].expand(1, T, D)),
    "index": lambda: lambda x: x[:, torch.tensor([3, 1, 0, 2] * 3)] * 2,
    "index put": lambda: (
        lambda x: torch.zeros_like(x).index_put((torch.tensor(0), torch.tensor([1, 5])), x[0, :2])
    ),
    "stack and cat": lambda: lambda x: torch.cat([torch.stack([x[:, 3], x[:, 5]], 1), x[:, 2:]], 1),
    "shifted pad": lambda: lambda x: F.pad(x, (0, 0, 2, 0))[:, :T],
    "zero weights": lambda: lambda x: (torch.ones(T, T).tril() * 2) @ x,
    "in place": lambda: lambda x: x.clone().mul_(2).add_(x.flip(1)),
    "max over positions": lambda: lambda x: x - x.amax(1, keepdim=True),
    "nothing": lambda: lambda x: torch.zeros_like(x) + 1,
}


@pytest.mark.parametrize("name", CASES)
def test_the_shadow_agrees_with_exact_gradients(name: str, x: Tensor) -> None:
    fn = CASES[name]()
    reached = np.isfinite(paths(fn, x).kernels_ij)
    if name == "nothing":
        assert not reached.any()
        return
    found = gradients(fn, x)  # (T, B, S, D)
    depends_ji = (found != 0).any(-1).any(1).numpy()
    if name == "max over positions":  # the gradient is zero but for the greatest; the path is not
        assert (depends_ji <= reached.T).all()
        assert reached.all()
    else:
        np.testing.assert_array_equal(reached.T, depends_ji)


def test_an_operator_without_a_rule_is_refused(x: Tensor) -> None:
    with pytest.raises(UnfollowedOperatorError, match="linalg"):
        paths(lambda x: torch.linalg.inv(x[:, :D]), x)
    table = torch.ones(T, dtype=torch.long)
    # the same operator on constants is no obstacle
    assert paths(lambda x: x + torch.bincount(table, minlength=D)[:D], x).causal


def test_a_branch_on_data_is_refused(x: Tensor) -> None:
    with pytest.raises(PhalanxError, match="host reads"):
        paths(lambda x: x * 2 if x.sum() > 0 else x, x)


def test_parameters_that_happen_to_be_zero_are_not_constants(x: Tensor) -> None:
    layer = nn.Linear(D, D)
    nn.init.zeros_(layer.weight)
    assert np.isfinite(np.diag(paths(layer, x).kernels_ij)).all()


def test_input_without_positions_is_refused() -> None:
    with pytest.raises(ValueError, match="position axis"):
        paths(lambda x: x, torch.ones(3))
