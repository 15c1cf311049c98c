"""Layers in which a position sees itself alone, and the blocks around mixers."""

import math

import pytest
import torch
from torch import nn

from phalanx.layers.block import BLOCKS, Block, PlainBlock
from phalanx.layers.cross_block import CrossBlock
from phalanx.layers.embedding import Embedding
from phalanx.layers.feed_forward import FeedForward
from phalanx.layers.norm import make_norm
from phalanx.layers.positions import LearnedPositions, SinusoidalPositions
from phalanx.mixers import GRU, Attention, BidirectionalAttention, CrossAttention
from phalanx.rows import Rows

WIDTH = 8


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "squared_relu"])
def test_feed_forward_treats_each_position_alone(activation: str) -> None:
    layer = FeedForward(WIDTH, 20, activation).double()
    x_BTD = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    order = torch.randperm(7)
    assert torch.allclose(layer(x_BTD[:, order]), layer(x_BTD)[:, order], rtol=1e-12)
    assert torch.allclose(layer(x_BTD[:, 3]), layer(x_BTD)[:, 3], rtol=1e-12)


def test_feed_forward_is_equation_2() -> None:
    layer = FeedForward(WIDTH, 20).double()
    x_BD = torch.randn(5, WIDTH, dtype=torch.float64)
    hidden = (x_BD @ layer.input.weight.t() + layer.input.bias).clamp(min=0)
    assert torch.allclose(layer(x_BD), hidden @ layer.output.weight.t() + layer.output.bias)


def test_embedding_scales_as_in_2017() -> None:
    plain, scaled = Embedding(50, 64), Embedding(50, 64, scaled=True)
    ids_BT = torch.arange(50)[None]
    assert torch.equal(plain(ids_BT)[0], plain.weight)
    assert torch.allclose(scaled(ids_BT)[0], scaled.weight * 8)
    assert float(scaled(ids_BT).detach().std()) == pytest.approx(1, abs=0.1)


def test_sinusoidal_positions_are_those_of_the_paper() -> None:
    layer = SinusoidalPositions(40, 6)
    y_BTD = layer(torch.zeros(1, 2, 6), torch.tensor([[0, 37]]))
    for pair in range(3):
        angle = 37 / 10000 ** (2 * pair / 6)
        assert float(y_BTD[0, 1, 2 * pair]) == pytest.approx(math.sin(angle), abs=1e-6)
        assert float(y_BTD[0, 1, 2 * pair + 1]) == pytest.approx(math.cos(angle), abs=1e-6)
    assert y_BTD[0, 0].tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("kind", [LearnedPositions, SinusoidalPositions])
def test_positions_beyond_the_table_fail(kind: type) -> None:
    layer = kind(4, WIDTH)
    with pytest.raises(IndexError):
        layer(torch.zeros(1, 1, WIDTH), torch.tensor([[4]]))


def test_norms() -> None:
    x_BTD = 3 * torch.randn(2, 5, WIDTH) + 1
    layer, rms = make_norm("layer", WIDTH)(x_BTD), make_norm("rms", WIDTH)(x_BTD)
    assert torch.allclose(layer.mean(-1), torch.zeros(2, 5), atol=1e-5)
    assert torch.allclose(rms.square().mean(-1), torch.ones(2, 5), atol=1e-4)
    assert make_norm("layer", WIDTH, bias=False).bias is None


def block_of(kind: str, mixer: nn.Module) -> Block:
    feed_forward = FeedForward(WIDTH, 16)
    return BLOCKS[kind](mixer, feed_forward, lambda: nn.LayerNorm(WIDTH)).double()


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_compute_what_they_say(kind: str) -> None:
    block = block_of(kind, GRU(WIDTH))
    x, rows = torch.randn(2, 4, WIDTH, dtype=torch.float64), Rows.full(2, 4)
    given = block.feed_forward
    assert given is not None
    mix = lambda x_BTD: block.mixer(x_BTD, rows)[0]  # noqa: E731  # read as the formula below
    if kind == "pre":
        middle = x + mix(block.mixer_norm(x))
        expected = middle + given(block.feed_forward_norm(middle))
    elif kind == "post":
        middle = block.mixer_norm(x + mix(x))
        expected = block.feed_forward_norm(middle + given(middle))
    else:
        expected = given(mix(x))
    assert torch.allclose(block(x, rows)[0], expected, rtol=1e-12)


def test_a_block_of_a_mixer_alone() -> None:
    mixer = GRU(WIDTH)
    block = PlainBlock(mixer, None, lambda: nn.LayerNorm(WIDTH))
    x_BTD, rows = torch.randn(2, 4, WIDTH), Rows.full(2, 4)
    assert torch.equal(block(x_BTD, rows)[0], mixer(x_BTD, rows)[0])


def test_a_block_around_a_bidirectional_mixer_has_no_step() -> None:
    block = block_of("pre", BidirectionalAttention(WIDTH, 2))
    state = GRU(WIDTH).empty_state(2, 0, torch.zeros(1))
    with pytest.raises(TypeError, match="BidirectionalAttention is not causal"):
        block.step(torch.zeros(2, WIDTH), state)


def test_the_memory_of_a_cross_block_moves_with_its_rows() -> None:
    reading = block_of("post", CrossAttention(WIDTH, 2)).float()
    block = CrossBlock(PlainBlock(Attention(WIDTH, 2), None, nn.Identity), reading)
    memory_BSD = torch.randn(3, 5, WIDTH)
    memory = block.cross.remember(memory_BSD, Rows.padded(torch.tensor([5, 2, 0]), 5))
    state = block.empty_state(memory, 4, memory_BSD)
    _, state = block.step(torch.randn(3, WIDTH), state, torch.tensor([True, False, True]))
    assert state.length_B.tolist() == [1, 0, 1]
    assert state.nbytes == state.own.nbytes + memory.nbytes
    chosen = state.select(torch.tensor([2, 1]))
    assert chosen.memory.length_B.tolist() == [0, 2]
    assert state.rewind(torch.tensor([1, 0, 0])).length_B.tolist() == [0, 0, 1]
    merged = state.put(torch.tensor([0]), chosen.select(torch.tensor([1])))
    assert merged.memory.length_B.tolist() == [2, 2, 0]
