"""For every element of every tensor: the distance to it, from positions or along the longest chain.

Distances are arrays (C, S, *axes): C kinds, S sources, and axes that broadcast to the tensor's
shape. An axis along which all elements are alike has size 1: what a product makes of a weight is
alike over its columns, so that a real model's tensors take no memory for each element.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from phalanx.profiling.tracing.shadow import covers_storage

FAR = 2**14  # no path; the distances are int16, and a sum of FAR and a step still fits

Distances = NDArray[np.int16]  # (C, S, *axes)
Flags = NDArray[np.bool_]  # (*axes)


@dataclass(frozen=True)
class Elements:
    """The distances to a tensor's elements, and which of them are constants.

    Args:
        shape: of the tensor.
        distance: (C, S, *axes), FAR where there is no path; axes broadcast to ``shape``.
        fixed: (*axes), True where the value depends on neither sources nor parameters, so that a
            zero there is a zero always.
        value: the tensor's own values where any element is fixed, else None.
    """

    shape: tuple[int, ...]
    distance: Distances
    fixed: Flags
    value: Tensor | None = None

    @cached_property
    def reached(self) -> bool:
        """Whether any element depends on any source."""
        return bool((self.distance[0] < FAR).any())

    @property
    def all_fixed(self) -> bool:
        """Whether every element is a constant."""
        return bool(self.fixed.all())

    @cached_property
    def fixed_zero(self) -> Flags:
        """Elements that are the constant zero: a product with them depends on nothing."""
        return self.where_fixed(lambda value: value == 0)

    @cached_property
    def fixed_huge(self) -> Flags:
        """Constants so large that a sum with one depends on nothing: +-inf, +-finfo.max."""

        def huge(value: Tensor) -> Tensor:
            if not value.is_floating_point():
                return torch.zeros_like(value, dtype=torch.bool)
            return value.abs() >= torch.finfo(value.dtype).max / 2

        return self.where_fixed(huge)

    def where_fixed(self, holds: Callable[[Tensor], Tensor]) -> Flags:
        """Constants of which ``holds``, as axes that broadcast to the shape."""
        if self.value is None:
            return np.zeros((1,) * len(self.shape), bool)
        return compress(self.fixed & holds(self.value).resolve_neg().numpy())


def compress(array: NDArray, lead: int = 0) -> NDArray:  # type: ignore[type-arg]  # of any dtype
    """Give every axis from ``lead`` on along which all is equal the size 1."""
    for axis in range(lead, array.ndim):
        if array.shape[axis] > 1:
            first = array[(slice(None),) * axis + (slice(0, 1),)]
            if (array == first).all():
                array = first
    return array


def aligned(array: NDArray, rank: int, lead: int = 2) -> NDArray:  # type: ignore[type-arg]  # of any dtype
    """Put axes of 1 behind the ``lead`` first ones, so that the rest broadcasts to ``rank``."""
    missing = rank - (array.ndim - lead)
    return array.reshape((*array.shape[:lead], *[1] * missing, *array.shape[lead:]))


class ElementShadow:
    """The elements of one storage; read and written through tensors that view it.

    ``_numbers`` says for each element of the storage which column of ``_columns`` holds its
    distances; None: the first one, for all. A written tensor gives one column to elements that
    are alike, and a view that is read finds them alike again.
    """

    def __init__(self, tensor: Tensor, distance: Distances, fixed: bool) -> None:
        # A weak reference frees the data and keeps the address from being given to another.
        self._holder = StorageWeakRef(tensor.untyped_storage())
        self._columns = distance.reshape(*distance.shape[:2], 1)
        self._fixed = np.array([fixed])
        self._numbers: NDArray[np.int32] | None = None
        self._granule = tensor.element_size()  # bytes that one number stands for

    @property
    def dead(self) -> bool:
        """Whether the storage is freed, so that nobody can ask again."""
        return bool(self._holder.expired())

    def read(self, tensor: Tensor) -> Elements:
        """What ``tensor`` shows, with its present values where any is a constant."""
        rank = tensor.dim()
        window = np.zeros((1,) * (rank + 1), np.int32)
        if 0 in tensor.shape:  # nothing is shown
            lead = self._columns.shape[:2]
            return Elements(
                tuple(tensor.shape),
                np.full((*lead, *window.shape[:-1]), FAR, np.int16),
                np.ones(window.shape[:-1], bool),
            )
        if self._numbers is not None:
            window = compress(self._window(tensor))
        # Several small elements seen as one, such as a complex number: the nearest of them.
        distance = self._columns[:, :, window].min(-1)
        fixed = np.asarray(self._fixed[window].all(-1))
        value = tensor.detach() if fixed.any() else None
        return Elements(tuple(tensor.shape), distance, fixed, value)

    def write(self, tensor: Tensor, elements: Elements) -> None:
        """Set what ``tensor`` shows; ``elements`` broadcast to its shape."""
        rank = tensor.dim()
        distance = aligned(elements.distance, rank)
        fixed = aligned(elements.fixed, rank, 0)
        axes = np.broadcast_shapes(distance.shape[2:], fixed.shape)
        lead = distance.shape[:2]
        columns = np.broadcast_to(distance, (*lead, *axes)).reshape(*lead, -1)
        flags = np.broadcast_to(fixed, axes).reshape(-1)
        numbers = np.arange(columns.shape[-1], dtype=np.int32).reshape(axes)
        if covers_storage(tensor, tensor.untyped_storage().nbytes()):
            self._columns, self._fixed, self._numbers = columns, flags, None
            if numbers.size == 1:
                return
            start = 0
        else:
            start = self._columns.shape[-1]
            self._columns = np.concatenate([self._columns, columns], -1)
            self._fixed = np.concatenate([self._fixed, flags])
        self._window(tensor)[...] = numbers[..., None] + start
        self._forget_unused()

    def _forget_unused(self) -> None:
        # Memory that is written again and again leaves columns behind that nothing shows.
        if self._numbers is not None and self._columns.shape[-1] > 2 * self._numbers.size + 64:
            used, numbers = np.unique(self._numbers, return_inverse=True)
            self._numbers = numbers.astype(np.int32)
            self._columns, self._fixed = self._columns[..., used], self._fixed[used]

    def _window(self, tensor: Tensor) -> NDArray[np.int32]:
        # (*shape, R): the numbers of the R granules that each element of ``tensor`` consists of.
        size, nbytes = tensor.element_size(), tensor.untyped_storage().nbytes()
        if self._numbers is None:
            self._granule = size
            self._numbers = np.zeros(nbytes // size, np.int32)
        if size < self._granule:  # seen as a smaller type: view_as_real, view(dtype)
            self._numbers = np.repeat(self._numbers, self._granule // size)
            self._granule = size
        missing = nbytes // self._granule - self._numbers.size
        if missing > 0:  # the storage has grown
            self._numbers = np.pad(self._numbers, (0, missing))
        ratio, step = size // self._granule, self._numbers.itemsize
        window: NDArray[np.int32] = np.ndarray(
            (*tensor.shape, ratio),
            np.int32,
            self._numbers,
            tensor.storage_offset() * ratio * step,
            (*(stride * ratio * step for stride in tensor.stride()), step),
        )
        return window
