"""Tokens to vectors, and vectors back to scores over tokens."""

import math

import torch
from torch import nn

from phalanx.shapes import Ids, Sequence


class Embedding(nn.Module):
    """One learned vector a token; ``scaled`` multiplies by sqrt(width), as in the 2017 paper."""

    def __init__(self, vocabulary: int, width: int, scaled: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary, width))
        self.scale = math.sqrt(width) if scaled else 1.0
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Normal weights; vectors of unit variance once scaled, of deviation 0.02 otherwise."""
        deviation = 0.02 if self.scale == 1.0 else 1.0 / self.scale
        nn.init.normal_(self.weight, std=deviation, generator=generator)

    def forward(self, ids_BT: Ids) -> Sequence:
        """Vectors (B, T, D) of the tokens (B, T)."""
        x_BTD = nn.functional.embedding(ids_BT, self.weight)
        return x_BTD if self.scale == 1.0 else x_BTD * self.scale
