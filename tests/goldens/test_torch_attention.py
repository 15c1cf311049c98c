"""Our attention and blocks against torch.nn.MultiheadAttention and the Transformer layers."""

import pytest
import torch
from torch import Tensor, nn
from torch_weights import (
    close,
    copy_attention,
    copy_decoder_layer,
    copy_encoder_layer,
    disturb,
)

from phalanx.layers.block import PostNormBlock, PreNormBlock
from phalanx.layers.cross_block import CrossBlock
from phalanx.layers.feed_forward import FeedForward
from phalanx.mixers import Attention, BidirectionalAttention, CrossAttention
from phalanx.rows import Rows

WIDTH, HEADS, INNER, BATCH, LENGTH, MEMORY = 12, 3, 20, 3, 7, 5
LENGTHS = [7, 4, 2]


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
    expected, weights_BHTS = theirs(
        x_BTD,
        memory_BSD,
        memory_BSD,
        key_padding_mask=~memory_rows.keep_BT,
        average_attn_weights=False,
    )
    state = ours.remember(memory_BSD, memory_rows)
    close(ours(x_BTD, Rows.full(BATCH, LENGTH), state)[0], expected)
    close(ours.weights(x_BTD, Rows.full(BATCH, LENGTH), state), weights_BHTS)


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
    copy_encoder_layer(theirs, ours)
    x_BTD = inputs()
    expected = theirs(x_BTD, src_mask=future() if causal else None, is_causal=causal)
    close(ours(x_BTD, Rows.full(BATCH, LENGTH))[0], expected)


def test_decoder_layer() -> None:
    theirs = disturb(nn.TransformerDecoderLayer(WIDTH, HEADS, INNER, 0.0, batch_first=True))
    norm = lambda: nn.LayerNorm(WIDTH)  # noqa: E731  # as blocks take it
    reading = PostNormBlock(CrossAttention(WIDTH, HEADS), FeedForward(WIDTH, INNER), norm)
    ours = CrossBlock(PostNormBlock(Attention(WIDTH, HEADS), None, norm), reading).double()
    copy_decoder_layer(theirs, ours)
    x_BTD, memory_BSD = inputs(), inputs(MEMORY)
    memory_rows = Rows.padded(torch.tensor([5, 3, 1]), MEMORY)
    assert memory_rows.keep_BT is not None
    expected = theirs(
        x_BTD, memory_BSD, tgt_mask=future(), memory_key_padding_mask=~memory_rows.keep_BT
    )
    memory = ours.cross.remember(memory_BSD, memory_rows)
    close(ours(x_BTD, Rows.full(BATCH, LENGTH), memory)[0], expected)
