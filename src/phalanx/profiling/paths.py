"""How far apart two positions are: the shortest path of dependent kernels from i to j.

An element shadow on real tensors at small T: a min-plus product over the elements that each
kernel's result reads, with the rule that a product with a constant zero (a masked weight)
depends on nothing.

Source: maximum path length as in Vaswani et al. 2017, table 1, measured instead of declared.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from phalanx.errors import PhalanxError
from phalanx.profiling.algorithm import as_algorithm
from phalanx.profiling.elements import DOWN, FAR, KERNELS, UP, Elements, ElementShadow
from phalanx.profiling.operators import describe, tensors_of
from phalanx.profiling.path_rules import Call, follow
from phalanx.profiling.span import Law

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Paths:
    """Shortest paths from each input position i to each output position j; inf where none is.

    Args:
        kernels_ij: kernels on the way.
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


def paths(fn: Callable[[Tensor], Tensor], x: Tensor) -> Paths:
    """Trace ``y = fn(x)`` element by element.

    Args:
        fn: any module or function of CPU tensors, without host reads of what depends on x.
        x: (B, T, ...) input, vectors or ids; axis 1 is the position. Small: T <= 32, width <= 16.

    Returns:
        Paths between the T positions of x and the positions on axis 1 of y.

    Raises:
        UnfollowedOperatorError: an operator without a rule is on a path.
    """
    if x.dim() < 2:
        raise ValueError(f"x needs a batch and a position axis, (B, T, ...), got {tuple(x.shape)}.")
    with torch.no_grad(), _PathMode(x) as mode:
        y = fn(x)
    found = mode.elements(y)
    rest = tuple(axis for axis in range(2, found.distance.ndim) if axis != 3)
    nearest = found.distance.min(rest).astype(np.float64)  # (3, i, j)
    nearest[nearest >= FAR] = np.inf
    i, j = np.ogrid[: nearest.shape[1], : nearest.shape[2]]
    return Paths(nearest[KERNELS], np.where(i <= j, nearest[UP], nearest[DOWN]))


def hops(fn: Callable[[Tensor], Tensor], x: Tensor, i: int, j: int) -> float:
    """Kernels on the shortest path from position i of x to position j of ``fn(x)``."""
    return float(paths(fn, x).kernels_ij[i, j])


class _PathMode(TorchDispatchMode):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self._sources = x.shape[1]
        self._shadows: dict[int, ElementShadow] = {}
        self._stack = ExitStack()
        distance = np.full((3, self._sources, *x.shape), FAR, np.int16)
        for t in range(self._sources):
            distance[:, t, :, t] = 0
        self._shadow(x).write(x, Elements(distance, np.zeros(tuple(x.shape), bool)))

    def elements(self, tensor: Tensor) -> Elements:
        """What is known of a tensor's elements."""
        return self._shadow(tensor).read(tensor)

    def __enter__(self) -> Self:
        self._stack.enter_context(as_algorithm())
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._stack.close()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        operator = describe(func)
        if operator.composite:
            super().__enter__()
            try:
                return func.decompose(*args, **kwargs)
            finally:
                super().__exit__(None, None, None)
        inputs = operator.inputs(args, kwargs)
        before = {id(tensor): self.elements(tensor) for tensor in inputs}
        result = func(*args, **kwargs)
        if operator.host_waits(args, kwargs) and any(item.reached for item in before.values()):
            raise PhalanxError(
                f"cannot follow paths through {operator.name}: the host reads a value that "
                "depends on the input and may branch on it. Measure a part without the branch."
            )
        targets = operator.targets(args, kwargs)
        fresh = [out for out in tensors_of(result) if _key(out) not in self._shadows]
        outs = fresh or targets
        if not outs:
            return result  # a view
        if operator.lifts or not inputs:
            constant = self._constant(outs)
        else:
            constant = follow(Call(func, args, kwargs, before, outs, self._sources))
        for out, item in zip(outs, constant, strict=True):
            self._shadow(out).write(out, item)
        return result

    def _constant(self, outs: list[Tensor]) -> list[Elements]:
        far = np.full((3, self._sources), FAR, np.int16)
        return [
            Elements(far.reshape(3, -1, *[1] * out.dim()), np.ones(tuple(out.shape), bool))
            for out in outs
        ]

    def _shadow(self, tensor: Tensor) -> ElementShadow:
        key = _key(tensor)
        if key not in self._shadows:
            # A parameter that is zero now may be another number after training.
            fixed = not isinstance(tensor, torch.nn.Parameter)
            self._shadows[key] = ElementShadow(tensor, self._sources, fixed)
        return self._shadows[key]


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key
