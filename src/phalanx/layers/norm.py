"""Norms over the width of each position."""

from torch import nn


def make_norm(kind: str, width: int, bias: bool = True) -> nn.Module:
    """``layer`` (Ba et al. 2016) or ``rms`` (Zhang and Sennrich 2019) norm over the last axis."""
    if kind == "layer":
        return nn.LayerNorm(width, bias=bias)
    return nn.RMSNorm(width, eps=1e-6)
