"""How a fresh model's weights are drawn; a pure function of the generator's seed."""

import math

import torch
from torch import nn

from phalanx.layers.block import Block
from phalanx.layers.embedding import Embedding
from phalanx.layers.feed_forward import FeedForward
from phalanx.layers.positions import LearnedPositions, SinusoidalPositions
from phalanx.mixers.base import Mixer


def init_model(model: nn.Module, scheme: str, generator: torch.Generator | None) -> None:
    """Draw every weight of a model.

    ``glorot`` lets each layer draw its own; ``gpt2`` (Radford et al. 2019) draws all matrices from
    a normal distribution of deviation 0.02, those that end a residual branch divided by the square
    root of the number of branches.
    """
    for module in model.modules():
        if isinstance(module, (Block, Embedding, LearnedPositions, SinusoidalPositions)):
            module.init_weights(generator)
    _reset_norms(model)
    output = getattr(model, "output", None)
    if isinstance(output, nn.Linear):
        nn.init.normal_(output.weight, std=0.02, generator=generator)
        if output.bias is not None:
            nn.init.zeros_(output.bias)
    if scheme == "gpt2":
        _gpt2(model, generator)


def _reset_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
            module.reset_parameters()


def _gpt2(model: nn.Module, generator: torch.Generator | None) -> None:
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    branches = sum(2 if block.feed_forward is not None else 1 for block in blocks)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
    for module in model.modules():
        if isinstance(module, (Mixer, FeedForward)):
            ending = getattr(module, "output", None)
            if isinstance(ending, nn.Linear):
                nn.init.normal_(ending.weight, std=0.02 / math.sqrt(branches), generator=generator)
