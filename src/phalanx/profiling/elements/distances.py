"""What a kernel does to distances: from those of what each result element reads, its own.

Two ways to count. From each of S source positions the shortest way: kernels; and exchanges, up
and down. An exchange is a kernel on the way whose result belongs to another position than what it
read, where a result belongs to the last ("up") or the first ("down") position that it depends on:
a pointwise layer makes none, one attention makes one, a recurrent step makes one. Or the longest
chain of kernels, from nowhere in particular.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.elements import FAR, Distances, Flags

KERNELS, UP, DOWN = 0, 1, 2
_CELLS = 2**22  # distances held at once
_DEEPEST = 2**15 - 2  # int16


@dataclass(frozen=True)
class Reading:
    """What a result reads of one operand.

    Args:
        distance: (C, S, *axes, R): a result element reads the R elements beside it; the axes
            broadcast to those of the other readings and of the result.
        closed: (*axes, R) where it depends on nothing, whatever is read; None: nowhere.
    """

    distance: Distances
    closed: Flags | None = None

    @property
    def axes(self) -> tuple[int, ...]:
        """What the distances and the flags broadcast to, with R."""
        own = self.distance.shape[2:]
        return own if self.closed is None else np.broadcast_shapes(own, self.closed.shape)

    @property
    def open(self) -> Distances:
        """The distances with no path through what is closed."""
        return self.distance if self.closed is None else without(self.distance, self.closed)

    def slice(self, axis: int, start: int, stop: int) -> "Reading":
        """Only results ``start`` to ``stop`` of one axis."""
        closed = None if self.closed is None else _slice(self.closed, axis, start, stop)
        return Reading(_slice(self.distance, axis + 2, start, stop), closed)


def without(distance: Distances, closed: Flags) -> Distances:
    """The distances with no path through the elements that are ``closed`` (broadcast)."""
    if not closed.any():
        return distance
    return np.where(closed, np.int16(FAR), distance)


def nowhere(sources: tuple[int, int], rank: int) -> Distances:
    """No path to any element of a tensor."""
    return np.full((*sources, *[1] * rank), FAR, np.int16)


class Counting(ABC):
    """How one kernel's distances follow from what it reads; ``lead`` is (C, S)."""

    lead: tuple[int, int]

    def combine(self, readings: Sequence[Reading], rank: int, step: int = 1) -> Distances:
        """Distances (C, S, *axes) to the result of one kernel, a tensor of ``rank`` axes.

        ``step``: what the kernel itself counts, 0 for one that only moves data.
        """
        readings = [r for r in readings if 0 not in r.axes]
        if not readings:
            return nowhere(self.lead, rank)
        axes = np.broadcast_shapes(*(r.axes[:-1] for r in readings))
        longest = max(r.axes[-1] for r in readings)
        cells = int(np.prod(axes)) * longest * self.lead[0] * self.lead[1]
        if cells <= _CELLS or not axes or max(axes) == 1:
            return self._combine(readings, np.int16(step))
        axis = int(np.argmax(axes))
        parts = min(axes[axis], -(-cells // _CELLS))
        cuts = pairwise([axes[axis] * i // parts for i in range(parts + 1)])
        found = [
            self.combine([r.slice(axis, start, stop) for r in readings], rank, step)
            for start, stop in cuts
        ]
        return np.concatenate(found, axis + 2)

    @abstractmethod
    def _combine(self, readings: Sequence[Reading], step: np.int16) -> Distances: ...


class Nearest(Counting):
    """Kernels and exchanges (up, down) on the shortest way from each of S sources."""

    def __init__(self, sources: int) -> None:
        self.lead = (3, sources)

    def _combine(self, readings: Sequence[Reading], step: np.int16) -> Distances:
        opened = [reading.open for reading in readings]
        axes = np.broadcast_shapes(*(distance.shape[2:-1] for distance in opened))
        result = np.full((*self.lead, *axes), FAR, np.int16)
        reach = np.zeros((self.lead[1], *axes), bool)
        for distance in opened:
            reach |= (distance[KERNELS] < FAR).any(-1)
        last, first = _homes(reach)
        for distance in opened:
            their_last, their_first = _homes(distance[KERNELS] < FAR)
            ways = distance[KERNELS].min(-1) + step
            np.minimum(result[KERNELS], ways, out=result[KERNELS])
            for kind, ours, theirs in ((UP, last, their_last), (DOWN, first, their_first)):
                moves = theirs != ours[..., None]
                np.minimum(result[kind], (distance[kind] + moves).min(-1), out=result[kind])
        return np.minimum(result, FAR)


class Latest(Counting):
    """Kernels on the longest chain that ends in an element, kept negative: nearest is deepest."""

    lead = (1, 1)

    def _combine(self, readings: Sequence[Reading], step: np.int16) -> Distances:
        axes = np.broadcast_shapes(*(reading.axes[:-1] for reading in readings))
        result = np.full((1, 1, *axes), FAR, np.int16)
        for reading in readings:
            np.minimum(result, reading.open.min(-1), out=result)
        if result.min(initial=0) < -_DEEPEST:
            raise PhalanxError(
                f"cannot follow a chain of more than {_DEEPEST} kernels element by element. "
                "Give fewer positions."
            )
        return np.where(result < FAR, result - step, np.int16(FAR))


def _homes(reach: Flags) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    # The last and the first source that an element depends on.
    sources = reach.shape[0]
    index = np.arange(1, sources + 1, dtype=np.int16).reshape(-1, *[1] * (reach.ndim - 1))
    last = (reach * index).max(0)
    first = (reach * index[::-1]).max(0)
    return last, first


def _slice(array: NDArray, axis: int, start: int, stop: int) -> NDArray:  # type: ignore[type-arg]  # of either dtype
    if array.shape[axis] == 1:
        return array
    return array[(slice(None),) * axis + (slice(start, stop),)]
