"""Compare times fairly: candidates run in turn, beside a control that says how far to trust it.

Machines drift, throttle and are shared. So candidates are interleaved (A B C A B C), ratios are
taken within a turn, and a control kernel that always does the same runs in each turn: where its
own time scatters, no verdict is given.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from phalanx.profiling.machine.hardware import synchronise

CONTROL_SPREAD = 1.5  # control's upper over lower quartile beyond which nothing is concluded
_LEAST_TURNS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate: one figure a turn, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle turn."""
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        """The fastest turn."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The slowest turn."""
        return max(self.seconds)


@dataclass(frozen=True)
class Ratio:
    """Times of one candidate over another's, turn by turn.

    ``decided``: every turn falls on the same side of 1 and the control was steady.
    """

    median: float
    low: float
    high: float
    decided: bool


@dataclass(frozen=True)
class Interleaved:
    """The times of several candidates that ran in turn.

    Args:
        timings: by candidate.
        control: of the control kernel in the same turns.
        inconclusive: why no verdict may rest on these times, or None.
    """

    timings: dict[str, Timing]
    control: Timing
    inconclusive: str | None

    def ratio(self, above: str, below: str) -> Ratio:
        """Time of ``above`` over time of ``below``, turn by turn."""
        pairs = zip(self.timings[above].seconds, self.timings[below].seconds, strict=True)
        ratios = sorted(a / b for a, b in pairs)
        one_side = ratios[0] > 1 or ratios[-1] < 1
        return Ratio(
            statistics.median(ratios), ratios[0], ratios[-1], one_side and not self.inconclusive
        )


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 5,
    warm_up: int = 1,
    least_seconds: float = 0.0,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
    control: Callable[[], object] | None = None,
    seconds: float = math.inf,
) -> Interleaved:
    """Time each candidate once a turn, ``repeats`` turns, with the control in each.

    Args:
        candidates: name -> what to run; whether they agree is checked before, by the caller.
        repeats: turns, at least 3.
        warm_up: untimed runs of each before the first turn.
        least_seconds: a candidate faster than this runs several times a turn; its mean counts.
        device: waited for after each run.
        clock: seconds; another one for tests.
        control: what always takes the same time; by default a matrix product of about 10 ms.
        seconds: after which no turn begins beyond the third, whatever ``repeats`` says.
    """
    if repeats < _LEAST_TURNS:
        raise ValueError(f"repeats is {repeats}; fewer than 3 show no spread.")
    end = clock() + seconds
    steady = control or _control(device)
    runs = {**candidates}
    loops: dict[str, int] = {}
    for name, run in runs.items():
        for _ in range(warm_up):
            run()
        loops[name] = _loops(run, least_seconds, device, clock) if least_seconds > 0 else 1
    steady()
    found: dict[str, list[float]] = {name: [] for name in runs}
    controls: list[float] = []
    collecting = gc.isenabled()
    gc.disable()  # a collection in the middle of one candidate is not its time
    try:
        for turn in range(repeats):
            if turn >= _LEAST_TURNS and clock() >= end:
                break
            controls.append(_time(steady, 1, device, clock))
            # Every other turn runs backwards: no candidate always follows the same one.
            for name in list(runs)[:: 1 if turn % 2 == 0 else -1]:
                found[name].append(_time(runs[name], loops[name], device, clock))
    finally:
        if collecting:
            gc.enable()
    timing = Timing(tuple(controls))
    return Interleaved(
        {name: Timing(tuple(seconds_)) for name, seconds_ in found.items()},
        timing,
        unsteady(timing.seconds),
    )


def spread(seconds: Sequence[float]) -> float:
    """Upper over lower quartile of some times."""
    ordered = sorted(seconds)
    quarter = len(ordered) // 4
    return ordered[-1 - quarter] / ordered[quarter] if ordered[quarter] > 0 else float("inf")


def unsteady(seconds: Sequence[float]) -> str | None:
    """Why a control with these times is not to be trusted, or None."""
    found = spread(seconds)
    if found <= CONTROL_SPREAD:
        return None
    return (
        f"the control kernel, always the same work, took {found:.2f} times as long in some turns "
        f"as in others (at most {CONTROL_SPREAD} is accepted): the machine is busy with other work"
    )


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """Inside, torch uses ``count`` threads; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _time(run: Callable[[], object], loops: int, device: str, clock: Callable[[], float]) -> float:
    synchronise(device)
    start = clock()
    for _ in range(loops):
        run()
    synchronise(device)
    return (clock() - start) / loops


def _loops(run: Callable[[], object], least: float, device: str, clock: Callable[[], float]) -> int:
    once = _time(run, 1, device, clock)
    return max(1, min(10_000, round(least / once))) if once > 0 else 10_000


def _control(device: str) -> Callable[[], object]:
    size = 512 if device == "cpu" else 4096
    a = torch.randn(size, size, device=device)
    out = torch.empty_like(a)

    def product() -> object:
        for _ in range(3):
            torch.mm(a, a, out=out)
        return out

    return product
