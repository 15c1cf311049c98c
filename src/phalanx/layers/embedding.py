"""Tokens and their types to vectors, and vectors back to scores over tokens."""

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


class TokenTypes(nn.Module):
    """One learned vector a type of token, such as the two texts of a pair (Devlin et al. 2019)."""

    def __init__(self, types: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(types, width))
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Normal weights of deviation 0.02, as in BERT."""
        nn.init.normal_(self.weight, std=0.02, generator=generator)

    def forward(self, x_BTD: Sequence, types_BT: Ids | None) -> Sequence:
        """Add the vector of each position's type, of type 0 where None; same shape."""
        if types_BT is None:
            return x_BTD + self.weight[0]
        return x_BTD + nn.functional.embedding(types_BT, self.weight)
