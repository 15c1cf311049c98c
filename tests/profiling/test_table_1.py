"""Vaswani et al. 2017, table 1, measured: complexity, sequential operations, maximum path length.

Each layer is the core alone, without projections, in n positions and d channels.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.elements.paths import paths
from phalanx.profiling.span import Law, WorkLaw
from phalanx.profiling.tracing.trace import trace

K, R = 3, 4  # kernel of a convolution, reach of restricted attention
Layer = Callable[[int], Callable[[Tensor], Tensor]]


def _attention(width: int) -> Callable[[Tensor], Tensor]:
    return lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)


def _recurrent(width: int) -> Callable[[Tensor], Tensor]:
    layer = nn.RNN(width, width, batch_first=True, device="meta")
    return lambda x: layer.to(x.device)(x)[0]


def _convolution(width: int, dilation: int = 1) -> Callable[[Tensor], Tensor]:
    weight = torch.ones(width, width, K)

    def layer(x: Tensor) -> Tensor:
        padded = F.pad(x.mT, ((K - 1) * dilation, 0))
        return F.conv1d(padded, weight.to(x.device), dilation=dilation).mT

    return layer


def _restricted(width: int) -> Callable[[Tensor], Tensor]:
    def layer(x: Tensor) -> Tensor:  # each position and the R - 1 before it
        near = F.pad(x, (0, 0, R - 1, 0)).unfold(1, R, 1)  # (1, n, d, R)
        weights = (x[:, :, None] @ near).softmax(-1)
        return (weights @ near.mT)[:, :, 0]

    return layer


LAYERS: dict[str, tuple[Layer, Callable[[int, int], int], bool]] = {
    # complexity with its constant; whether the sequential operations grow with n
    "self-attention, n^2 d": (_attention, lambda n, d: 4 * n * n * d, False),
    "recurrent, n d^2": (_recurrent, lambda n, d: 4 * n * d * d, True),
    "convolution, k n d^2": (_convolution, lambda n, d: 2 * K * n * d * d, False),
    "restricted attention, r n d": (_restricted, lambda n, d: 4 * R * n * d, False),
}
every = pytest.mark.parametrize("name", LAYERS)


def _run(name: str, length: int, width: int) -> Callable[[], object]:
    layer, x = LAYERS[name][0](width), torch.ones(1, length, width, device="meta")
    return lambda: layer(x)


@every
def test_complexity_in_both_directions(name: str) -> None:
    closed = LAYERS[name][1]
    sizes = (4, 6, 9, 13)
    in_n = WorkLaw.through({n: trace(_run(name, n, 8)).matmul_work for n in sizes})
    in_d = WorkLaw.through({d: trace(_run(name, 8, d)).matmul_work for d in sizes})
    assert in_n.exact
    assert in_d.exact
    assert all(in_n.at(n) == closed(n, 8) for n in (1, 20, 100))
    assert all(in_d.at(d) == closed(8, d) for d in (1, 20, 100))


@every
def test_sequential_operations(name: str) -> None:
    law = Law.fit({n: trace(_run(name, n, 8)).span for n in (4, 8, 16)})
    assert law.exact
    assert (law.slope > 0) == LAYERS[name][2]
    assert law.logarithm == 0


def _longest(layers: list[Callable[[Tensor], Tensor]], length: int) -> dict[int, float]:
    def stack(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    with torch.no_grad():
        return paths(stack, torch.randn(1, length, 2)).longest()


def test_maximum_path_of_attention_is_one_step() -> None:
    found = _longest([_attention(2)], 16)
    assert all(found[d] == 1 for d in range(1, 16))


def test_maximum_path_of_a_recurrence_is_n_steps() -> None:
    layer = nn.RNN(2, 2, batch_first=True)
    found = _longest([lambda x: layer(x)[0]], 16)
    assert all(found[d] == d for d in range(1, 16))


def test_maximum_path_of_dilated_convolutions_is_logarithmic() -> None:
    for layers, length in ((2, 9), (3, 27)):
        stack = [_convolution(2, K**i) for i in range(layers)]
        found = _longest(stack, length)
        assert max(found.values()) == layers == round(math.log(length, K))


def test_maximum_path_of_plain_convolutions_is_n_over_k() -> None:
    length = 13
    found = _longest([_convolution(2)] * 6, length)
    assert all(found[d] == math.ceil(d / (K - 1)) for d in range(1, length))


def test_maximum_path_of_restricted_attention_is_n_over_r() -> None:
    length = 13
    found = _longest([_restricted(2)] * 4, length)
    assert all(found[d] == math.ceil(d / (R - 1)) for d in range(1, length))
