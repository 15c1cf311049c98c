"""How far apart two positions are: the shortest path of dependent kernels from i to j.

An element shadow on real tensors at small T: a min-plus product over the elements that each
kernel's result reads, with the rule that a product with a constant zero (a masked weight)
depends on nothing.

Source: maximum path length as in Vaswani et al. 2017, table 1, measured instead of declared.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.distances import DOWN, KERNELS, UP, Nearest
from phalanx.profiling.elements.elements import FAR, Distances, Elements
from phalanx.profiling.elements.gradients import standing_for_input
from phalanx.profiling.elements.mode import ElementMode
from phalanx.profiling.elements.path_rules import Call, follow
from phalanx.profiling.span import Law

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Paths:
    """Shortest paths from each input position i to each output position j; inf where none is.

    Args:
        kernels_ij: kernels on the way that compute; moves of data are none.
        exchanges_ij: kernels on the way at which information passes from one position to
            another: 1 in an attention, abs(i - j) in a recurrent layer. Exact in one mixer, and
            in a causal stack; through a stack that is not causal compose the layers' matrices
            with ``then``.
    """

    kernels_ij: Matrix
    exchanges_ij: Matrix

    @property
    def causal(self) -> bool:
        """Whether no path leads from a position to an earlier one."""
        backwards = np.tril_indices_from(self.kernels_ij, -1)
        return not np.isfinite(self.kernels_ij[backwards]).any()

    def longest(self, kind: str = "exchanges") -> dict[int, float]:
        """Distance d = j - i -> the longest of the shortest paths between such positions.

        ``kind`` is ``exchanges`` or ``kernels``; inf where some pair at d has no path.
        """
        matrix = {"exchanges": self.exchanges_ij, "kernels": self.kernels_ij}[kind]
        return {d: float(np.diagonal(matrix, d).max()) for d in range(matrix.shape[1])}

    def law(self, kind: str = "exchanges") -> Law:
        """Growth with d of the longest path at distances 1 to d, as far as positions are joined.

        Raises:
            ValueError: positions are joined at fewer than three distances.
        """
        found, most = {}, 0.0
        for d, length in self.longest(kind).items():
            if d > 0 and np.isfinite(length):
                found[d] = most = max(most, length)
        return Law.fit(found)

    @property
    def receptive_field(self) -> int:
        """The greatest distance d = j - i at which every pair is joined; -1 where none is."""
        joined = [d for d, v in self.longest("kernels").items() if np.isfinite(v)]
        return max(joined, default=-1)


def then(first_ij: Matrix, second_jk: Matrix) -> Matrix:
    """Shortest paths through one layer and then another: the min-plus product."""
    composed: Matrix = (first_ij[:, :, None] + second_jk[None]).min(1)
    return composed


def paths(fn: Callable[[Tensor], Tensor], x: Tensor, *, at: nn.Module | None = None) -> Paths:
    """Trace ``y = fn(x)`` element by element.

    A pure move of data (a copy, a concatenation, a pick) is no kernel on the way, as it has no
    scalar depth.

    Args:
        fn: any module or function of CPU tensors, without host reads of what depends on x.
        x: (B, T, ...) input, vectors or ids; axis 1 is the position. Small: T <= 32.
        at: the module whose output (B, T, ...) stands for the input, such as the embedding of
            ids: what the host reads of the ids is then no obstacle.

    Returns:
        Paths between the T positions of x and the positions on axis 1 of y.

    Raises:
        UnfollowedOperatorError: an operator without a rule is on a path.
        PhalanxError: the host reads what depends on x.
    """
    if x.dim() < 2:
        raise ValueError(f"x needs a batch and a position axis, (B, T, ...), got {tuple(x.shape)}.")
    mode = _PathMode(x.shape[1])
    if at is None:
        mode.start(x)
    with standing_for_input(at, mode.start), torch.no_grad(), mode:
        y = fn(x)
    if y.dim() < 2:
        raise ValueError(f"y needs a batch and a position axis, (B, T, ...), got {tuple(y.shape)}.")
    found = mode.elements(y)
    rest = tuple(axis for axis in range(2, found.distance.ndim) if axis != 3)
    nearest = found.distance.min(rest)
    nearest = np.broadcast_to(nearest, (*nearest.shape[:2], y.shape[1])).astype(float)  # (3, i, j)
    nearest[nearest >= FAR] = np.inf
    i, j = np.ogrid[: nearest.shape[1], : nearest.shape[2]]
    return Paths(nearest[KERNELS], np.where(i <= j, nearest[UP], nearest[DOWN]))


def hops(fn: Callable[[Tensor], Tensor], x: Tensor, i: int, j: int) -> float:
    """Kernels on the shortest path from position i of x to position j of ``fn(x)``."""
    return float(paths(fn, x).kernels_ij[i, j])


class _PathMode(ElementMode):
    def __init__(self, sources: int) -> None:
        super().__init__(Nearest(sources))

    def start(self, x: Tensor) -> None:
        """Each position of x (B, T, ...) is a source from here on."""
        kinds, sources = self.counting.lead
        if x.dim() < 2 or x.shape[1] != sources:
            raise ValueError(
                f"`at` gave {tuple(x.shape)}; it has to give (B, T, ...) with T = {sources}."
            )
        distance = np.full((kinds, sources, 1, sources), FAR, np.int16)
        distance[:, range(sources), :, range(sources)] = 0
        fixed = np.zeros((1,) * x.dim(), bool)
        wide = distance.reshape(*distance.shape, *[1] * (x.dim() - 2))
        self.shadow(x).write(x, Elements(tuple(x.shape), wide, fixed))

    def given(self, tensor: Tensor) -> tuple[Distances, bool]:
        # A parameter that is zero now may be another number after training.
        learned = isinstance(tensor, nn.Parameter) or tensor.requires_grad
        return self.nothing(), not learned

    def results(self, call: Call) -> list[Elements]:
        return follow(call)

    def host_read(self, read: list[Elements], name: str) -> None:
        if any(item.reached for item in read):
            raise PhalanxError(
                f"cannot follow paths through {name}: the host reads a value that "
                "depends on the input and may branch on it. Measure a part without the branch."
            )
