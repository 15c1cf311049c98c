"""Measured times as a function of size, on a grid, read between its points in logarithms."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Seconds at every point of a grid of sizes.

    Args:
        axes: ascending sizes along each axis, at least two of each, all positive.
        seconds: one a point, the last axis fastest.
    """

    axes: tuple[tuple[float, ...], ...]
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        points = math.prod(len(axis) for axis in self.axes)
        if points != len(self.seconds):
            raise ValueError(f"{len(self.seconds)} times for a grid of {points} points.")

    def at(self, *sizes: float) -> float:
        """Seconds at ``sizes``, one for each axis.

        Between points log(time) is linear in log(size): exact wherever time is a power of size.
        Below the grid the smallest size stands. Above it time grows in proportion: what is
        larger still runs at the speed of the largest.
        """
        corners: list[tuple[tuple[int, float], ...]] = []
        beyond = 1.0
        for axis, size in zip(self.axes, sizes, strict=True):
            inside = min(max(float(size), axis[0]), axis[-1])
            beyond *= max(float(size), inside) / inside
            corners.append(_between(axis, inside))
        total = 0.0
        for corner in itertools.product(*corners):
            weight = math.prod(share for _, share in corner)
            if weight:
                total += weight * math.log(self.seconds[self._place(i for i, _ in corner)])
        return beyond * math.exp(total)

    def held(self, axis: int, size: float) -> float:
        """``size``, or the largest on that axis where the grid ends: for what is a speed by then.

        Unlike a number of elements, the length of a row or the distance to the last use say how
        fast a kernel is, not how much there is to do.
        """
        return min(max(1.0, float(size)), self.axes[axis][-1])

    def _place(self, indices: Iterator[int]) -> int:
        place = 0
        for axis, index in zip(self.axes, indices, strict=True):
            place = place * len(axis) + index
        return place


def grid(axes: Sequence[Sequence[float]]) -> Iterator[tuple[float, ...]]:
    """The points of a grid in the order of ``Table.seconds``."""
    return itertools.product(*axes)


def _between(axis: tuple[float, ...], size: float) -> tuple[tuple[int, float], ...]:
    upper = next(i for i, value in enumerate(axis) if value >= size)
    if upper == 0:
        return ((0, 1.0),)
    share = math.log(size / axis[upper - 1]) / math.log(axis[upper] / axis[upper - 1])
    return ((upper - 1, 1 - share), (upper, share))
