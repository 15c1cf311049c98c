"""Rotary position embedding (Su et al. 2021): angles that make products depend on distance."""

import torch
from torch import Tensor, nn

from phalanx.shapes import PerPosition


class Rotary(nn.Module):
    """Turns pairs of a head's coordinates by angles proportional to the position.

    Coordinate i is paired with i + K/2, as in Llama and GPT-NeoX.
    """

    frequencies: Tensor

    def __init__(self, head_width: int, base: float = 10000.0) -> None:
        super().__init__()
        if head_width % 2:
            raise ValueError(f"rotary positions need an even head width; given {head_width}")
        self.head_width = head_width
        self.base = base
        self.register_buffer("frequencies", torch.empty(head_width // 2), persistent=False)
        self.fill()

    def fill(self) -> None:
        """Fill the buffer, after building on the meta device."""
        exponents = torch.arange(0, self.head_width, 2, device=self.frequencies.device)
        self.frequencies.copy_(self.base ** (-exponents / self.head_width))

    def forward(self, x_BHTK: Tensor, positions_BT: PerPosition) -> Tensor:
        """Turn every head of ``x_BHTK`` according to its position; same shape."""
        angles_B1TK = (positions_BT[..., None] * self.frequencies)[:, None]
        cos, sin = angles_B1TK.cos().to(x_BHTK.dtype), angles_B1TK.sin().to(x_BHTK.dtype)
        first, second = x_BHTK.chunk(2, -1)
        return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)
