"""Weights of torch.nn's attention and Transformer layers, moved to ours."""

import torch
from torch import Tensor, nn

from phalanx.layers.block import Block
from phalanx.layers.cross_block import CrossBlock


def close(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=1e-12, atol=1e-13)


def disturb(module: nn.Module) -> nn.Module:
    """Weights away from their defaults, in fp64; dropout off."""
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def copy_attention(theirs: nn.MultiheadAttention, ours: nn.Module) -> None:
    width = theirs.embed_dim
    ours.query.weight.data, ours.key_value.weight.data = (
        theirs.in_proj_weight.data[:width],
        theirs.in_proj_weight.data[width:],
    )
    ours.query.bias.data = theirs.in_proj_bias.data[:width]
    ours.key_value.bias.data = theirs.in_proj_bias.data[width:]
    ours.output.load_state_dict(theirs.out_proj.state_dict())


def copy_feed_forward(theirs: nn.Module, ours: nn.Module) -> None:
    ours.input.load_state_dict(theirs.linear1.state_dict())
    ours.output.load_state_dict(theirs.linear2.state_dict())


def copy_encoder_layer(theirs: nn.TransformerEncoderLayer, ours: Block) -> None:
    copy_attention(theirs.self_attn, ours.mixer)
    copy_feed_forward(theirs, ours.feed_forward)
    ours.mixer_norm.load_state_dict(theirs.norm1.state_dict())
    ours.feed_forward_norm.load_state_dict(theirs.norm2.state_dict())


def copy_decoder_layer(theirs: nn.TransformerDecoderLayer, ours: CrossBlock) -> None:
    copy_attention(theirs.self_attn, ours.own.mixer)
    copy_attention(theirs.multihead_attn, ours.cross)
    copy_feed_forward(theirs, ours.reading.feed_forward)
    norms = (ours.own.mixer_norm, ours.reading.mixer_norm, ours.reading.feed_forward_norm)
    for norm, other in zip(norms, (theirs.norm1, theirs.norm2, theirs.norm3), strict=True):
        norm.load_state_dict(other.state_dict())
