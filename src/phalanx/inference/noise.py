"""Random numbers that are looked up, not drawn: a pure function of what they are for.

The number for a token depends on (seed, sample number, absolute position, token id) and on nothing
else, so a sampled text does not depend on its neighbours in a batch, on how it was computed, or on
what was drawn before. Integer arithmetic alone, so that processor and GPU agree to the bit.

Source: SplitMix64 (Steele, Lea and Flood 2014), its mixing function chained over the four numbers.
"""

import torch
from torch import Tensor

from phalanx.shapes import PerRow

_STEP = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, odd
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)
_BITS = 52  # (k + 1/2) / 2^52 is exact in float64 and never 0 or 1


def _signed(value: int) -> int:
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value


def _shifted(x: Tensor, bits: int) -> Tensor:
    # A shift of int64 copies the sign; the mask makes it the unsigned one.
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def mix(x: Tensor) -> Tensor:
    """SplitMix64's finalizer: a permutation of int64 in which every bit affects every other."""
    first, second = (_signed(factor) for factor in _FACTORS)
    x = (x ^ _shifted(x, _SHIFTS[0])) * first
    x = (x ^ _shifted(x, _SHIFTS[1])) * second
    return x ^ _shifted(x, _SHIFTS[2])


def fold(key: Tensor, number: Tensor) -> Tensor:
    """The key that belongs to ``number`` under ``key``; both int64, broadcast together."""
    return mix(key + (number + 1) * _signed(_STEP))


def request_keys(seed: int, samples_B: PerRow) -> PerRow:
    """One key a row: of the request's seed (any integer) and the number of the sample."""
    seed_B = torch.full_like(samples_B, _signed(seed))
    return fold(mix(seed_B), samples_B)


def uniform(keys_B: PerRow, positions_B: PerRow, count: int) -> Tensor:
    """Numbers in (0, 1), float64 (B, count): one for each token id below ``count``."""
    tokens_V = torch.arange(count, device=keys_B.device)
    bits_BV = fold(fold(keys_B, positions_B)[:, None], tokens_V)
    return (_shifted(bits_BV, 64 - _BITS).double() + 0.5) * 2.0**-_BITS


def gumbel(keys_B: PerRow, positions_B: PerRow, count: int) -> Tensor:
    """Standard Gumbel numbers, float64 (B, count).

    The index of the largest log p + Gumbel is a sample of p (Gumbel 1954).
    """
    return -(-uniform(keys_B, positions_B, count).log()).log()
