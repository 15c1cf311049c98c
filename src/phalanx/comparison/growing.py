"""One architecture at several sizes: the same layers, mixers and heads at a growing width."""

import math
from dataclasses import dataclass

import torch

from phalanx.comparison.products import products
from phalanx.comparison.subjects import Subject, without_dropout

ENDS = (100_000, 6_400_000)  # parameters outside the tables at which the structure is traced
LENGTH = 64  # positions of a row
_LARGE = 20_000_000  # parameters: beyond this, kernels are traced on meta, without memory


@dataclass(frozen=True)
class Grown:
    """A training pass of one row of LENGTH positions at one size.

    Args:
        parameters: outside the tables of tokens, positions and outputs, as they came out.
        flops: inside matrix products.
        flops_per_kernel: FLOPs for each dependent kernel.
        intensity: FLOPs per byte inside the products.
    """

    parameters: int
    flops: int
    flops_per_kernel: float
    intensity: float


def grown(subject: Subject, size: int) -> Grown:
    """Trace a model's training pass at another size."""
    with torch.random.fork_rng(devices=[]), torch.device("meta" if size > _LARGE else "cpu"):
        model = without_dropout(subject.sized(size))
        found = products(model, LENGTH)
    return Grown(model.parameter_counts()[1], found.flops, found.flops_per_kernel, found.intensity)


def exponent(small: Grown, large: Grown) -> float:
    """e in FLOPs per dependent kernel ~ parameters^e; nan where the size did not grow."""
    if large.parameters <= small.parameters:
        return math.nan
    return math.log(large.flops_per_kernel / small.flops_per_kernel) / math.log(
        large.parameters / small.parameters
    )
