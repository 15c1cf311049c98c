"""Our attention and blocks against torch.nn.MultiheadAttention and the Transformer layers."""

import pytest
import torch
from torch import Tensor, nn

from phalanx.layers.block import PostNormBlock, PreNormBlock
from phalanx.layers.cross_block import PostNormCrossBlock
from phalanx.layers.feed_forward import FeedForward
from phalanx.mixers import Attention, BidirectionalAttention, CrossAttention
from phalanx.rows import Rows

WIDTH, HEADS, INNER, BATCH, LENGTH, MEMORY = 12, 3, 20, 3, 7, 5
LENGTHS = [7, 4, 2]


def close(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-13)


def disturb(module: nn.Module) -> nn.Module:
    """Weights away from their defaults, in fp64; dropout off."""
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def copy_attention(
    theirs: nn.MultiheadAttention, ours: Attention | BidirectionalAttention | CrossAttention
) -> None:
    ours.query.weight.data, ours.key_value.weight.data = (
        theirs.in_proj_weight.data[:WIDTH],
        theirs.in_proj_weight.data[WIDTH:],
    )
    ours.query.bias.data = theirs.in_proj_bias.data[:WIDTH]
    ours.key_value.bias.data = theirs.in_proj_bias.data[WIDTH:]
    ours.output.load_state_dict(theirs.out_proj.state_dict())


def copy_feed_forward(theirs: nn.Module, ours: FeedForward) -> None:
    ours.input.load_state_dict(theirs.linear1.state_dict())
    ours.output.load_state_dict(theirs.linear2.state_dict())


def inputs(length: int = LENGTH) -> Tensor:
    return torch.randn(BATCH, length, WIDTH, dtype=torch.float64)


def future() -> Tensor:
    """Torch's mask: True where attention is forbidden."""
    return torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("schedule", ["reference", "sdpa"])
def test_multihead_attention(causal: bool, schedule: str) -> None:
    theirs = disturb(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))
    ours = (Attention if causal else BidirectionalAttention)(WIDTH, HEADS, schedule=schedule)
    ours.double()
    copy_attention(theirs, ours)
    x_BTD = inputs().requires_grad_()
    mask = future() if causal else None
    expected, _ = theirs(x_BTD, x_BTD, x_BTD, attn_mask=mask, need_weights=False)
    y_BTD, _ = ours(x_BTD, Rows.full(BATCH, LENGTH))
    close(y_BTD, expected)
    weights = torch.randn_like(y_BTD)
    (found,) = torch.autograd.grad((y_BTD * weights).sum(), x_BTD)
    (truth,) = torch.autograd.grad((expected * weights).sum(), x_BTD)
    close(found, truth)


def test_multihead_attention_with_padding() -> None:
    theirs = disturb(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))
    ours = BidirectionalAttention(WIDTH, HEADS).double()
    copy_attention(theirs, ours)
    rows, x_BTD = Rows.padded(torch.tensor(LENGTHS), LENGTH), inputs()
    assert rows.keep_BT is not None
    expected, _ = theirs(x_BTD, x_BTD, x_BTD, key_padding_mask=~rows.keep_BT, need_weights=False)
    close(ours(x_BTD, rows)[0], rows.zero_padding(expected))


def test_cross_attention() -> None:
    theirs = disturb(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))
    ours = CrossAttention(WIDTH, HEADS).double()
    copy_attention(theirs, ours)
    x_BTD, memory_BSD = inputs(), inputs(MEMORY)
    memory_rows = Rows.padded(torch.tensor([5, 3, 1]), MEMORY)
    assert memory_rows.keep_BT is not None
    expected, _ = theirs(
        x_BTD, memory_BSD, memory_BSD, key_padding_mask=~memory_rows.keep_BT, need_weights=False
    )
    state = ours.remember(memory_BSD, memory_rows)
    close(ours(x_BTD, Rows.full(BATCH, LENGTH), state)[0], expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(causal: bool, norm_first: bool, activation: str) -> None:
    theirs = disturb(
        nn.TransformerEncoderLayer(
            WIDTH, HEADS, INNER, 0.0, activation, batch_first=True, norm_first=norm_first
        )
    )
    mixer = (Attention if causal else BidirectionalAttention)(WIDTH, HEADS)
    ours = (PreNormBlock if norm_first else PostNormBlock)(
        mixer, FeedForward(WIDTH, INNER, activation), lambda: nn.LayerNorm(WIDTH)
    ).double()
    copy_attention(theirs.self_attn, mixer)
    copy_feed_forward(theirs, ours.feed_forward)
    ours.mixer_norm.load_state_dict(theirs.norm1.state_dict())
    ours.feed_forward_norm.load_state_dict(theirs.norm2.state_dict())
    x_BTD = inputs()
    expected = theirs(x_BTD, src_mask=future() if causal else None, is_causal=causal)
    close(ours(x_BTD, Rows.full(BATCH, LENGTH))[0], expected)


def test_decoder_layer() -> None:
    theirs = disturb(nn.TransformerDecoderLayer(WIDTH, HEADS, INNER, 0.0, batch_first=True))
    ours = PostNormCrossBlock(WIDTH, HEADS, INNER).double()
    copy_attention(theirs.self_attn, ours.mixer)
    copy_attention(theirs.multihead_attn, ours.cross)
    copy_feed_forward(theirs, ours.feed_forward)
    norms = (ours.mixer_norm, ours.cross_norm, ours.feed_forward_norm)
    for norm, other in zip(norms, (theirs.norm1, theirs.norm2, theirs.norm3), strict=True):
        norm.load_state_dict(other.state_dict())
    x_BTD, memory_BSD = inputs(), inputs(MEMORY)
    memory_rows = Rows.padded(torch.tensor([5, 3, 1]), MEMORY)
    assert memory_rows.keep_BT is not None
    expected = theirs(
        x_BTD, memory_BSD, tgt_mask=future(), memory_key_padding_mask=~memory_rows.keep_BT
    )
    memory = ours.cross.remember(memory_BSD, memory_rows)
    close(ours(x_BTD, Rows.full(BATCH, LENGTH), memory)[0], expected)
