import math

from phalanx.profiling.machine.doubt import SLOWER, agree, bounds
from phalanx.profiling.machine.tables import Table


def test_a_time_is_bounded_by_larger_sizes_and_by_its_share_of_smaller_ones() -> None:
    table = Table(((1.0, 4.0, 16.0),), (1.0, 99.0, 8.0))
    assert bounds(table, (0,)) == (8.0, min(8.0, 4 * SLOWER), 16 * SLOWER)


def test_a_time_that_is_right_is_within_its_bounds() -> None:
    axes = ((1.0, 10.0, 100.0), (1.0, 50.0))
    seconds = tuple(1 + m * n for m in axes[0] for n in axes[1])
    assert all(
        s <= most for s, most in zip(seconds, bounds(Table(axes, seconds), (0, 1)), strict=True)
    )


def test_an_axis_of_shape_bounds_nothing() -> None:
    table = Table(((1.0, 4.0), (8.0, 64.0)), (1.0, 0.5, 9.0, 2.0))
    assert bounds(table, ()) == (math.inf,) * 4
    assert bounds(table, (0,))[:2] == (9.0, 2.0)


def test_times_agree_when_the_two_least_do() -> None:
    assert agree([9.0, 1.0, 1.2])
    assert not agree([9.0, 1.0, 1.5])
    assert not agree([1.0])
