"""Every claim has a planted model that turns its verdict round: a verdict that cannot fail is a
defect."""

from functools import partial

import planted
import pytest
from counterexamples import COUNTEREXAMPLES, DYNAMICS, Counterexample, Dynamics

from phalanx.comparison.claims import STRUCTURE
from phalanx.comparison.figures import Figures
from phalanx.comparison.growth import law_of, pass_of_mixer
from phalanx.comparison.structure import ROWS


@pytest.mark.parametrize("example", COUNTEREXAMPLES, ids=lambda e: f"{e.claim} {e.planted}")
def test_a_planted_model_turns_the_verdict(example: Counterexample) -> None:
    ordinary, turned = example.verdicts()
    assert (ordinary.verdict, turned.verdict) == (example.expected, example.turned)
    assert example.expected != example.turned


@pytest.mark.parametrize("dynamics", DYNAMICS, ids=lambda d: d.label)
def test_gradients_follow_the_recurrent_radius(dynamics: Dynamics) -> None:
    assert dynamics.verdict().verdict == dynamics.expected


def test_every_claim_has_a_counterexample() -> None:
    assert {example.claim for example in COUNTEREXAMPLES} == set(STRUCTURE)


def test_a_loop_whose_positions_are_independent_is_no_chain() -> None:
    looped = planted.LoopedAttention(8, 2)
    law = law_of(partial(pass_of_mixer, looped, 8, "forward"))
    assert (law.slope, law.logarithm) == (0, 0)


def test_the_table_says_so_too() -> None:
    both_ways = planted.with_change("both ways", planted.look_both_ways, "transformer", layers=1)
    assert ROWS["parallel_training", ""](Figures(both_ways)).verdict == "fails"
    blind = planted.with_change("b", planted.become(planted.BlindDecoder), "transformer", layers=1)
    assert ROWS["parallel_inference", "autoregressive"](Figures(blind)).verdict == "yes"
