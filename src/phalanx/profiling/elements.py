"""For every element of every tensor: the shortest way to it from each position of the input.

Three distances are kept, from each of S source positions: kernels; and exchanges, counted up and
down. An exchange is a kernel on the way whose result belongs to another position than what it
read, where a result belongs to the last ("up") or the first ("down") position that it depends on:
a pointwise layer makes none, one attention makes one, a recurrent step makes one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

KERNELS, UP, DOWN = 0, 1, 2
FAR = 2**14  # no path; the distances are int16, and a sum of FAR and a step still fits

Distances = NDArray[np.int16]  # (3, S, *shape)
Flags = NDArray[np.bool_]


@dataclass
class Elements:
    """The distances to a tensor's elements, and which of them are constants.

    Args:
        distance: (3, S, *shape), FAR where there is no path.
        fixed: (*shape), True where the value depends on neither sources nor parameters, so that a
            zero there is a zero always.
        value: the tensor's own values where any element is fixed, else None.
    """

    distance: Distances
    fixed: Flags
    value: NDArray[np.generic] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.fixed.shape

    @property
    def reached(self) -> bool:
        """Whether any element depends on any source."""
        return bool((self.distance[KERNELS] < FAR).any())

    def fixed_zero(self) -> Flags:
        """Elements that are the constant zero: a product with them depends on nothing."""
        if self.value is None:
            return np.zeros(self.shape, bool)
        return np.asarray(self.fixed & (self.value == 0), bool)

    def fixed_infinite(self) -> Flags:
        """Elements that are a constant infinity: a sum with them depends on nothing."""
        if self.value is None:
            return np.zeros(self.shape, bool)
        return np.asarray(self.fixed & np.isinf(self.value), bool)


def combine(parts: Sequence[Distances], shape: tuple[int, ...], sources: int) -> Distances:
    """One kernel: distances to its result from what each result element reads.

    Args:
        parts: arrays (3, S, *axes, R) whose axes broadcast to ``shape``; a result element reads
            the R elements beside it, of every part.
        shape: shape of the result.
        sources: S.
    """
    result = np.full((3, sources, *shape), FAR, np.int16)
    reach = np.zeros((sources, *shape), bool)
    for part in parts:
        reach |= (part[KERNELS] < FAR).any(-1)
    last, first = _homes(reach)
    for part in parts:
        part_last, part_first = _homes(part[KERNELS] < FAR)
        ways = part[KERNELS].min(-1) + np.int16(1)
        np.minimum(result[KERNELS], ways, out=result[KERNELS])
        for kind, ours, theirs in ((UP, last, part_last), (DOWN, first, part_first)):
            moves = theirs != ours[..., None]
            np.minimum(result[kind], (part[kind] + moves).min(-1), out=result[kind])
    return np.minimum(result, FAR).astype(np.int16)


def _homes(reach: Flags) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    # The last and the first source that an element depends on.
    sources = reach.shape[0]
    index = np.arange(1, sources + 1, dtype=np.int16).reshape(-1, *[1] * (reach.ndim - 1))
    last = (reach * index).max(0)
    first = (reach * index[::-1]).max(0)
    return last, first


def aligned(distance: Distances, rank: int) -> Distances:
    """Give (3, S, *shape) leading axes of 1, so that it broadcasts to a result of ``rank``."""
    missing = rank - (distance.ndim - 2)
    return distance.reshape(*distance.shape[:2], *[1] * missing, *distance.shape[2:])


def without(distance: Distances, closed: Flags) -> Distances:
    """The distances with no path through the elements that are ``closed`` (broadcast)."""
    if not closed.any():
        return distance
    return np.where(closed, np.int16(FAR), distance)


class ElementShadow:
    """The elements of one storage; read and written through tensors that view it."""

    def __init__(self, tensor: Tensor, sources: int, fixed: bool) -> None:
        self._size = tensor.element_size()
        count = tensor.untyped_storage().nbytes() // self._size
        self._distance = np.full((3, sources, count), FAR, np.int16)
        self._fixed = np.full(count, fixed)
        self.storage = tensor.untyped_storage()  # held: its address must stay its own

    def read(self, tensor: Tensor) -> Elements:
        """What ``tensor`` shows, with its present values where any is a constant."""
        fixed = self._view(self._fixed, tensor).copy()
        value = None
        if fixed.any():
            plain = tensor.detach()
            value = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy().copy()
        return Elements(self._view(self._distance, tensor).copy(), fixed, value)

    def write(self, tensor: Tensor, elements: Elements) -> None:
        """Set what ``tensor`` shows; ``elements`` broadcast to its shape."""
        rank = tensor.dim()
        self._view(self._distance, tensor)[...] = aligned(elements.distance, rank)
        self._view(self._fixed, tensor)[...] = elements.fixed

    def _view(self, array: NDArray, tensor: Tensor) -> NDArray:  # type: ignore[type-arg]  # of either dtype
        if tensor.element_size() != self._size:
            raise NotImplementedError("a storage seen as elements of two sizes")
        lead = array.shape[:-1]
        step = array.itemsize
        outer = [array.strides[axis] for axis in range(len(lead))]
        return np.ndarray(
            (*lead, *tensor.shape),
            array.dtype,
            array,
            tensor.storage_offset() * step,
            (*outer, *(stride * step for stride in tensor.stride())),
        )
