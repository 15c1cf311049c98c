"""Norms over the width of each position."""

from torch import nn


def make_norm(kind: str, width: int, bias: bool = True, epsilon: float | None = None) -> nn.Module:
    """``layer`` (Ba et al. 2016) or ``rms`` (Zhang and Sennrich 2019) norm over the last axis.

    ``epsilon`` is what keeps a zero vector from being divided by zero: 1e-5 and 1e-6 where None.
    """
    if kind == "layer":
        return nn.LayerNorm(width, eps=1e-5 if epsilon is None else epsilon, bias=bias)
    return nn.RMSNorm(width, eps=1e-6 if epsilon is None else epsilon)
