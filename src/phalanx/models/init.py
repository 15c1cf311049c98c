"""How a fresh model's weights are drawn; a pure function of the generator's seed."""

import math

import torch
from torch import nn

from phalanx.layers.block import Block, PlainBlock
from phalanx.layers.embedding import Embedding, TokenTypes
from phalanx.layers.feed_forward import FeedForward
from phalanx.layers.heads import Transform
from phalanx.layers.positions import LearnedPositions, SinusoidalPositions
from phalanx.mixers.base import Mixer

# Parts that draw their own weights; what stands inside a block is drawn by the block.
_DRAWN = (Block, Embedding, TokenTypes, LearnedPositions, SinusoidalPositions, Transform)


def init_model(model: nn.Module, scheme: str, generator: torch.Generator | None) -> None:
    """Draw every weight of a model.

    ``glorot`` lets each layer draw its own. ``zero`` starts from that, with token vectors of unit
    variance, and zeros in the matrices that end a residual branch and in the output: the model
    begins as its embedding and predicts evenly (docs/log.md has what it gains). ``gpt2`` (Radford
    et al. 2019) draws all matrices from a normal distribution of deviation 0.02, those that end a
    residual branch divided by the square root of the number of branches.
    """
    for module in model.modules():
        if isinstance(module, _DRAWN):
            module.init_weights(generator)
        elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
            module.reset_parameters()
    output = getattr(model, "output", None)
    if isinstance(output, nn.Linear):
        nn.init.normal_(output.weight, std=0.02, generator=generator)
        if output.bias is not None:
            nn.init.zeros_(output.bias)
    bias = getattr(model, "output_bias", None)
    if isinstance(bias, nn.Parameter):
        nn.init.zeros_(bias)
    if scheme == "gpt2":
        _gpt2(model, generator)
    elif scheme == "zero":
        _zero(model, generator)


def _gpt2(model: nn.Module, generator: torch.Generator | None) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
    endings = _branch_endings(model)
    for ending in endings:
        nn.init.normal_(ending.weight, std=0.02 / math.sqrt(len(endings)), generator=generator)


def _zero(model: nn.Module, generator: torch.Generator | None) -> None:
    for module in model.modules():
        if isinstance(module, Embedding):
            nn.init.normal_(module.weight, std=1.0 / module.scale, generator=generator)
    for ending in _branch_endings(model):
        nn.init.zeros_(ending.weight)
    output = getattr(model, "output", None)
    if isinstance(output, nn.Linear):
        nn.init.zeros_(output.weight)


def _branch_endings(model: nn.Module) -> list[nn.Linear]:
    """The matrices that end a residual branch: the outputs of mixers and feed-forwards."""
    endings = []
    for block in model.modules():
        if isinstance(block, Block) and not isinstance(block, PlainBlock):
            for part in (block.mixer, block.feed_forward):
                ending = getattr(part, "output", None)
                if isinstance(part, (Mixer, FeedForward)) and isinstance(ending, nn.Linear):
                    endings.append(ending)
    return endings
