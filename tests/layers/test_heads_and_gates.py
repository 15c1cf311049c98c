"""Gated feed-forward networks, Luong's attention and the transforms of heads, written out."""

import torch
from torch import nn

from phalanx.config import FeedForwardConfig
from phalanx.layers.feed_forward import FeedForward, GatedFeedForward, make_feed_forward
from phalanx.layers.heads import make_transform
from phalanx.mixers import LuongAttention
from phalanx.rows import Rows

WIDTH = 8


def test_a_gated_feed_forward_is_swiglu() -> None:
    layer = GatedFeedForward(WIDTH, 20).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x_BTD = torch.randn(2, 5, WIDTH, dtype=torch.float64)
    gate = x_BTD @ layer.gate.weight.t() + layer.gate.bias
    gate = gate / (1 + torch.exp(-gate))
    hidden = gate * (x_BTD @ layer.input.weight.t() + layer.input.bias)
    expected = hidden @ layer.output.weight.t() + layer.output.bias
    torch.testing.assert_close(layer(x_BTD), expected, rtol=1e-12, atol=1e-12)


def test_a_configuration_chooses_the_feed_forward() -> None:
    gated = make_feed_forward(WIDTH, FeedForwardConfig(width=12, activation="swiglu", bias=False))
    assert isinstance(gated, GatedFeedForward)
    assert sum(parameter.numel() for parameter in gated.parameters()) == 3 * 12 * WIDTH
    plain = make_feed_forward(WIDTH, FeedForwardConfig(width=12, activation="gelu"))
    assert type(plain) is FeedForward


def test_a_gated_feed_forward_is_drawn_from_the_generator() -> None:
    first, second = GatedFeedForward(WIDTH, 12), GatedFeedForward(WIDTH, 12)
    for layer in (first, second):
        layer.init_weights(torch.Generator().manual_seed(2))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert bool(first.gate.weight.ne(first.input.weight).any())


def test_luong_attention_with_general_scores() -> None:
    """Luong et al. 2015: score = h W s (8), a = softmax over s (7), c = sum a s, and tanh(W [c; h])
    (5). Ours, with one head, has one more linear map for what is read, here the identity."""
    layer = LuongAttention(WIDTH, 1, bias=False).double()
    general, joining = torch.randn(WIDTH, WIDTH).double(), torch.randn(WIDTH, 2 * WIDTH).double()
    identity = torch.eye(WIDTH, dtype=torch.float64)
    with torch.no_grad():
        layer.query.weight.copy_(general.t() * WIDTH**0.5)  # which the kernel divides by
        layer.key_value.weight.copy_(torch.cat([identity, identity]))
        layer.output.weight.copy_(joining)
    h_TD, s_SD = torch.randn(4, WIDTH).double(), torch.randn(6, WIDTH).double()
    y_BTD, _ = layer(h_TD[None], Rows.full(1, 4), layer.remember(s_SD[None], Rows.full(1, 6)))
    for t in range(4):
        scores = torch.stack([h_TD[t] @ general @ s for s in s_SD])
        weights = scores.exp() / scores.exp().sum()
        context = sum(weight * s for weight, s in zip(weights, s_SD, strict=True))
        expected = torch.tanh(joining @ torch.cat([context, h_TD[t]]))
        torch.testing.assert_close(y_BTD[0, t], expected, rtol=1e-12, atol=1e-12)


def test_a_memory_of_nothing_gives_nothing() -> None:
    layer = LuongAttention(WIDTH, 2).double()
    x_BD = torch.randn(3, WIDTH).double()
    y_BD, _ = layer.step(x_BD, layer.empty_state(3, 0, x_BD))
    expected_BD = torch.tanh(layer.output(torch.cat([torch.zeros_like(x_BD), x_BD], -1)))
    torch.testing.assert_close(y_BD, expected_BD, rtol=1e-12, atol=1e-12)


def test_a_linear_head_has_no_transform() -> None:
    assert make_transform("linear", WIDTH, nn.Identity) is None


def test_the_masked_head_gives_its_norm_the_type_of_its_input_in_autocast() -> None:
    """torch warns of a norm in float32 over bfloat16, and warnings are errors here."""
    head = make_transform("masked", WIDTH, lambda: nn.RMSNorm(WIDTH))
    assert head is not None
    with torch.autocast("cpu", torch.bfloat16):
        assert head(torch.randn(2, 3, WIDTH)).dtype == torch.float32
