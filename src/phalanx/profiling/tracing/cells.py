"""A number for every byte of a storage, kept in cells as large as the writes allow.

The first write to a part chooses the cell: a row written into a cache of keys is a few cells, not
thousands of elements. A later write that is finer splits them.
"""

from functools import lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Values = NDArray[np.int32]


class Geometry(NamedTuple):
    """Which elements of its storage a tensor shows; ``size`` is the bytes of an element."""

    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, tensor: Tensor) -> "Geometry":
        """The geometry of a tensor."""
        start = int(tensor.storage_offset())
        return cls(start, tensor.shape, tensor.stride(), tensor.element_size())

    def window(self) -> "Window | None":
        """The same as runs of bytes; None where nothing is shown."""
        if 0 in self.shape:
            return None
        return Window(self.offset * self.size, *_runs(self.shape, self.stride, self.size))


class Window(NamedTuple):
    """Runs of ``run`` bytes from ``start``, repeated: (step in bytes, count), steps ascending."""

    start: int
    run: int
    repeats: tuple[tuple[int, int], ...]


@lru_cache(10_000)
def _runs(
    shape: tuple[int, ...], strides: tuple[int, ...], size: int
) -> tuple[int, tuple[tuple[int, int], ...]]:
    run, repeats = size, list[tuple[int, int]]()
    dims = sorted((stride * size, count) for stride, count in zip(strides, shape, strict=True))
    for step, count in dims:
        if count == 1 or step == 0:
            continue
        if repeats and step == repeats[-1][0] * repeats[-1][1]:
            repeats[-1] = (repeats[-1][0], repeats[-1][1] * count)
        elif not repeats and step == run:
            run *= count
        else:
            repeats.append((step, count))
    return run, tuple(repeats)


class Cells:
    """One number for each of the storage's bytes, in cells of ``granule`` bytes."""

    __slots__ = ("_base", "granule", "values")

    def __init__(self, nbytes: int, base: int, window: Window) -> None:
        self._base = base
        self.granule = gcd(window.start, window.run, *(step for step, _ in window.repeats))
        self.values: Values = np.full(-(-nbytes // self.granule), base, np.int32)

    @property
    def nbytes(self) -> int:
        """Memory of the cells themselves."""
        return self.values.nbytes

    def exactly(self, window: Window, nbytes: int) -> Values:
        """The cells of just these bytes, to be written; cells are split where it needs that."""
        steps = [step for step, _ in window.repeats]
        self._split(gcd(self.granule, window.start, window.run, *steps))
        return self._show(window.start, window.run, window.repeats, nbytes)

    def touching(self, window: Window, nbytes: int) -> Values:
        """The cells that hold any of these bytes, to be read: all of a cell has one number."""
        granule, run = self.granule, window.run
        # Steps shorter than a cell skip none.
        small = [(step, count) for step, count in window.repeats if step < granule]
        large = window.repeats[len(small) :]
        if any(step % granule for step, _ in large):
            self._split(gcd(granule, *(step for step, _ in large)))
            return self.touching(window, nbytes)
        run += sum(step * (count - 1) for step, count in small)
        within = window.start % granule
        return self._show(window.start - within, within + run, large, nbytes)

    def _show(
        self, start: int, run: int, repeats: tuple[tuple[int, int], ...], nbytes: int
    ) -> Values:
        granule = self.granule
        missing = -(-nbytes // granule) - self.values.size
        if missing > 0:  # the storage has grown
            self.values = np.pad(self.values, (0, missing), constant_values=self._base)
        shape = (*(count for _, count in repeats), -(-run // granule))
        strides = (*(step // granule * 4 for step, _ in repeats), 4)
        return np.ndarray(shape, np.int32, self.values, start // granule * 4, strides)

    def _split(self, granule: int) -> None:
        if granule != self.granule:
            self.values = np.repeat(self.values, self.granule // granule)
            self.granule = granule


def distinct(values: Values) -> list[int]:
    """The different numbers, ascending."""
    low, high = int(values.min()), int(values.max())
    if low == high:
        return [low]
    if high - low > 8 * values.size:  # few numbers far apart: sorting them is cheaper
        found: list[int] = np.unique(values).tolist()
        return found
    seen = np.zeros(high - low + 1, bool)
    seen[values - low] = True
    found = (np.flatnonzero(seen) + low).tolist()
    return found
