import math
import time

import pytest

from phalanx.comparison.clocks import figure, ratios, within


def test_an_interval_of_few_values_is_their_extremes() -> None:
    found = figure([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high, found.repeats) == (2.0, 1.0, 3.0, 3)


@pytest.mark.parametrize(("count", "outside"), [(5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (15, 3)])
def test_an_interval_of_many_leaves_out_what_its_confidence_allows(
    count: int, outside: int
) -> None:
    found = figure([float(n) for n in range(count)])
    assert (found.low, found.high) == (outside, count - 1 - outside)
    missed = 2 * sum(math.comb(count, k) for k in range(outside + 1)) / 2**count
    assert missed <= 0.05 or outside == 0


def test_one_outlier_does_not_set_the_interval() -> None:
    assert figure([1.0] * 8 + [100.0]).high == 1.0


def test_candidates_are_timed_in_turn_within_the_time() -> None:
    start = time.perf_counter()
    found = within({"a": lambda: time.sleep(0.01), "b": lambda: time.sleep(0.02)}, 0.6)
    assert time.perf_counter() - start < 2.0
    assert found is not None
    assert len(found.timings["a"].seconds) >= 3
    assert all(ratio > 1.2 for ratio in ratios(found, "b", "a"))


def test_no_time_for_three_turns_gives_no_figure() -> None:
    assert within({"slow": lambda: time.sleep(0.2)}, 0.1) is None
