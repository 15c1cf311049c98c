"""What is known of a tensor's memory: one value per storage, or one per element when needed.

Keyed by storage and addressed by offset, sizes and strides, so that views, however they were
made, need no rules. A storage starts with one value for all of it; the first write to a part of
it spreads that value over an array of elements.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

Cells = NDArray[np.int32]


class StorageShadow:
    """The node (an int) that last wrote each element of one storage."""

    __slots__ = ("_cells", "_granule", "_holder", "_whole")

    def __init__(self, tensor: Tensor, node: int) -> None:
        # A weak reference frees the data and keeps the address from being given to another.
        self._holder = StorageWeakRef(tensor.untyped_storage())
        self._whole = node
        self._cells: Cells | None = None
        self._granule = 1  # bytes that one cell stands for

    def read(self, tensor: Tensor) -> Iterable[int]:
        """The nodes that wrote what ``tensor``, a view of this storage, shows; each once."""
        if self._cells is None:
            return (self._whole,)
        seen = self._window(tensor)
        if seen.size == 0:
            return ()
        first = int(seen.min())
        if first == seen.max():
            return (first,)
        nodes: list[int] = np.unique(seen).tolist()
        return nodes

    def write(self, tensor: Tensor, node: int) -> None:
        """Record that every element that ``tensor`` shows was written by ``node``."""
        if covers_storage(tensor):
            self._whole, self._cells = node, None
        elif self._cells is not None or node != self._whole:
            self._window(tensor)[...] = node

    def _window(self, tensor: Tensor) -> Cells:
        size, nbytes = tensor.element_size(), tensor.untyped_storage().nbytes()
        if self._cells is None:
            self._granule = size
            self._cells = np.full(nbytes // size, self._whole, np.int32)
        if size < self._granule:  # seen as a smaller type: view_as_real, view(dtype)
            self._cells = np.repeat(self._cells, self._granule // size)
            self._granule = size
        missing = nbytes // self._granule - self._cells.size
        if missing > 0:  # the storage has grown
            self._cells = np.pad(self._cells, (0, missing), constant_values=self._whole)
        ratio = size // self._granule
        window: Cells = np.ndarray(
            (*tensor.shape, ratio),
            np.int32,
            self._cells,
            tensor.storage_offset() * ratio * 4,
            (*(stride * ratio * 4 for stride in tensor.stride()), 4),
        )
        return window


def covers_storage(tensor: Tensor) -> bool:
    """Whether a write to ``tensor`` writes all of its storage."""
    if tensor.numel() * tensor.element_size() != tensor.untyped_storage().nbytes():
        return False
    if tensor.is_contiguous():
        return True
    # Dense in another order, such as a transposed matrix: distinct strides, each the product of
    # the sizes below it.
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def storage_key(tensor: Tensor) -> int:
    """The address of the tensor's storage object: equal for all its views."""
    key: int = tensor.untyped_storage()._cdata
    return key
