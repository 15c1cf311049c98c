"""Times of a model's passes on this machine against length, batch and threads, within a budget.

All runs of one pass take turns, beside a control product at each number of threads. Where the
control scatters, or where further threads do not even speed up the control, no verdict is given.
What the time does not suffice for is left out, the largest first, and said.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from phalanx.errors import UsageError
from phalanx.profiling.executed import executed_kernels
from phalanx.profiling.machine.calibration import Speeds
from phalanx.profiling.machine.crew import (
    control_product,
    measure_workers,
    why_not_together,
)
from phalanx.profiling.machine.hardware import synchronise, usable_cores
from phalanx.profiling.machine.predict import predict
from phalanx.profiling.machine.runs_said import Axis, Notes, Run, count, shown, time_text
from phalanx.profiling.machine.speedup import Workers, sentences, speed_up
from phalanx.profiling.machine.timing import (
    Interleaved,
    Timing,
    interleave,
    threads_of_torch,
    unsteady,
)
from phalanx.profiling.results import Measured, MeasuredPoint, Mode, SpeedUp
from phalanx.profiling.subjects.subject import Subject
from phalanx.profiling.tracing.graph import Kernel

LENGTHS, BATCHES = (64, 128, 256, 512), (1, 4, 16)
LEAST_TURNS, MOST_TURNS = 3, 9
_LEAST_SECONDS = 0.005  # of one run in one turn: shorter ones run several times
_CONTROL_SECONDS = 0.01
_TIMED = 0.9  # share of the seconds for runs; the rest is for tracing what ran
_SHORT = 0.05  # share of the time left that a second first run may take

Clock = Callable[[], float]


class _Timed(NamedTuple):
    """What to run, and the seconds of its first run."""

    call: Callable[[], object]
    once: float


def measure(
    subject: Subject,
    modes: Sequence[Mode],
    lengths: Sequence[int] = LENGTHS,
    batches: Sequence[int] = BATCHES,
    threads: Sequence[int] | None = None,
    *,
    seconds: float = 60.0,
    device: str = "cpu",
    speeds: Speeds | None = None,
    clock: Clock = time.perf_counter,
) -> Measured:
    """Time passes against length, batch and threads.

    Each axis varies alone. The others stand at the first of ``batches``, the middle one of
    ``lengths`` and torch's own number of threads.

    Args:
        subject: what is run.
        modes: passes; each gets an equal share of the time that is left.
        lengths: positions (decode: of the context); the model's context where it takes
            no more.
        batches: rows.
        threads: numbers of threads; 1 is added, for the rest is compared with it. None: all powers
            of two that there are cores for.
        seconds: for everything.
        device: ``cpu`` or ``cuda``; on a GPU there are no threads to vary.
        speeds: to predict each time beside it; None: no prediction.
        clock: seconds; another one for tests.

    Raises:
        UsageError: an axis is empty or holds less than 1, or the model has no such pass or length.
    """
    threads = powers_of_two(usable_cores()) if threads is None else threads
    for name, axis in (("lengths", lengths), ("batches", batches), ("threads", threads)):
        if not axis or min(axis) < 1:
            raise UsageError(f"{name} {list(axis)}: expected one or more whole numbers from 1.")
    end = clock() + _TIMED * seconds
    bench = _Bench(subject, lengths, batches, threads, device, speeds, clock)
    for place, mode in enumerate(modes):
        bench.run(mode, end, (end - clock()) / (len(modes) - place))
    return bench.measured()


class _Bench:
    def __init__(
        self,
        subject: Subject,
        lengths: Sequence[int],
        batches: Sequence[int],
        threads: Sequence[int],
        device: str,
        speeds: Speeds | None,
        clock: Clock,
    ) -> None:
        self.subject, self.device, self.speeds, self.clock = subject, device, speeds, clock
        most = subject.context or max(lengths)
        self.lengths = sorted({min(length, most) for length in lengths})
        self.batches = sorted(set(batches))
        self.here = torch.get_num_threads()
        self.base = Run(batches[0], self.lengths[len(self.lengths) // 2], self.here)
        self.notes = Notes()
        self.threads = self._usable(threads)
        self.workers: Workers | None = None
        if self.threads:
            self.workers = measure_workers(self.threads)
        self.control = control_product()
        self.points: list[MeasuredPoint] = []
        self.speed_ups: list[SpeedUp] = []
        self.turns: set[int] = set()

    def measured(self) -> Measured:
        """What was found so far."""
        return Measured(
            points=tuple(self.points),
            speed_up=tuple(self.speed_ups),
            inconclusive=self.notes.inconclusive(),
            control=self.notes.spreads,
            sentences=(*self.notes.said, self._how()),
        )

    def _usable(self, threads: Sequence[int]) -> list[int]:
        if self.device != "cpu":
            self.notes.said.append(f"Threads are not varied on {self.device}.")
            return []
        cores = usable_cores()
        too_many = sorted(p for p in set(threads) if p > cores)
        if too_many:
            listed = " and ".join(str(p) for p in too_many)
            self.notes.said.append(
                f"Not measured with {listed} threads: this process may use {count(cores, 'core')}."
            )
        return sorted({1, *(p for p in threads if p <= cores)})

    # -- one pass ---------------------------------------------------------------------------

    def run(self, mode: Mode, end: float, share: float) -> None:
        """Time one pass along all axes, within ``share`` seconds."""
        end = min(end, self.clock() + share)
        runs, left_out = self._first_runs(mode, end)
        times = self._in_turn(runs, left_out, end)
        if left_out:
            self.notes.said.append(
                f"{mode}: not measured for lack of time: "
                f"{'; '.join(shown(run, self.here) for run in sorted(left_out))}."
            )
        if times is None:
            return
        if times.inconclusive:
            self.notes.reasons.setdefault("times", {})[mode] = times.inconclusive
        found = {run: times.timings[_name(run)] for run in runs if _name(run) in times.timings}
        for axis, along in self._axes(found).items():
            self.points += [self._point(mode, axis, run, found[run]) for run in along]
            if axis != "threads":
                self.notes.scattered(axis, times.control)
                self._say(mode, axis, along, found)
        if self.workers is not None:
            self._threads(mode, times, found)

    def _first_runs(self, mode: Mode, end: float) -> tuple[dict[Run, _Timed], list[Run]]:
        """Run each once, from the smallest, until the next would take too long for the rest."""
        wanted = {Run(self.base.batch, length, self.here) for length in self.lengths}
        wanted |= {Run(batch, self.base.length, self.here) for batch in self.batches}
        wanted |= {self.base._replace(threads=p) for p in self.threads}
        ordered = sorted(wanted, key=lambda run: (run.size, run.length, run.threads != self.here))
        runs: dict[Run, _Timed] = {}
        calls: dict[tuple[int, int], Callable[[], object]] = {}
        for place, run in enumerate(ordered):
            guess = _guess(run, runs)
            turn = guess + sum(one.once for one in runs.values())
            if runs and guess + LEAST_TURNS * turn > end - self.clock():
                return runs, ordered[place:]
            shape = run.batch, run.length
            if shape not in calls:
                calls[shape] = self.subject.call(mode, *shape, self.device)
            call = self._with_threads(calls[shape], run.threads)
            once = self._time(call)
            if once < _SHORT * (end - self.clock()):
                once = min(once, self._time(call))  # the first run found caches cold
            runs[run] = _Timed(call, once)
        return runs, []

    def _time(self, call: Callable[[], object]) -> float:
        start = self.clock()
        call()
        synchronise(self.device)
        return self.clock() - start

    def _in_turn(
        self, runs: dict[Run, _Timed], left_out: list[Run], end: float
    ) -> Interleaved | None:
        """All of them in turn; the longest are left out until three turns fit."""
        order = sorted(runs, key=lambda run: runs[run].once)
        controls = {_control(p): self._with_threads(self.control, p) for p in self.threads}
        while order:
            turn = sum(max(runs[run].once, _LEAST_SECONDS) for run in order)
            turn += _CONTROL_SECONDS * (1 + len(controls))
            # The first turn of the loop count is a run more of each.
            turns = int((end - self.clock()) / turn) - 1
            if turns >= LEAST_TURNS:
                break
            left_out.append(order.pop())
        else:
            return None
        times = interleave(
            {_name(run): runs[run].call for run in order} | controls,
            repeats=min(turns, MOST_TURNS),
            warm_up=0,
            least_seconds=_LEAST_SECONDS,
            device=self.device,
            clock=self.clock,
            control=self._with_threads(self.control, self.here) if self.threads else None,
            seconds=end - self.clock(),
        )
        self.turns.add(len(times.control.seconds))
        return times

    def _with_threads(self, call: Callable[[], object], count: int) -> Callable[[], object]:
        if self.device != "cpu":
            return call

        def run() -> object:
            with threads_of_torch(count):
                return call()

        return run

    # -- what follows -----------------------------------------------------------------------

    def _axes(self, found: dict[Run, Timing]) -> dict[Axis, list[Run]]:
        base = self.base
        axes: dict[Axis, list[Run]] = {
            "length": [base._replace(length=length) for length in self.lengths],
            "batch": [base._replace(batch=batch) for batch in self.batches],
            "threads": [base._replace(threads=p) for p in self.threads],
        }
        known = {axis: [run for run in runs if run in found] for axis, runs in axes.items()}
        return {axis: runs for axis, runs in known.items() if runs}

    def _point(self, mode: Mode, axis: Axis, run: Run, timing: Timing) -> MeasuredPoint:
        predicted = None
        if self.speeds is not None and run.threads == self.here:
            kernels = executed_kernels(self.subject, mode, run.batch, run.length)
            predicted = predict(kernels, self.speeds).seconds if kernels else None
        value = getattr(run, axis)
        return MeasuredPoint(mode, axis, value, timing.median, timing.low, timing.high, predicted)

    def _say(self, mode: Mode, axis: Axis, runs: Sequence[Run], found: dict[Run, Timing]) -> None:
        if len(runs) < 2:
            return
        first, last = runs[0], runs[-1]
        short, long = found[first].median, found[last].median
        what = {"length": "T", "batch": "batch"}[axis]
        old, new = getattr(first, axis), getattr(last, axis)
        self.notes.said.append(
            f"{mode}: {time_text(short)} at {what} = {old}, {time_text(long)} at {what} = {new}: "
            f"{new / old:.3g} times as much takes {long / short:.3g} times as long."
        )

    def _threads(self, mode: Mode, times: Interleaved, found: dict[Run, Timing]) -> None:
        alone = found.get(self.base._replace(threads=1))
        if alone is None:
            return
        measured = {}
        for p in self.threads:
            together = found.get(self.base._replace(threads=p))
            if together is not None:
                ratios = _ratios(alone, together)
                measured[p] = (statistics.median(ratios), min(ratios), max(ratios))
            control = times.timings[_control(p)]
            self.notes.scattered("threads", control)
            gain = statistics.median(_ratios(times.timings[_control(1)], control))
            why = unsteady(control.seconds) or why_not_together(gain, p)
            if why:
                self.notes.reasons.setdefault("speed-ups", {})[mode] = why
        kernels = executed_kernels(self.subject, mode, self.base.batch, self.base.length)
        if kernels:
            predicted = speed_up(kernels, self._crew(kernels), self.threads, mode=mode)
            done = replace(predicted, measured=measured)
            self.speed_ups.append(done)
            self.notes.said += sentences(done)

    def _crew(self, kernels: Sequence[Kernel]) -> Workers:
        """This machine's workers, with what Python and autograd add to the dispatch of these."""
        assert self.workers is not None
        if self.speeds is None:
            return self.workers
        found = predict(kernels, self.speeds)
        return replace(self.workers, launch=found.seconds * found.dispatch_share / len(kernels))

    def _how(self) -> str:
        policy = os.environ.get("OMP_WAIT_POLICY") or "not set"
        turns = " or ".join(str(count) for count in sorted(self.turns))
        where = self.device
        if self.device == "cpu":
            where = f"{count(self.here, 'thread')} unless said, OMP_WAIT_POLICY {policy}"
        return (
            f"Times are the middle of {turns or 'no'} turns beside a control product: {where}; "
            f"{count(self.base.batch, 'row')} of {self.base.length} positions unless said."
        )


def powers_of_two(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to ``most``."""
    return tuple(2**power for power in range(most.bit_length()))


def _ratios(above: Timing, below: Timing) -> list[float]:
    return [a / b for a, b in zip(above.seconds, below.seconds, strict=True)]


def _name(run: Run) -> str:
    return f"{run.batch} x {run.length}, {run.threads}"


def _control(threads: int) -> str:
    return f"control, {threads}"


def _guess(run: Run, runs: dict[Run, _Timed]) -> float:
    """Seconds of a run, from the largest before it: at least as many times as its positions.

    Attention may take more. That costs one run, after which the seconds are known.
    """
    if not runs:
        return 0.0
    last = max(runs, key=lambda one: one.size)
    return runs[last].once * run.size / last.size
