"""Times within a given time: as many repeats as fit, and an interval that outliers do not set."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phalanx.profiling.machine.hardware import synchronise
from phalanx.profiling.machine.timing import Interleaved, interleave

CONFIDENCE = 0.95
LEAST_REPEATS = 3
MOST_REPEATS = 15
_LEAST_SECONDS = 0.01  # of one candidate in one turn: shorter ones run several times
_LONG_SECONDS = 0.1  # what takes so long is not made longer by a cold start
_CONTROL_SECONDS = 0.012


@dataclass(frozen=True)
class Figure:
    """The median of repeats with an interval for it.

    Args:
        median: of all repeats.
        low, high: order statistics that hold the true median with CONFIDENCE; the extremes where
            there are too few repeats for that.
        repeats: how many.
    """

    median: float
    low: float
    high: float
    repeats: int


def figure(values: Sequence[float]) -> Figure:
    """The median and its interval, without any assumption on how the values are distributed.

    Source: the sign test's interval (Conover 1999, section 3.2): the k-th lowest and k-th highest
    of n values miss the median with probability 2 P(Binomial(n, 1/2) < k).
    """
    ordered = sorted(values)
    n, outside = len(ordered), 0
    missed = 0.0
    for k in range(1, (n + 1) // 2):
        missed += 2 * math.comb(n, k - 1) / 2**n
        if missed > 1 - CONFIDENCE:
            break
        outside = k - 1
    return Figure(statistics.median(ordered), ordered[outside], ordered[n - 1 - outside], n)


def within(
    candidates: Mapping[str, Callable[[], object]],
    seconds: float,
    device: str = "cpu",
    *,
    repeats: int = LEAST_REPEATS,
    most: int = MOST_REPEATS,
) -> Interleaved | None:
    """Time candidates in turn, as often as ``seconds`` allow.

    Args:
        candidates: name -> what to run.
        seconds: for everything, warm-up included.
        device: waited for after each run.
        repeats: turns that are needed at least.
        most: turns beyond which no more are taken.

    Returns:
        Their times, or None where not even ``repeats`` turns fit into twice the time.
    """
    began = time.perf_counter()
    once: dict[str, float] = {}
    for name, run in candidates.items():
        for _ in range(2):  # the first run finds caches and clocks cold
            start = time.perf_counter()
            run()
            synchronise(device)
            once[name] = time.perf_counter() - start
            if once[name] > _LONG_SECONDS:
                break
    left = seconds - (time.perf_counter() - began)
    for least in (_LEAST_SECONDS, _LEAST_SECONDS / 3, 0.0):
        if least <= min(once.values()):
            least = 0.0
        turn = _CONTROL_SECONDS + sum(max(least, cost) for cost in once.values())
        # The first turn of the loop count is a run more of each.
        affordable = int((left - (turn if least else 0.0)) / turn)
        if affordable >= repeats:
            break
    else:
        if repeats * turn > left + seconds:
            return None
    turns = min(max(affordable, repeats), most)
    return interleave(candidates, repeats=turns, warm_up=0, least_seconds=least, device=device)


def ratios(times: Interleaved, above: str, below: str) -> list[float]:
    """Time of ``above`` over time of ``below`` in each turn."""
    pairs = zip(times.timings[above].seconds, times.timings[below].seconds, strict=True)
    return [a / b for a, b in pairs]
