import pytest

from phalanx.profiling.machine.tables import Table, grid


def powers() -> Table:
    """Seconds 1e-9 a^2 b^0.5: a straight line in logarithms."""
    axes = ((1.0, 4.0, 100.0), (2.0, 8.0))
    return Table(axes, tuple(1e-9 * a**2 * b**0.5 for a, b in grid(axes)))


@pytest.mark.parametrize(("a", "b"), [(1, 2), (4, 8), (2, 3), (37, 5), (100, 8), (99, 2)])
def test_a_power_of_the_size_is_read_exactly(a: float, b: float) -> None:
    assert powers().at(a, b) == pytest.approx(1e-9 * a**2 * b**0.5, rel=1e-12)


def test_below_the_grid_the_smallest_size_stands() -> None:
    assert powers().at(0.25, 1) == pytest.approx(powers().at(1, 2))


def test_above_the_grid_time_grows_in_proportion() -> None:
    assert powers().at(300, 8) == pytest.approx(3 * powers().at(100, 8))
    assert powers().at(200, 32) == pytest.approx(8 * powers().at(100, 8))


def test_a_speed_is_held_where_the_grid_ends() -> None:
    table = powers()
    assert [table.held(1, size) for size in (0, 3, 50)] == [1.0, 3.0, 8.0]


def test_a_grid_with_a_time_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="5 times for a grid of 6 points"):
        Table(((1.0, 2.0, 3.0), (1.0, 2.0)), (1.0,) * 5)
