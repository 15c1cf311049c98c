"""How much faster a pass could run with p workers: perfect, Brent's bounds, burdened, realisable.

A kernel is work that several workers may share, so that its weight differs: on one worker it takes
all its time, on the longest chain only what its own data dependence leaves (time / parallelism
inside it). With T1 the sum of the first and Tinf the longest chain of the second,

    max(T1 / p, Tinf) <= Tp <= T1 / p + (1 - 1 / p) Tinf

where the lower bound holds for every schedule and the upper one for every greedy schedule. The
burdened curve is the upper bound with the dispatch of each kernel added to work and chain. An eager
runtime runs one kernel at a time and shares it between the workers that its size can feed:

    Tp = sum over k of [dispatch + fork + max(compute_k / q, bytes_k / B_q)], q = min(p, p_k)

``fork``, the hand-over to a second worker, is ours: it is microseconds where idle threads spin and
a hundred where they sleep (OMP_WAIT_POLICY), and decides whether a small kernel gains at all.

Sources: Brent 1974; Blumofe and Leiserson 1999 (greedy schedules); He, Leiserson, Leiserson 2010,
"The Cilkview scalability analyzer" (burden, presentation).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phalanx.profiling.costs.cost import Cost
from phalanx.profiling.results import Mode, SpeedUp
from phalanx.profiling.tracing.graph import Kernel

GRAIN = 32_768  # elements that torch gives one thread at least (at::internal::GRAIN_SIZE)
PRODUCT_GRAIN = 65_536  # FLOPs: MKL shares a float32 product of 32 x 32 x 32 between two threads
CACHE = 2**23  # bytes: a kernel that moves no more finds them in a cache, by our assumption


@dataclass(frozen=True)
class Workers:
    """What one worker does on a machine, and several of them together.

    Args:
        flops: FLOP/s of a large product by one worker, by dtype.
        cached: bytes a second by one worker, inside its cache.
        bandwidth: number of workers -> bytes a second of them all, from memory.
        launch: seconds to dispatch one kernel.
        fork: number of workers -> seconds to hand a kernel to them and to wait for the last.
    """

    flops: Mapping[str, float]
    cached: float
    bandwidth: Mapping[int, float]
    launch: float
    fork: Mapping[int, float]


@dataclass(frozen=True)
class Task:
    """A kernel as work for several workers.

    Args:
        compute: seconds of one worker that several would share evenly: arithmetic, and bytes
            within the cache.
        memory: bytes that come from memory, which all workers share.
        allowed: workers that the data dependence inside the kernel can keep busy, at least 1.
        fed: workers among which an eager runtime shares a kernel of that size, 1 to ``allowed``.
        reads: indices of the earlier tasks that it waits for.
    """

    compute: float
    memory: int
    allowed: float
    fed: int
    reads: tuple[int, ...]


def speed_up(
    kernels: Sequence[Kernel], speeds: Workers, workers: Sequence[int], *, mode: Mode = "train"
) -> SpeedUp:
    """Predict the speed-up of a pass over one worker.

    Args:
        kernels: of the pass, in the order in which they run.
        speeds: of this machine's workers.
        workers: their numbers, at least 1 each.
        mode: which pass.

    Returns:
        Every curve but the measured one.
    """
    return curves([task(kernel, speeds) for kernel in kernels], speeds, workers, mode=mode)


def curves(
    tasks: Sequence[Task], speeds: Workers, workers: Sequence[int], *, mode: Mode = "train"
) -> SpeedUp:
    """The curves of ``speed_up`` for tasks."""
    one = {1: speeds.bandwidth[1]}
    weights = [_shared(each, 1, one) for each in tasks]
    work, span = sum(weights), longest(tasks, weights)
    burdened_work = work + speeds.launch * len(tasks)
    burdened_span = longest(tasks, weights, speeds.launch)
    eager = {p: _eager(tasks, p, speeds) for p in {1, *workers}}
    return SpeedUp(
        mode=mode,
        workers=tuple(workers),
        perfect=tuple(float(p) for p in workers),
        brent_low=tuple(_ratio(work, _greedy(work, span, p)) for p in workers),
        brent_high=tuple(_ratio(work, max(work / p, span)) for p in workers),
        burdened=tuple(
            _ratio(burdened_work, _greedy(burdened_work, burdened_span, p)) for p in workers
        ),
        realisable=tuple(_ratio(eager[1], eager[p]) for p in workers),
        measured={},
    )


def task(kernel: Kernel, speeds: Workers) -> Task:
    """A kernel's times on one worker, and how many workers could share it."""
    cost = kernel.cost or Cost()
    flops = cost.matmul + cost.other
    rate = speeds.flops.get(kernel.dtype, speeds.flops["float32"])
    compute, moved = flops / rate, kernel.bytes_moved
    if moved <= CACHE:
        compute, moved = max(compute, moved / speeds.cached), 0
    # A move of data has no chain inside: each element on its own.
    allowed = max(1.0, flops / cost.depth if cost.depth else kernel.written)
    return Task(compute, moved, allowed, min(fed(cost, kernel.written), int(allowed)), kernel.reads)


def fed(cost: Cost, written: int) -> int:
    """Workers among which torch shares a kernel: by elements, or by the size of its product."""
    if cost.product is None:
        # A reduction writes less than it reads: its operations say how many elements it takes.
        elements = max(written, cost.other if cost.depth > 1 else 0)
        return max(1, -(-elements // GRAIN)) if elements > GRAIN else 1
    batch, m, n, k = cost.product
    # A fused recurrence runs its steps in turn: what is shared is one step.
    together = 2 * m * n * k * (1 if cost.chain > 1 else batch)
    return max(1, together // PRODUCT_GRAIN)


def longest(tasks: Sequence[Task], weights: Sequence[float], dispatch: float = 0.0) -> float:
    """Seconds of the longest chain with as many workers as one likes: Tinf.

    Args:
        tasks: in an order in which they may run.
        weights: seconds of each on one worker.
        dispatch: seconds more for each on the chain.
    """
    ends: list[float] = []
    for one, seconds in zip(tasks, weights, strict=True):
        begins = max((ends[before] for before in one.reads), default=0.0)
        ends.append(begins + seconds / one.allowed + dispatch)
    return max(ends, default=0.0)


def sentences(found: SpeedUp) -> tuple[str, ...]:
    """What the curves say, one sentence for each number of workers beyond one."""
    said = []
    for place, p in enumerate(found.workers):
        if p == 1:
            continue
        parts = []
        if p in found.measured:
            median, low, high = found.measured[p]
            parts.append(f"{median:.2g}x measured ({low:.2g} to {high:.2g})")
        parts.append(f"{found.realisable[place]:.2g}x predicted for an eager runtime")
        parts.append(f"the data allows {found.brent_high[place]:.2g}x")
        said.append(f"{found.mode}, {p} threads: {', '.join(parts)}.")
    return tuple(said)


def _greedy(work: float, span: float, workers: int) -> float:
    return work / workers + (1 - 1 / workers) * span


def _eager(tasks: Sequence[Task], workers: int, speeds: Workers) -> float:
    total = 0.0
    for one in tasks:
        used = min(workers, one.fed)
        fork = speeds.fork.get(workers, 0.0) if used > 1 else 0.0
        total += speeds.launch + fork + _shared(one, used, speeds.bandwidth)
    return total


def _shared(one: Task, workers: int, bandwidth: Mapping[int, float]) -> float:
    # Bandwidth that was not measured for so few or so many: that of the nearest number below.
    known = max(p for p in bandwidth if p <= workers)
    return max(one.compute / workers, one.memory / bandwidth[known])


def _ratio(one: float, many: float) -> float:
    return one / many if many > 0 else 1.0
