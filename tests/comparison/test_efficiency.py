"""Families of growing width: their sizes, and the share of the machine that each reaches."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise

import pytest

from phalanx.comparison import efficiency as module
from phalanx.comparison.contenders import contenders
from phalanx.comparison.efficiency import measure_sizes
from phalanx.comparison.growing import LENGTH, Grown, grown
from phalanx.comparison.machine import PRODUCT
from phalanx.comparison.subjects import Subject, resized
from phalanx.config import ModelConfig
from phalanx.models import preset
from phalanx.models.presets import PRESETS, count
from phalanx.profiling.machine.timing import Interleaved, Timing

NAMES = ("rnn", "transformer")


@pytest.mark.parametrize("name", PRESETS)
def test_sizes_are_met_by_the_width_alone(name: str) -> None:
    config = preset(name, 64, 64, None if name in ("gpt2", "bert-base") else 400_000)
    for size in (400_000, 1_600_000, 6_400_000):
        other = resized(config, size)
        assert count(other)[1] == pytest.approx(size, rel=0.25)
        assert (other.layers, other.mixers) == (config.layers, config.mixers)
        assert other.attention.heads == config.attention.heads


def test_a_width_has_room_for_the_heads() -> None:
    small = ModelConfig(
        vocabulary=8, context=8, width=64, layers=1, mixers=("attention",), positions="rotary"
    )
    assert resized(small, 1).width == 4 * small.attention.heads


def test_flops_of_a_recurrent_pass_in_closed_form() -> None:
    """Two layers and the scores: 2 FLOPs an entry and position, and twice that back.

    No gradient is needed where a layer meets its initial state, which is zero and a constant.
    """
    config = resized(preset("rnn", 64, LENGTH, 400_000), 100_000)
    width, found = config.width, grown(Subject.of("rnn", config), 100_000)
    entries = 2 * 2 * width * width + 64 * width
    assert found.parameters == count(config)[1]
    assert found.flops == pytest.approx(3 * 2 * LENGTH * entries, rel=0.02)


class Machine:
    """``within`` on a machine where each step takes what the test says."""

    def __init__(self, share: Callable[[str, int], float], fits: int = 4) -> None:
        self.share, self.fits = share, fits

    def __call__(
        self, candidates: Mapping[str, object], *_: object, **__: object
    ) -> Interleaved | None:
        if max(int(name.split()[1]) for name in candidates if " " in name) >= self.fits:
            return None
        turns = (1.0, 1.1, 0.9)  # the machine drifts, and every figure is a ratio within a turn
        timings = {}
        for name in candidates:
            seconds = PRODUCT
            if " " in name:
                model, place = name.split()
                seconds = self.flops[model][int(place)] / self.share(model, int(place))
            timings[name] = Timing(tuple(seconds * turn for turn in turns))
        return Interleaved(timings, Timing((1.0, 1.0, 1.0)), None)

    flops: Mapping[str, Sequence[float]] = {}


@cache
def traced(name: str, config: ModelConfig, size: int) -> Grown:
    return grown(Subject.of(name, config), size)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, module.Sized]]:
    sizes = (20_000, 60_000, 180_000, 540_000)
    monkeypatch.setitem(module.SIZES, "cpu", sizes)
    models = contenders(NAMES, 16, 64, 20_000)
    flops = {
        name: [4.0 * traced(name, config, size).flops for size in sizes]
        for name, config in ((c.name, c.at(LENGTH)) for c in models)
    }
    configs = {c.name: c.at(LENGTH) for c in models}
    monkeypatch.setattr(module, "grown", lambda s, size: traced(s.name, configs[s.name], size))

    def run(machine: Machine) -> dict[str, module.Sized]:
        machine.flops = flops
        monkeypatch.setattr(module, "within", machine)
        return measure_sizes(models, {}, 1e3, "cpu", 3)

    return run


def test_a_share_that_grows_and_one_that_does_not(
    measured: Callable[..., dict[str, module.Sized]],
) -> None:
    shares = {"rnn": (0.4, 0.5, 0.3, 0.2), "transformer": (0.1, 0.3, 0.5, 0.6)}
    found = measured(Machine(lambda model, place: shares[model][place]))
    for name, sized in found.items():
        assert [p.share for p in sized.points] == pytest.approx(shares[name])
        parameters = [p.parameters for p in sized.points]
        assert all(a < b for a, b in pairwise(parameters))
    assert {name: sized.verdict.verdict for name, sized in found.items()} == {
        "rnn": "fails",  # the planted one: larger, and slower
        "transformer": "holds",
    }
    assert "largest over smallest 6" in found["transformer"].verdict.how


def test_sizes_without_time_are_left_out_and_said(
    measured: Callable[..., dict[str, module.Sized]],
) -> None:
    growing = (0.1, 0.3, 0.6, 0.7)
    found = measured(Machine(lambda _, place: growing[place], fits=3))["rnn"]
    assert len(found.points) == 3
    assert "Left out for lack of time or memory: 540,000" in found.verdict.how
    assert found.verdict.verdict == "holds"
    few = measured(Machine(lambda _, place: growing[place], fits=2))["rnn"]
    assert few.points == []
    assert few.verdict.verdict == "not_measured"


def test_no_time_at_all() -> None:
    models = contenders(("rnn",), 16, 64, 20_000)
    found = measure_sizes(models, {}, 0.0, "cpu", 3)["rnn"]
    assert found.verdict.verdict == "not_measured"
