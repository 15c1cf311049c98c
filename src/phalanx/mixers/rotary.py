"""Rotary position embedding (Su et al. 2021): angles that make products depend on distance.

Coordinate i of a head is paired with i + K/2, as in Llama and GPT-NeoX.
"""

import torch
from torch import Tensor

from phalanx.shapes import PerPosition


def angles(
    positions_BT: PerPosition, head_width: int, like: Tensor, base: float = 10000.0
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, 1, T, K/2) of every position's angles, in the dtype of ``like``.

    The angles themselves have the precision of fp32 or more: in bf16 a position beyond 256 is
    rounded already.
    """
    kind = torch.promote_types(like.dtype, torch.float32)
    pairs_K = torch.arange(0, head_width, 2, device=positions_BT.device, dtype=kind)
    angles_B1TK = positions_BT[:, None, :, None] * base ** (-pairs_K / head_width)
    return angles_B1TK.cos().to(like.dtype), angles_B1TK.sin().to(like.dtype)


def turn(x_BHTK: Tensor, cos_B1TK: Tensor, sin_B1TK: Tensor) -> Tensor:
    """Turn pairs of every head's coordinates by their position's angles; same shape."""
    first, second = x_BHTK.chunk(2, -1)
    return torch.cat(
        [first * cos_B1TK - second * sin_B1TK, first * sin_B1TK + second * cos_B1TK], -1
    )
