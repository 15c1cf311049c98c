"""What is known of a tensor's memory: who wrote it last, and when it was last in use.

Keyed by storage and addressed by offset, sizes and strides, so that views, however they were
made, need no rules. A storage has one value for all of it until a part of it is written.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from phalanx.profiling.tracing.cells import Cells, Geometry, distinct


class StorageShadow:
    """The last writer of each byte of one storage, and the schedule depth of its last use.

    The first gives read-after-write order, the second write-after-read and write-after-write.
    Reads of a part are kept aside until something is written that may have to wait for them.
    """

    __slots__ = ("_busy", "_in_use", "_nbytes", "_opaque", "_pending", "_whole", "_writers")

    def __init__(self, nbytes: int, node: int, schedule: int, opaque: bool) -> None:
        self._nbytes = nbytes
        self._opaque = opaque  # without sizes and strides: followed as a whole
        self._whole = node
        self._writers: Cells | None = None
        self._busy = schedule  # of all of it, at least
        self._in_use: Cells | None = None
        self._pending: dict[Geometry, int] = {}  # reads of parts that _in_use does not have yet

    @property
    def nbytes(self) -> int:
        """Bytes of the storage when it was last looked at."""
        return self._nbytes

    def read(self, tensor: Tensor) -> Sequence[int]:
        """The nodes that wrote what ``tensor``, a view of this storage, shows; each once."""
        if self._writers is None:
            return (self._whole,) if tensor.numel() else ()
        window = Geometry.of(tensor).window()
        if window is None:
            return ()
        return distinct(self._writers.touching(window, self._size(tensor)))

    def was_read(self, tensor: Tensor, schedule: int) -> None:
        """A kernel at this schedule depth has read ``tensor``."""
        if self._opaque or (tensor.nbytes == self._nbytes and tensor.is_contiguous()):
            self._busy = max(self._busy, schedule)
        else:
            where = Geometry.of(tensor)
            self._pending[where] = max(self._pending.get(where, 0), schedule)

    def waits(self, tensor: Tensor) -> int:
        """The schedule depth of the last use of what ``tensor`` shows, which is to be written."""
        if not tensor.numel():
            return 0
        if self._in_use is None and not self._pending:
            return self._busy
        if self._covered(tensor, self._size(tensor)):
            depths = [self._busy, *self._pending.values()]
            if self._in_use is not None:
                depths.append(int(self._in_use.values.max()))
            return max(depths)
        window = Geometry.of(tensor).window()
        if window is None:
            return 0
        nbytes = self._size(tensor)
        cells = self._in_use
        if cells is None:
            cells = self._in_use = Cells(nbytes, 0, window)
        for where, depth in self._pending.items():
            seen = where.window()
            if seen is not None:
                part = cells.exactly(seen, nbytes)
                np.maximum(part, depth, out=part)
        self._pending.clear()
        return max(self._busy, int(cells.exactly(window, nbytes).max()))

    def write(self, tensor: Tensor, node: int, schedule: int) -> None:
        """Record that every element that ``tensor`` shows was written by ``node``."""
        nbytes = self._size(tensor)
        if self._covered(tensor, nbytes):
            self._whole, self._writers = node, None
            self._busy, self._in_use = schedule, None
            self._pending.clear()
            return
        window = Geometry.of(tensor).window()
        if window is None:
            return
        if self._writers is None:
            self._writers = Cells(nbytes, self._whole, window)
        self._writers.exactly(window, nbytes)[...] = node
        if self._in_use is None:
            self._in_use = Cells(nbytes, 0, window)
        self._in_use.exactly(window, nbytes)[...] = schedule

    def name(self, tensor: Tensor, node: int) -> None:
        """What ``tensor`` shows is known by ``node`` from here on; nothing is written."""
        nbytes = self._size(tensor)
        if self._covered(tensor, nbytes):
            self._whole, self._writers = node, None
            return
        window = Geometry.of(tensor).window()
        if window is not None:
            if self._writers is None:
                self._writers = Cells(nbytes, self._whole, window)
            self._writers.exactly(window, nbytes)[...] = node

    def _covered(self, tensor: Tensor, nbytes: int) -> bool:
        return self._opaque or covers_storage(tensor, nbytes)

    def _size(self, tensor: Tensor) -> int:
        if not self._opaque:
            self._nbytes = tensor.untyped_storage().nbytes()
        return self._nbytes


def covers_storage(tensor: Tensor, nbytes: int) -> bool:
    """Whether a write to ``tensor`` writes all of its storage of ``nbytes``."""
    if tensor.nbytes != nbytes:
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


def size_of(tensor: Tensor) -> int:
    """Bytes of the elements that the tensor shows; of a sparse one as if it were dense."""
    return tensor.numel() * tensor.element_size()


def storage_key(tensor: Tensor) -> int:
    """The address of the tensor's storage object: equal for all its views; 0 without one."""
    try:
        key: int = torch._C._storage_address(tensor)  # type: ignore[attr-defined]
    except NotImplementedError:  # sparse, or in a layout of a vendor's library
        return 0
    return key
