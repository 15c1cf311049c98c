"""What one thread of this machine does, and several together, measured in a second.

And whether they are together at all now: on a machine that others use too, a second thread may
bring nothing, and then no speed-up may be judged.
"""

import time
from collections.abc import Callable, Sequence

import torch

from phalanx.profiling.machine.speedup import Workers
from phalanx.profiling.machine.timing import threads_of_torch

_PRODUCT = 512  # a side of the control product
_SMALL, _LARGE = 2**16, 2**23  # elements: of a stream in the cache, and of one beyond it
_TURNS, _BURSTS = 5, 15
_MOST_FORK = 2e-4  # seconds: a sleeping thread wakes in less; more is other work on its core
GAIN = 0.5  # of what a further thread could bring, below which it is not there


def control_product() -> Callable[[], object]:
    """The control kernel: a few products, several milliseconds, always the same work."""
    a = torch.randn(_PRODUCT, _PRODUCT)
    out = torch.empty_like(a)

    def product() -> object:
        for _ in range(3):
            torch.mm(a, a, out=out)
        return out

    return product


def measure_workers(
    threads: Sequence[int], seconds: float = 1.0, clock: Callable[[], float] = time.perf_counter
) -> Workers:
    """Measure this machine's CPU threads: the least time of several runs of each kernel.

    Args:
        threads: numbers of threads, 1 among them.
        seconds: after which no further turn begins.
        clock: seconds; another one for tests.
    """
    a = torch.randn(_PRODUCT, _PRODUCT)
    half = a.to(torch.bfloat16)
    tiny, small, large = (torch.randn(count) for count in (1, _SMALL, _LARGE))
    products = 2 * _PRODUCT**3
    outs = {id(x): torch.empty_like(x) for x in (a, half, small, large)}

    def product(x: torch.Tensor) -> Callable[[], object]:
        return lambda: torch.mm(x, x, out=outs[id(x)])

    def stream(x: torch.Tensor) -> Callable[[], object]:
        return lambda: torch.mul(x, x, out=outs[id(x)])

    least: dict[tuple[str, int], float] = {}

    def time_(name: str, count: int, run: Callable[[], object], loops: int) -> None:
        start = clock()
        for _ in range(loops):
            run()
        taken = (clock() - start) / loops
        least[name, count] = min(taken, least.get((name, count), taken))

    end = clock() + seconds
    with torch.inference_mode():
        for turn in range(_TURNS):
            if turn and clock() >= end:
                break
            for count in threads:
                with threads_of_torch(count):
                    small.mul(small)  # the team of threads is there from here on
                    # Many short bursts: other work on the machine does not hit all of them.
                    for _ in range(_BURSTS):
                        time_("small", count, stream(small), 3)
                    for _ in range(_BURSTS // 4):
                        time_("large", count, stream(large), 1)
                        if count == 1:
                            time_("tiny", 1, lambda: tiny.add_(1), 50)
                            time_("float32", 1, product(a), 1)
                            time_("bfloat16", 1, product(half), 1)
    one = 3 * 4 * _LARGE / least["large", 1]
    return Workers(
        flops={name: products / least[name, 1] for name in ("float32", "bfloat16")},
        cached=3 * 4 * _SMALL / least["small", 1],
        # Several threads move at most as many times the bytes of one; more is a slow moment of one.
        bandwidth={p: min(p * one, 3 * 4 * _LARGE / least["large", p]) for p in threads},
        launch=least["tiny", 1],
        fork={p: _fork(least["small", p], least["small", 1], p) for p in threads},
    )


def _fork(together: float, alone: float, threads: int) -> float:
    # The small stream feeds two threads at most.
    return min(max(0.0, together - alone / min(threads, 2)), _MOST_FORK) if threads > 1 else 0.0


def why_not_together(gain: float, threads: int) -> str | None:
    """Why no speed-up with so many threads may be judged now, or None.

    Args:
        gain: how many times as fast they ran the control product as one thread does.
        threads: their number.
    """
    least = 1 + GAIN * (threads - 1)
    if gain >= least:
        return None
    cores = {2: "two", 3: "three", 4: "four"}.get(threads, str(threads))
    return (
        f"the machine does not give {cores} cores now: {threads} threads ran a product of "
        f"{_PRODUCT} x {_PRODUCT}, which nothing holds back, only {gain:.2f} times as fast as one "
        f"(at least {least:g} is expected where the cores are free)"
    )
