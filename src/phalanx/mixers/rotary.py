"""Rotary position embedding (Su et al. 2021): angles that make products depend on distance.

Coordinate i of a head is paired with i + K/2, as in Llama and GPT-NeoX.
"""

import math

import torch
from torch import Tensor

from phalanx.config import RotaryScaling
from phalanx.shapes import PerPosition


def angles(
    positions_BT: PerPosition,
    head_width: int,
    like: Tensor,
    base: float = 10_000.0,
    scaling: RotaryScaling | None = None,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, 1, T, K/2) of every position's angles, in the dtype of ``like``.

    The angles themselves have the precision of fp32 or more: in bf16 a position beyond 256 is
    rounded already.
    """
    kind = torch.promote_types(like.dtype, torch.float32)
    pairs_K = torch.arange(0, head_width, 2, device=positions_BT.device, dtype=kind)
    # Llama's own order of operations: at position 100,000 a frequency's last bit is seen.
    frequencies_K = (base ** (pairs_K / head_width)).reciprocal()
    if scaling is not None:
        frequencies_K = _scaled(frequencies_K, scaling)
    angles_B1TK = positions_BT[:, None, :, None] * frequencies_K
    return angles_B1TK.cos().to(like.dtype), angles_B1TK.sin().to(like.dtype)


def turn(x_BHTK: Tensor, cos_B1TK: Tensor, sin_B1TK: Tensor) -> Tensor:
    """Turn pairs of every head's coordinates by their position's angles; same shape."""
    first, second = x_BHTK.chunk(2, -1)
    return torch.cat(
        [first * cos_B1TK - second * sin_B1TK, first * sin_B1TK + second * cos_B1TK], -1
    )


def _scaled(frequencies_K: Tensor, scaling: RotaryScaling) -> Tensor:
    """Slower frequencies, for a context longer than the first one (see ``RotaryScaling``).

    ``llama3`` (Grattafiori et al. 2024, as in Meta's code) keeps what turns at least
    ``high_frequency_factor`` times in the original context, divides what turns at most
    ``low_frequency_factor`` times, and goes evenly from one to the other between.
    """
    if scaling.kind == "linear":
        return frequencies_K / scaling.factor
    turns_K = scaling.original_context / (2 * math.pi / frequencies_K)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept_K = ((turns_K - low) / (high - low)).clamp(0, 1)
    return (1 - kept_K) * frequencies_K / scaling.factor + kept_K * frequencies_K
