"""Which measured times to doubt, by what the times of smaller and larger sizes allow."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phalanx.profiling.machine.tables import Table

# A kernel that falls out of a cache slows down for each element, by about so much at most.
SLOWER = 4.0
# Times this much apart are still of the same kernel: clocks of processors move.
SAME = 1.3


def bounds(table: Table, rising: Sequence[int]) -> tuple[float, ...]:
    """The greatest time of each point that the others allow.

    None is above the time of a size that is greater along ``rising``, nor above SLOWER times its
    share of the time of a smaller one: whatever disturbs makes a time longer, so the shorter of
    two that contradict each other is right.

    Args:
        table: seconds of a grid.
        rising: axes along which there is more to do.
    """
    shape = tuple(len(axis) for axis in table.axes)
    seconds = np.array(table.seconds).reshape(shape)
    most = np.full(shape, math.inf)
    for axis in rising:
        larger = _shifted(np.flip(_least(np.flip(seconds, axis), axis), axis), axis, -1)
        sizes = np.array(table.axes[axis]).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        )
        smaller = _shifted(_least(seconds / sizes, axis), axis, 1) * sizes * SLOWER
        most = np.minimum(most, np.minimum(larger, smaller))
    return tuple(most.ravel().tolist())


def agree(seconds: Sequence[float]) -> bool:
    """Whether the two least of several times of the same thing tell the same."""
    least = sorted(seconds)[:2]
    return len(least) == 2 and least[1] <= SAME * least[0]


def _least(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.minimum.accumulate(values, axis)
    return found


def _shifted(values: NDArray[np.float64], axis: int, by: int) -> NDArray[np.float64]:
    # Each point gets what is beside it, the ends infinity.
    moved = np.roll(values, by, axis)
    end = [slice(None)] * values.ndim
    end[axis] = slice(0, 1) if by > 0 else slice(-1, None)
    moved[tuple(end)] = math.inf
    return moved
