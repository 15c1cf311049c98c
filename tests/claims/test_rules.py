"""From a figure and its interval to a verdict: bands, edges, and when there is none."""

import math

import pytest

from phalanx.comparison import rules
from phalanx.comparison.claims import claims, level_verdict
from phalanx.comparison.reach import decades_per_position
from phalanx.comparison.results import Level, Verdict
from phalanx.comparison.rules import Rule

RULE = Rule("ratio", (0.5, 0.8), ("no", "partly", "yes"))


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [(0.0, "no"), (0.499, "no"), (0.5, "partly"), (0.799, "partly"), (0.8, "yes"), (9.0, "yes")],
)
def test_a_figure_falls_into_its_band(figure: float, verdict: str) -> None:
    assert RULE.judge(figure).verdict == verdict


def test_a_verdict_needs_the_whole_interval_in_one_band() -> None:
    assert RULE.judge(0.9, 0.85, 1.0).verdict == "yes"
    straddling = RULE.judge(0.9, 0.75, 1.0)
    assert straddling.verdict == "inconclusive"
    assert straddling.figure == 0.9
    assert "straddles" in straddling.how


def test_what_was_not_measured_or_not_trusted_has_no_verdict() -> None:
    assert RULE.judge(None).verdict == "not_measured"
    assert RULE.judge(math.nan).verdict == "inconclusive"
    busy = RULE.judge(0.9, 0.89, 0.91, open_because="The control varied by 60 %.")
    assert busy.verdict == "inconclusive"
    assert "control" in busy.how


def test_the_rule_reads_as_words() -> None:
    assert RULE.threshold == "< 0.5 no, 0.5..0.8 partly, >= 0.8 yes"


def test_a_tree_is_told_from_nothing() -> None:
    assert rules.judge_law(rules.DEPENDENCE, 0.0).verdict == "parallel"
    assert rules.judge_law(rules.DEPENDENCE, 0.0, logarithm=2.0).verdict == "logarithmic"
    assert rules.judge_law(rules.DISTANCE, 0.0, logarithm=2.0).verdict == "logarithmic_path"
    assert rules.judge_law(rules.DEPENDENCE, 1.0, logarithm=2.0).verdict == "serial"


def test_a_law_that_fits_badly_gives_no_verdict_near_a_threshold() -> None:
    assert rules.judge_law(rules.DEPENDENCE, 0.9, uncertainty=0.3).verdict == "inconclusive"
    assert rules.judge_law(rules.DEPENDENCE, 0.4, uncertainty=0.3).verdict == "chunked"


@pytest.mark.parametrize(
    ("share", "intensity", "verdict"),
    [
        (0.99, 12, "high"),
        (0.99, 5, "medium"),
        (0.99, 1, "low"),
        (0.4, 12, "low"),
        (0.7, 9, "medium"),
    ],
)
def test_products_must_be_many_and_large(share: float, intensity: float, verdict: str) -> None:
    assert rules.products(share, intensity, "").verdict == verdict


@pytest.mark.parametrize(
    ("exponent", "intensity", "verdict"),
    [
        (1.0, 25, "holds"),
        (1.0, 5, "partly"),
        (0.5, 25, "partly"),
        (1.0, 1.5, "fails"),
        (0.1, 25, "fails"),
        (math.nan, 25, "inconclusive"),
    ],
)
def test_larger_models_must_have_larger_kernels(
    exponent: float, intensity: float, verdict: str
) -> None:
    assert rules.growing(exponent, intensity, "").verdict == verdict


def _exactly(value: float) -> rules.Interval:
    return value, value, value


@pytest.mark.parametrize(
    ("share", "growth", "dip", "verdict"),
    [
        (0.7, 3.0, 1.1, "holds"),
        (0.7, 1.05, 1.0, "partly"),  # large already, and hardly grows
        (0.7, 1.3, 0.8, "partly"),  # falls on the way
        (0.3, 3.0, 1.1, "partly"),
        (0.05, 3.0, 1.1, "fails"),
        (0.7, 0.9, 0.9, "fails"),  # less than at the smallest size
    ],
)
def test_large_models_must_use_the_machine_better(
    share: float, growth: float, dip: float, verdict: str
) -> None:
    found = rules.efficiency(_exactly(share), _exactly(growth), _exactly(dip), "")
    assert (found.verdict, found.figure) == (verdict, share)


def test_every_interval_must_agree_on_efficiency() -> None:
    straddling = rules.efficiency((0.55, 0.45, 0.6), _exactly(3.0), _exactly(1.1), "")
    assert straddling.verdict == "inconclusive"
    assert "more than one" in straddling.how
    shaky = rules.efficiency(_exactly(0.7), (1.2, 0.95, 1.3), _exactly(1.0), "")
    assert shaky.verdict == "inconclusive"
    busy = rules.efficiency(
        _exactly(0.7), _exactly(3.0), _exactly(1.0), "", open_because="The control varied."
    )
    assert (busy.verdict, busy.figure) == ("inconclusive", 0.7)


def test_recall_counts_from_chance_and_only_if_the_task_was_learned() -> None:
    chance = 1 / 16
    assert rules.recall(0.99, 1.0, chance).verdict == "reaches"
    assert rules.recall(0.5, 1.0, chance).verdict == "fades"
    assert rules.recall(0.07, 1.0, chance).verdict == "vanishes"
    assert rules.recall(0.99, 0.94, chance).verdict == "not_learned"
    assert rules.recall(None, None, chance).verdict == "not_measured"


def test_a_level_with_another_result_has_no_time() -> None:
    same = Level("heads", "m", 1.0, 2.0, 2.0, 1.9, 2.1, 1e-7, 1e-5, True)
    other = Level("heads", "m", None, None, None, None, None, 0.3, 1e-5, False)
    assert level_verdict(same).verdict == "faster"
    assert level_verdict(other).verdict == "differs"


def test_claims_join_both_bases() -> None:
    cell = Verdict("yes", 1.0, "ratio", "")
    level = Level("heads", "m", 1.0, 2.0, 2.0, 1.9, 2.1, 1e-7, 1e-5, True)
    structure = {"C1": cell, "C4": cell, "C12": cell, "B1": cell}
    efficient = rules.no_efficiency("No time.")
    cells = {("core_dependency", ""): cell}
    joined = claims("m", structure, cells, [level], efficiency=efficient)
    found = {c.id: c for c in joined}
    assert found["C12"].machine == efficient
    assert found["C1"].machine == cell
    assert found["C4"].machine is not None
    assert found["C4"].machine.verdict == "faster"
    assert found["B1"].machine is None


def test_decades_per_position() -> None:
    halving = {d: 0.5**d for d in range(20)}
    assert decades_per_position(halving) == pytest.approx(math.log10(0.5))
    # A fresh model whose branches start at zero carries nothing: that is no stability.
    assert math.isnan(decades_per_position({0: 1.0, 1: 0.0, 2: 0.0}))
