"""How fast this machine runs kernels of every family and size: measured once, kept in the cache."""

import gc
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from phalanx import durable
from phalanx.data.cache import cache_directory
from phalanx.errors import UsageError
from phalanx.profiling.machine import hardware
from phalanx.profiling.machine.doubt import SAME, agree, bounds
from phalanx.profiling.machine.probes import (
    LARGE,
    PROBES,
    STREAMED,
    Probe,
    Run,
    control_product,
    fresh,
    kept,
    stream,
)
from phalanx.profiling.machine.tables import Table, grid
from phalanx.profiling.machine.timing import spread, threads_of_torch, unsteady

FORMAT = 1
SWEEPS = 3
_SECONDS = 25.0  # of all sweeps; what is left of the first one then runs once each
_LEAST_SECONDS = 1e-3  # of a point in a sweep
_STREAMS = (1, 4, 8, 16, 32, 96)  # weights of 2.25 MiB used in turn
_BETWEEN = 10  # points from one run of the control to the next
_AGAIN, _AGAIN_SECONDS = 6, 15.0  # more turns at most of points in doubt, and their time
_FEW = 0.02  # share of points in doubt that leaves speeds steady
_DTYPES = {"float32": "mm", "bfloat16": "mm bfloat16"}

Name = tuple[object, ...]  # of what is timed: a probe and its sizes


@dataclass(frozen=True)
class Speeds:
    """What this machine was measured to do with a number of threads.

    Args:
        key: what the measurement belongs to: format, device, processor, cores, threads, torch,
            wait_policy.
        tables: seconds of a family of kernels (probes.py) by size, dispatch included.
        peak: FLOP/s of the best matrix product, by dtype.
        bandwidth: bytes a second read from memory that no cache holds.
        cold: seconds more for a byte of weights, by the bytes that passed since its last use.
        fresh: seconds more for a byte of a result that is too large for the allocator to keep.
        spread: of a control kernel beside it: upper over lower quartile of its times.
        unsteady: why the figures are not to be trusted, or None.
    """

    key: dict[str, Any]
    tables: dict[str, Table]
    peak: dict[str, float]
    bandwidth: float
    cold: Table
    fresh: float
    spread: float
    unsteady: str | None = None

    @property
    def steady(self) -> bool:
        """Whether the control kernel took the same time throughout."""
        return self.unsteady is None

    @property
    def launch(self) -> float:
        """Seconds of one kernel that has nothing to do, called from Python."""
        return min(self.tables["add"].seconds)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What a prediction with these speeds rests on, in sentences."""
        threads = self.key["threads"]
        said = [
            f"times are predicted from kernels timed once on this machine with {threads} "
            f"thread{'s' if threads > 1 else ''}; nothing else runs beside the model."
        ]
        if self.unsteady:
            said.append(
                f"predicted times are not to be trusted: while kernels were timed, {self.unsteady}."
                " They are not kept; the next command times the kernels again."
            )
        return tuple(said)

    def to_json(self) -> str:
        """All of it as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Speeds":
        """What ``to_json`` wrote.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is something else.
        """
        found = json.loads(text)
        tables = {name: _table(value) for name, value in found.pop("tables").items()}
        return cls(tables=tables, cold=_table(found.pop("cold")), **found)


def speeds(device: str = "cpu", threads: int | None = None, refresh: bool = False) -> Speeds:
    """The speeds of this machine, from the cache or measured now (about 20 seconds).

    Speeds that were measured unsteadily serve this process alone.

    Args:
        device: ``cpu``.
        threads: of torch; None: as many as it uses now. Others are set for the measurement alone.
        refresh: measure even if the cache holds them.

    Raises:
        UsageError: another device, or no positive number of threads.
        StorageError: the cache cannot be written.
    """
    if device != "cpu":
        raise UsageError(
            f"device {device!r}: times are predicted for cpu alone. Profile without predictions."
        )
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads}: expected 1 or more.")
    with threads_of_torch(threads or torch.get_num_threads()):
        key = key_of(device)
        path = path_of(key)
        if not refresh and (known := _read(path, key) or _unsteady.get(path)) is not None:
            return known
        found = measure_speeds(key)
    if found.steady:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(path, found.to_json().encode())
    else:
        _unsteady[path] = found
    return found


_unsteady: dict[Path, Speeds] = {}  # measured by this process


def key_of(device: str = "cpu") -> dict[str, Any]:
    """What speeds measured now would belong to."""
    facts = hardware.facts()
    names = ("processor", "cores", "threads", "torch", "wait_policy")
    return {"format": FORMAT, "device": device, **{name: facts[name] for name in names}}


def path_of(key: Mapping[str, Any]) -> Path:
    """Where speeds of that key are kept."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
    return cache_directory() / "speeds" / f"{digest[:16]}.json"


def measure_speeds(
    key: dict[str, Any],
    probes: Mapping[str, Probe] = PROBES,
    *,
    sweeps: int = SWEEPS,
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Speeds:
    """Time every probe at every size, in sweeps over all; the least time of each point counts.

    Whatever disturbs makes a time longer, and seldom the same point in each sweep. Points whose
    times do not agree, or contradict those of other sizes, are timed again in turn. Where that
    does not help, the contradiction is taken away (``doubt.bounds``) and the speeds are unsteady.
    """
    watch = Stopwatch(clock)
    points = _points(probes)
    control: list[float] = []
    steady = control_product()
    end = clock() + seconds
    with torch.no_grad(), _uncollected():
        for sweep in range(sweeps):
            for count, (name, (make, least)) in enumerate(points.items()):
                late = clock() > end
                if late and sweep:
                    break
                watch.time(name, make(), 0.0 if late else least)
                if count % _BETWEEN == 0:
                    control.append(watch.once(steady))
        end = clock() + _AGAIN_SECONDS
        for _ in range(_AGAIN):
            for name in _doubtful(probes, watch):
                if clock() > end:
                    break
                make, least = points[name]
                watch.time(name, make(), least)
                control.append(watch.once(steady))
        bandwidth = hardware.bandwidth(seconds=0.2)
    doubtful = [name for name in points if not agree(watch.turns[name])]
    why = unsteady(control)
    if why is None and len(doubtful) > _FEW * len(points):
        why = f"{len(doubtful)} of {len(points)} kernels took another time at each turn"
    tables = {
        name: _repaired(name, probe, watch, {*points} if why else {*doubtful})
        for name, probe in probes.items()
    }
    return Speeds(
        key=key,
        tables=tables,
        peak={dtype: _peak(tables[name]) for dtype, name in _DTYPES.items()},
        bandwidth=bandwidth,
        cold=_cold({count: watch.least("stream", count) / count for count in _STREAMS}),
        fresh=max(0.0, watch.least("fresh") - watch.least("kept")) / LARGE,
        spread=spread(control),
        unsteady=why,
    )


def _points(probes: Mapping[str, Probe]) -> dict[Name, tuple[Callable[[], Run], float]]:
    # All that is timed, and for how many seconds in a sweep.
    found: dict[Name, tuple[Callable[[], Run], float]] = {}
    for name, probe in probes.items():
        for point in grid(probe.axes):
            found[name, *point] = partial(probe.make, *point), _LEAST_SECONDS
    for count in _STREAMS:
        found["stream", count] = partial(stream, count), 10 * _LEAST_SECONDS
    found[("fresh",)] = fresh, 100 * _LEAST_SECONDS
    found[("kept",)] = kept, 100 * _LEAST_SECONDS
    return found


def _doubtful(probes: Mapping[str, Probe], watch: "Stopwatch") -> list[Name]:
    # What to time again: times that do not agree, or that other sizes do not allow.
    found = {name: None for name, turns in watch.turns.items() if not agree(turns)}
    for name, probe in probes.items():
        table = _measured(name, probe, watch)
        allowed = bounds(table, probe.rising)
        for point, seconds, most in zip(grid(probe.axes), table.seconds, allowed, strict=True):
            if seconds > SAME * most:
                found[name, *point] = None
    return list(found)


def _measured(name: str, probe: Probe, watch: "Stopwatch") -> Table:
    axes = tuple(tuple(float(size) for size in axis) for axis in probe.axes)
    return Table(axes, tuple(watch.least(name, *point) for point in grid(probe.axes)))


def _repaired(name: str, probe: Probe, watch: "Stopwatch", doubted: Set[Name]) -> Table:
    table = _measured(name, probe, watch)
    allowed = bounds(table, probe.rising)
    return Table(
        table.axes,
        tuple(
            min(seconds, most) if (name, *point) in doubted else seconds
            for point, seconds, most in zip(grid(probe.axes), table.seconds, allowed, strict=True)
        ),
    )


class Stopwatch:
    """The times of many things, over sweeps that come back to each."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.turns: dict[Name, list[float]] = {}

    def time(self, name: Name, run: Run, seconds: float = _LEAST_SECONDS) -> None:
        """Time ``run`` for about ``seconds``, after one that does not count; 0: one run."""
        if seconds:
            run()
        found = once = self.once(run)
        loops = max(1, int(seconds / 4 / once)) if once > 0 else 1000
        for _ in range(3 if once < seconds else bool(seconds)):
            start = self._clock()
            for _ in range(loops):
                run()
            found = min(found, (self._clock() - start) / loops)
        self.turns.setdefault(name, []).append(found)

    def least(self, *name: object) -> float:
        """The least of all turns."""
        return min(self.turns[name])

    def once(self, run: Run) -> float:
        """Seconds of one run."""
        start = self._clock()
        run()
        return self._clock() - start


def _peak(table: Table) -> float:
    return max(
        2 * m * n * k / seconds
        for (m, n, k), seconds in zip(grid(table.axes), table.seconds, strict=True)
    )


def _cold(each: Mapping[int, float]) -> Table:
    """Seconds more for a byte, by the bytes of weights that were used since."""
    size = STREAMED
    more = [max(1e-15, (seconds - each[1]) / size) for seconds in each.values()]
    return Table((tuple(float(count * size) for count in each),), tuple(more))


def _read(path: Path, key: Mapping[str, Any]) -> Speeds | None:
    try:
        found = Speeds.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # not there, or not as it was written: it can be made again
    fits = found.key == key and found.tables.keys() == PROBES.keys()
    return found if fits and found.steady else None


def _table(value: Mapping[str, Sequence[Any]]) -> Table:
    return Table(tuple(tuple(axis) for axis in value["axes"]), tuple(value["seconds"]))


@contextmanager
def _uncollected() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
