"""Achieved FLOP/s of a training step against the size of the model, rows and positions fixed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch

from phalanx.comparison import rules
from phalanx.comparison.clocks import Figure, figure, ratios, within
from phalanx.comparison.contenders import Contender
from phalanx.comparison.growing import LENGTH, Grown, grown
from phalanx.comparison.machine import PRODUCT, square_product
from phalanx.comparison.results import SizePoint, Verdict
from phalanx.comparison.speed_kept import sentence
from phalanx.comparison.subjects import Subject, resized
from phalanx.comparison.work import ids, train_call
from phalanx.models import Decoder, build
from phalanx.profiling.machine.hardware import synchronise
from phalanx.profiling.machine.timing import Interleaved

SIZES = {  # device -> parameters outside the tables
    "cpu": (100_000, 400_000, 1_600_000, 6_400_000),
    "cuda": (6_400_000, 25_600_000, 102_400_000, 409_600_000),
}
ROWS = {"cpu": 4, "cuda": 64}
_PEAK = "peak"
_MOST = 7
_LONG = 0.5  # seconds of a step that is not run a second time to know what it takes


@dataclass(frozen=True)
class Sized:
    """What was found of one model's family."""

    points: list[SizePoint]
    verdict: Verdict


@dataclass
class _Family:
    """The models of one family that are timed, from the smallest."""

    name: str
    steps: list[Callable[[], object]] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)


def measure_sizes(
    models: Sequence[Contender],
    traced: Mapping[str, Mapping[int, Grown]],
    seconds: float,
    device: str,
    repeats: int,
) -> dict[str, Sized]:
    """Time a training step of each family at each size, all in turn beside a square product.

    Sizes are tried from the smallest; the first one whose turns would not fit ends it.

    Args:
        models: who takes part; each is resized, whatever its own size is.
        traced: model -> size -> its pass, where it was traced before.
        seconds: for everything.
        device: where.
        repeats: turns at least.
    """
    end = time.perf_counter() + seconds
    kind = device.partition(":")[0]
    families = {contender.name: _Family(contender.name) for contender in models}
    done, turn = 0, 0.0
    for size in SIZES[kind]:
        # Work grows with the parameters. Of a size that is tried, a first run and, before the
        # turns, another two are needed of all.
        expected = turn * size / SIZES[kind][done - 1] if done else 0.0
        if done and expected + (repeats + 2) * (turn + expected) > end - time.perf_counter():
            break
        try:
            for contender in models:
                name = contender.name
                known = traced.get(name, {}).get(size)
                turn += _add(families[name], contender, size, known, device, ROWS[kind])
        except torch.OutOfMemoryError:
            break
        done += 1
    while done >= rules.LEAST_SIZES:
        times = _times(list(families.values()), done, end - time.perf_counter(), device, repeats)
        if times is not None:
            left_out = SIZES[kind][done:]
            return {
                name: _judge(family, times, done, left_out, ROWS[kind])
                for name, family in families.items()
            }
        done -= 1
    why = f"The time was too short for {rules.LEAST_SIZES} sizes."
    return {name: Sized([], rules.no_efficiency(why)) for name in families}


def _add(
    family: _Family,
    contender: Contender,
    size: int,
    known: Grown | None,
    device: str,
    rows: int,
) -> float:
    """Build one more of a family; seconds of a step."""
    config = resized(contender.at(LENGTH), size)
    traced = known or grown(Subject.of(contender.name, contender.at(LENGTH)), size)
    model = build(config, seed=0)
    assert isinstance(model, Decoder)
    step = train_call(model.to(device), ids(model, rows, LENGTH, device))
    seconds = _once(step, device)
    if seconds < _LONG:
        seconds = min(seconds, _once(step, device))  # the first run found caches cold
    family.steps.append(step)
    family.parameters.append(traced.parameters)
    family.flops.append(float(rows * traced.flops))
    return seconds


def _once(step: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    step()
    synchronise(device)
    return time.perf_counter() - start


def _times(
    families: Sequence[_Family], done: int, seconds: float, device: str, repeats: int
) -> Interleaved | None:
    candidates = {_PEAK: square_product(device)}
    for place in range(done):
        for family in families:
            candidates[_at(family, place)] = family.steps[place]
    return within(candidates, seconds, device, repeats=repeats, most=_MOST)


def _judge(
    family: _Family, times: Interleaved, done: int, left_out: Sequence[int], rows: int
) -> Sized:
    shares = [
        [family.flops[place] / PRODUCT * r for r in ratios(times, _PEAK, _at(family, place))]
        for place in range(done)
    ]
    points: list[SizePoint] = []
    for place, turns in enumerate(shares):
        if points and family.parameters[place] == points[-1].parameters:
            continue  # many heads cannot be narrower
        found = figure(turns)
        taken = times.timings[_at(family, place)].median
        rate = family.flops[place] / taken
        points.append(
            SizePoint(
                *(family.name, family.parameters[place], rate),
                *(found.median, found.low, found.high),
            )
        )
    growth = figure(_over(shares[-1], shares[0]))
    dip = min((figure(_over(b, a)) for a, b in pairwise(shares)), key=lambda f: f.median)
    listed = ", ".join(f"{p.parameters:,}: {p.share:.3g}" for p in points)
    how = (
        f"Share of peak of a training step of {rows} rows of {LENGTH} positions, by parameters "
        f"outside the tables: {listed}; largest over smallest {growth.median:.3g}, "
        f"{growth.repeats} turns."
    )
    if left_out:
        how = f"{how} Left out for lack of time or memory: {left_out[0]:,} parameters and more."
    verdict = rules.efficiency(
        _ends(figure(shares[-1])),
        _ends(growth),
        _ends(dip),
        how,
        open_because=sentence(times.inconclusive),
    )
    return Sized(points, verdict)


def _over(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _ends(found: Figure) -> rules.Interval:
    return found.median, found.low, found.high


def _at(family: _Family, place: int) -> str:
    return f"{family.name} {place}"
