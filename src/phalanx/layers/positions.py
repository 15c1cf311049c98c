"""Absolute positions, added to the embedding. Rotary ones turn queries and keys (mixers/rotary)."""

import torch
from torch import Tensor, nn

from phalanx.config import ModelConfig
from phalanx.shapes import PerPosition, Sequence


class LearnedPositions(nn.Module):
    """One learned vector a position, up to ``context`` of them (GPT-2, BERT)."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(context, width))
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Normal weights of deviation 0.02, as in GPT-2."""
        nn.init.normal_(self.weight, std=0.02, generator=generator)

    def forward(self, x_BTD: Sequence, positions_BT: PerPosition) -> Sequence:
        """Add each position's vector; same shape."""
        return x_BTD + nn.functional.embedding(positions_BT, self.weight)


class SinusoidalPositions(nn.Module):
    """Sines and cosines of falling frequency (Vaswani et al. 2017, section 3.5)."""

    table_SD: Tensor

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table_SD", torch.empty(context, width), persistent=False)
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Fill the table; there is nothing to learn."""
        context, width = self.table_SD.shape
        device = self.table_SD.device
        place_S1 = torch.arange(context, device=device, dtype=torch.float64)[:, None]
        pair_D = torch.arange(width, device=device, dtype=torch.float64) // 2 * 2
        angle_SD = place_S1 / 10000.0 ** (pair_D / width)
        even_D = torch.arange(width, device=device) % 2 == 0
        self.table_SD.copy_(torch.where(even_D, angle_SD.sin(), angle_SD.cos()))

    def forward(self, x_BTD: Sequence, positions_BT: PerPosition) -> Sequence:
        """Add each position's vector; same shape."""
        return x_BTD + nn.functional.embedding(positions_BT, self.table_SD).to(x_BTD.dtype)


def make_positions(config: ModelConfig) -> LearnedPositions | SinusoidalPositions | None:
    """What a configuration adds to its embedding; None where mixers alone know positions."""
    if config.positions == "learned":
        return LearnedPositions(config.context, config.width)
    if config.positions == "sinusoidal":
        return SinusoidalPositions(config.context, config.width)
    return None
