"""How far a signal carries: the norm of an output's gradient against distance (claim C2)."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phalanx.comparison.clocks import figure
from phalanx.comparison.results import DistancePoint, Verdict
from phalanx.comparison.rules import GRADIENT
from phalanx.mixers import RNN
from phalanx.models import Decoder
from phalanx.profiling.elements.gradients import gradient_by_distance

LENGTH, ROWS = 64, 4
DISTANCES = (1, 2, 4, 8, 16, 24, 32, 40, 48, 56)
RADII = (0.5, 1.0, 1.5)
SEEDS = 3
_FIRST = 4  # nearer distances tell of the layers above, not of the way between positions


@dataclass(frozen=True)
class Carried:
    """One curve.

    Args:
        variant: ``fresh``, ``trained`` or ``radius R``.
        norms: distance -> median norm over seeds.
        decades: slope of log10 norm per position, one a seed.
    """

    variant: str
    norms: dict[int, float]
    decades: tuple[float, ...]

    def points(self, model: str) -> list[DistancePoint]:
        """The curve as the report draws it."""
        return [
            DistancePoint(model, "gradient", self.variant, distance, norm)
            for distance, norm in self.norms.items()
        ]

    def verdict(self, more: str = "") -> Verdict:
        """Vanishes, stable or explodes, over the seeds; ``more`` is added to how."""
        found = figure(self.decades)
        how = (
            f"Slope of log10 of the gradient's norm over distances {_FIRST} to {DISTANCES[-1]}, "
            f"{self.variant} weights, {found.repeats} seeds. {more}"
        )
        return GRADIENT.judge(found.median, found.low, found.high, how.strip())


def carried(models: Sequence[Decoder], tokens: Sequence[Tensor], variant: str) -> Carried:
    """Measure one curve from several seeds.

    Args:
        models: one a seed, or one for all.
        tokens: (B, T) tokens, one a seed.
        variant: what the models are.
    """
    curves = []
    for seed, ids_BT in enumerate(tokens):
        model = models[min(seed, len(models) - 1)]
        curves.append(
            gradient_by_distance(
                lambda ids, model=model: model.hidden(ids)[0],
                ids_BT,
                at=model.embedding,
                seed=seed,
            )
        )
    norms = {d: figure([curve[d] for curve in curves]).median for d in DISTANCES}
    return Carried(variant, norms, tuple(slope(curve) for curve in curves))


def slope(curve: Sequence[float]) -> float:
    """Decades per position: least squares of log10 norm on distance, from _FIRST on.

    A norm of zero (it left float32) is taken as the smallest number that float32 holds.
    """
    least = torch.finfo(torch.float32).tiny
    points = [
        (float(d), math.log10(max(curve[d], least)))
        for d in range(_FIRST, min(DISTANCES[-1], len(curve) - 1) + 1)
    ]
    mean_d = sum(d for d, _ in points) / len(points)
    mean_n = sum(n for _, n in points) / len(points)
    spread = sum((d - mean_d) ** 2 for d, _ in points)
    return sum((d - mean_d) * (n - mean_n) for d, n in points) / spread


def with_radius(model: Decoder, radius: float) -> Decoder | None:
    """A copy whose recurrent matrices have that spectral radius; None without an rnn layer."""
    changed = copy.deepcopy(model)
    cells = [module for module in changed.modules() if isinstance(module, RNN)]
    for cell in cells:
        weights = cell.weight_hh_l0.data
        present = torch.linalg.eigvals(weights.double().cpu()).abs().max()
        weights.mul_(float(radius / present))
    return changed if cells else None
