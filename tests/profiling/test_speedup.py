"""Brent's bounds on graphs whose answer is known, and on random ones against a real schedule."""

import heapq
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from phalanx.profiling.costs.cost import Cost
from phalanx.profiling.machine.speedup import (
    CACHE,
    GRAIN,
    PRODUCT_GRAIN,
    Task,
    Workers,
    curves,
    fed,
    longest,
    sentences,
    speed_up,
    task,
)
from phalanx.profiling.tracing.graph import Kernel

WORKERS = (1, 2, 3, 4, 8, 64)


def machine(launch: float = 0.0, fork: float = 0.0, together: float | None = None) -> Workers:
    """A byte a second, all workers as much as their number or ``together`` times one."""
    return Workers(
        flops={"float32": 1e9, "bfloat16": 4e9},
        cached=1e9,
        bandwidth={p: float(p) if p == 1 or together is None else together for p in WORKERS},
        launch=launch,
        fork=dict.fromkeys(WORKERS, fork),
    )


def alone(*edges: tuple[float, tuple[int, ...]]) -> list[Task]:
    """Tasks that one worker does, each with its seconds and what it reads."""
    return [Task(seconds, 0, 1.0, 1, reads) for seconds, reads in edges]


def seconds_of(tasks: Sequence[Task]) -> list[float]:
    return [max(t.compute, t.memory) for t in tasks]


def drawn(seed: int, shared: bool = False) -> list[Task]:
    dice = random.Random(seed)
    tasks: list[Task] = []
    for place in range(dice.randint(1, 40)):
        reads = tuple(dice.sample(range(place), k=min(place, dice.randint(0, 3))))
        allowed = dice.choice([1.0, 3.0, 50.0]) if shared else 1.0
        fed_ = dice.randint(1, int(allowed))
        tasks.append(Task(dice.uniform(0.1, 5), dice.randint(0, 4), allowed, fed_, reads))
    return tasks


def scheduled(tasks: Sequence[Task], workers: int) -> float:
    """Finish of a greedy schedule: no worker idles while a task is ready."""
    waits = [len(t.reads) for t in tasks]
    after: list[list[int]] = [[] for _ in tasks]
    for place, t in enumerate(tasks):
        for before in t.reads:
            after[before].append(place)
    ready = [place for place, count in enumerate(waits) if count == 0]
    running: list[tuple[float, int]] = []
    now, seconds = 0.0, seconds_of(tasks)
    while ready or running:
        while ready and len(running) < workers:
            place = ready.pop()
            heapq.heappush(running, (now + seconds[place], place))
        now, done = heapq.heappop(running)
        for place in after[done]:
            waits[place] -= 1
            if waits[place] == 0:
                ready.append(place)
    return now


def test_a_chain_gains_nothing() -> None:
    found = curves(alone((1, ()), (2, (0,)), (3, (1,))), machine(), WORKERS)
    assert found.perfect == (1, 2, 3, 4, 8, 64)
    assert found.brent_low == found.brent_high == found.realisable == (1,) * 6


def test_independent_tasks_gain_until_there_is_one_each() -> None:
    found = curves(alone(*[(1, ())] * 8), machine(), WORKERS)
    assert found.brent_high == (1, 2, 3, 4, 8, 8)
    # T1 / p + (1 - 1/p) Tinf = 8/2 + 1/2
    assert found.brent_low[1] == pytest.approx(8 / 4.5)
    # an eager runtime runs one kernel at a time, and none of these can be shared
    assert found.realisable == (1,) * 6


def test_a_diamond_by_hand() -> None:
    diamond = alone((1, ()), (2, (0,)), (3, (0,)), (1, (1, 2)))
    assert longest(diamond, seconds_of(diamond)) == 5
    found = curves(diamond, machine(), (2, 100))
    assert found.brent_high == pytest.approx((7 / 5, 7 / 5))
    assert found.brent_low == pytest.approx((7 / (3.5 + 2.5), 7 / (0.07 + 0.99 * 5)))


def test_work_inside_a_kernel_counts_too() -> None:
    """A chain of two kernels of 16 independent elements each."""
    found = curves([Task(16, 0, 16, 4, ()), Task(16, 0, 16, 4, (0,))], machine(), (1, 2, 8, 64))
    assert found.brent_high == (1, 2, 8, 16)
    assert found.realisable == (1, 2, 4, 4)


def test_dispatch_burdens_the_chain_and_the_eager_runtime() -> None:
    tasks = [Task(1, 0, 1, 1, ()), *[Task(10, 0, 10, 10, (0,))] * 2]
    found = curves(tasks, machine(launch=1.0), (2,))
    assert found.burdened[0] == pytest.approx(24 / (12 + 4 / 2))  # chain: (1 + 1) + (1 + 1)
    assert found.realisable[0] == pytest.approx(24 / (2 + 6 + 6))
    forked = curves(tasks, machine(launch=1.0, fork=0.5), (2,))
    assert forked.realisable[0] == pytest.approx(24 / (2 + 6.5 + 6.5))


def test_memory_is_shared_as_the_machine_shares_it() -> None:
    tasks = [Task(1.0, 4, 100, 100, ())]
    assert curves(tasks, machine(), (2,)).realisable == (2.0,)
    assert curves(tasks, machine(together=1.25), (2,)).realisable == (1.25,)
    assert curves(tasks, machine(together=1.0), (2,)).realisable == (1.0,)
    assert curves(tasks, machine(together=1.0), (2,)).brent_high == (2.0,)


@pytest.mark.parametrize("seed", range(60))
def test_a_greedy_schedule_lies_between_the_bounds(seed: int) -> None:
    tasks = drawn(seed)
    work = sum(seconds_of(tasks))
    found = curves(tasks, machine(), WORKERS)
    for place, p in enumerate(WORKERS):
        taken = scheduled(tasks, p)
        assert taken >= work / p - 1e-9
        assert work / found.brent_high[place] <= taken + 1e-9
        assert taken <= work / found.brent_low[place] + 1e-9


@pytest.mark.parametrize("seed", range(60))
def test_curves_keep_their_order(seed: int) -> None:
    tasks = drawn(seed, shared=True)
    found = curves(tasks, machine(launch=0.3), WORKERS)
    for curve in (found.brent_low, found.brent_high, found.burdened, found.realisable):
        assert curve[0] == pytest.approx(1.0)
        assert all(a <= b + 1e-9 for a, b in pairwise(curve))
    for place in range(len(WORKERS)):
        assert found.brent_low[place] <= found.brent_high[place] + 1e-9
        assert found.brent_high[place] <= found.perfect[place] + 1e-9
        assert found.realisable[place] <= found.brent_high[place] + 1e-9


def kernel(
    cost: Cost | None, written: int, moved: int, reads: tuple[int, ...] = (), dtype: str = "float32"
) -> Kernel:
    return Kernel("op", "", "forward", cost, moved, written, dtype, reads)


def test_a_kernel_takes_the_longer_of_arithmetic_and_memory() -> None:
    product = Cost(matmul=2 * 64**3, depth=7, product=(1, 64, 64, 64))
    found = task(kernel(product, 64 * 64, 3 * 4 * 64 * 64), machine())
    assert found.compute == pytest.approx(2 * 64**3 / 1e9)
    assert found.memory == 0
    assert found.allowed == pytest.approx(2 * 64**3 / 7)
    assert found.fed == 2 * 64**3 // PRODUCT_GRAIN
    quick = task(kernel(product, 64 * 64, 0, dtype="bfloat16"), machine())
    assert quick.compute == pytest.approx(found.compute / 4)
    unknown = task(kernel(None, 100, 800), machine())
    assert (unknown.compute, unknown.allowed) == (pytest.approx(8e-7), 100)
    large = task(kernel(None, CACHE, 2 * CACHE), machine())
    assert (large.compute, large.memory) == (0, 2 * CACHE)


def test_no_more_workers_than_the_data_allows() -> None:
    wide_but_deep = Cost(other=10 * GRAIN, depth=5 * GRAIN)
    assert task(kernel(wide_but_deep, 10 * GRAIN, 8), machine()).fed == 2


def test_workers_that_a_kernel_feeds() -> None:
    pointwise = Cost(other=1, depth=1)
    assert fed(pointwise, GRAIN) == 1
    assert fed(pointwise, GRAIN + 1) == 2
    assert fed(pointwise, 10 * GRAIN) == 10
    # a sum of a million elements into one
    assert fed(Cost(other=2**20, depth=20), 1) == 32
    # 512 steps of a fused recurrence: one step, not all of them
    layer = Cost(depth=5000, chain=3584, product=(512, 1, 256, 128))
    assert fed(layer, 1) == 1
    assert fed(Cost(depth=8, product=(512, 1, 256, 128)), 1) == 512


def test_a_pass_of_kernels() -> None:
    row = Cost(other=4 * GRAIN, depth=1)
    kernels = [
        kernel(row, 4 * GRAIN, 8 * 4 * GRAIN),
        kernel(row, 4 * GRAIN, 8 * 4 * GRAIN, (0,)),
    ]
    found = speed_up(kernels, machine(launch=1e-6), (1, 2), mode="forward")
    seconds = 8 * 4 * GRAIN / 1e9
    assert found.mode == "forward"
    assert found.brent_high == (1.0, 2.0)
    assert found.realisable[1] == pytest.approx((1e-6 + seconds) / (1e-6 + seconds / 2))


def test_it_is_said_in_words() -> None:
    found = curves(alone((1, ()), (1, ())), machine(), (1, 2))
    assert sentences(found) == (
        "train, 2 threads: 1x predicted for an eager runtime, the data allows 2x.",
    )
    found.measured[2] = (1.62, 1.5, 1.71)
    assert "1.6x measured (1.5 to 1.7)" in sentences(found)[0]


def test_nothing_ran() -> None:
    assert curves([], machine(), (1, 2)).brent_high == (1.0, 1.0)
