"""Timing against a clock that the test holds."""

from collections.abc import Callable

import pytest

from phalanx.profiling.machine.timing import interleave, unsteady


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        turns = iter([seconds[0], *seconds])  # the warm-up repeats the first

        def run() -> None:
            self.order.append(name)
            self.now += next(turns)

        return run


def test_candidates_take_turns_beside_a_control() -> None:
    clock = Clock()
    found = interleave(
        {"a": clock.work("a", 1, 2, 3, 4), "b": clock.work("b", 2, 4, 6, 8)},
        repeats=4,
        clock=clock,
        control=clock.work("control", 1, 1, 1, 1),
    )
    one, other = ["control", "a", "b"], ["control", "b", "a"]
    assert clock.order == ["a", "b", "control", *one, *other, *one, *other]
    assert found.timings["a"].seconds == (1, 2, 3, 4)
    assert (found.timings["b"].low, found.timings["b"].median, found.timings["b"].high) == (2, 5, 8)
    # the machine slowed down fourfold, and every pair still says twice as long
    ratio = found.ratio("b", "a")
    assert (ratio.low, ratio.median, ratio.high, ratio.decided) == (2, 2, 2, True)


def test_a_restless_control_forbids_a_verdict() -> None:
    clock = Clock()
    found = interleave(
        {"a": clock.work("a", 1, 1, 1, 1), "b": clock.work("b", 2, 2, 2, 2)},
        repeats=4,
        clock=clock,
        control=clock.work("control", 1, 9, 1, 9),
    )
    assert found.inconclusive is not None
    assert "control" in found.inconclusive
    assert not found.ratio("b", "a").decided


def test_pairs_that_disagree_decide_nothing() -> None:
    clock = Clock()
    found = interleave(
        {"a": clock.work("a", 1, 2, 1), "b": clock.work("b", 2, 1, 2)},
        repeats=3,
        clock=clock,
        control=clock.work("control", 1, 1, 1),
    )
    assert found.inconclusive is None
    assert not found.ratio("b", "a").decided


def test_one_outlier_does_not_condemn_the_control() -> None:
    assert unsteady([1, 1, 1, 1, 7]) is None
    assert unsteady([1, 1, 2, 2, 2, 1, 2, 1]) is not None


def test_short_work_is_repeated() -> None:
    clock = Clock()

    def short() -> None:
        clock.now += 0.001

    found = interleave({"short": short}, repeats=3, least_seconds=0.05, clock=clock, control=short)
    assert found.timings["short"].median == pytest.approx(0.001)
    assert clock.now > 3 * 0.05
    with pytest.raises(ValueError, match="spread"):
        interleave({"short": short}, repeats=2)


def test_no_turn_begins_after_the_time_but_three_are_needed() -> None:
    clock = Clock()
    candidates = {"a": clock.work("a", *[1.0] * 20)}
    control = clock.work("control", *[1.0] * 20)
    found = interleave(candidates, repeats=9, clock=clock, control=control, seconds=11.0)
    assert len(found.timings["a"].seconds) == 5
    found = interleave(candidates, repeats=9, clock=clock, control=control, seconds=0.0)
    assert len(found.control.seconds) == len(found.timings["a"].seconds) == 3
