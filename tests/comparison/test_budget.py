import pytest

from phalanx.comparison.budget import PARTS, REPORT, Budget, parse_seconds
from phalanx.errors import UsageError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spend(seconds: float, before: float, overrun: float = 1.0) -> tuple[dict[str, float], float]:
    clock = Clock()
    budget = Budget(seconds, 0.0, clock)
    clock.now = before
    taken = {}
    for part in PARTS:
        share = budget.share(part.name)
        if share is not None:
            taken[part.name] = share
            clock.now += share * overrun
    return taken, clock.now


@pytest.mark.parametrize("seconds", [45.0, 60.0, 120.0, 240.0, 3600.0])
def test_shares_fill_the_budget_and_no_more(seconds: float) -> None:
    taken, end = spend(seconds, before=0.1 * seconds)
    assert end <= seconds - REPORT
    assert end >= 0.9 * seconds - REPORT - 20.0
    assert taken["training"] >= 0.3 * seconds


def test_parts_that_overspend_are_paid_for_by_later_ones() -> None:
    clock = Clock()
    budget = Budget(240.0, 0.0, clock)
    planned = budget.share("training")
    clock.now = 100.0
    shrunk = budget.share("training")
    assert planned is not None
    assert shrunk is not None
    assert shrunk < planned
    clock.now = 239.0
    assert budget.share("training") is None


def test_a_part_with_too_little_is_left_out_with_the_reason() -> None:
    budget = Budget(20.0, 0.0, Clock())
    assert budget.share("recall") is None
    assert "20 s" in budget.why_left_out("recall")
    assert budget.share("training") is not None


def test_no_part_takes_more_than_it_needs() -> None:
    budget = Budget(36_000.0, 0.0, Clock())
    for part in PARTS:
        share = budget.share(part.name)
        assert share is not None
        assert share <= part.most


@pytest.mark.parametrize(
    ("given", "seconds"), [("240", 240.0), ("60s", 60.0), ("5m", 300.0), ("1.5h", 5400.0), (9, 9.0)]
)
def test_a_budget_is_read(given: str | float, seconds: float) -> None:
    assert parse_seconds(given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "-3", "0", "5 weeks", "nan"])
def test_what_is_no_budget_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="wall time"):
        parse_seconds(given)
