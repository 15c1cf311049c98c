"""How fast this machine runs kernels of every family and size: measured once, kept in the cache."""

import gc
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from phalanx import durable
from phalanx.data.cache import cache_directory
from phalanx.errors import UsageError
from phalanx.profiling import hardware
from phalanx.profiling.probes import (
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
from phalanx.profiling.tables import Table, grid
from phalanx.profiling.timing import spread, unsteady

FORMAT = 1
SWEEPS = 3
_SECONDS = 30.0  # no sweep begins after this
_LEAST_SECONDS = 1e-3  # of a point in a sweep
_STREAMS = (1, 4, 8, 16, 32, 96)  # weights of 2.25 MiB used in turn
_DTYPES = {"float32": "mm", "bfloat16": "mm bfloat16"}


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
                f" Delete {path_of(self.key)} to have them timed again."
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
    with _threads(threads or torch.get_num_threads()):
        key = key_of(device)
        path = path_of(key)
        if not refresh and (known := _read(path, key)) is not None:
            return known
        found = measure_speeds(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(path, found.to_json().encode())
    return found


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

    Whatever disturbs makes a time longer, and seldom the same point in each sweep.
    """
    watch = Stopwatch(clock)
    control: list[float] = []
    steady = control_product()
    end = clock() + seconds
    with torch.no_grad(), _uncollected():
        for _ in range(sweeps):
            for name, probe in probes.items():
                for point in grid(probe.axes):
                    watch.time((name, point), probe.make(*point))
                control.append(watch.once(steady))
            for count in _STREAMS:
                watch.time(("stream", count), stream(count), 10 * _LEAST_SECONDS)
            for name, make in (("fresh", fresh), ("kept", kept)):
                watch.time(name, make(), 100 * _LEAST_SECONDS)
            if clock() > end:
                break
        bandwidth = hardware.bandwidth(seconds=0.2)
    least = watch.least
    tables = {
        name: Table(
            tuple(tuple(float(size) for size in axis) for axis in probe.axes),
            tuple(least[name, point] for point in grid(probe.axes)),
        )
        for name, probe in probes.items()
    }
    return Speeds(
        key=key,
        tables=tables,
        peak={dtype: _peak(tables[name]) for dtype, name in _DTYPES.items()},
        bandwidth=bandwidth,
        cold=_cold({count: least["stream", count] / count for count in _STREAMS}),
        fresh=max(0.0, least["fresh"] - least["kept"]) / LARGE,
        spread=spread(control),
        unsteady=unsteady(control),
    )


class Stopwatch:
    """The least time of each of many things, over sweeps that come back to each."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.least: dict[Any, float] = {}

    def time(self, name: object, run: Run, seconds: float = _LEAST_SECONDS) -> None:
        """Time ``run`` for about ``seconds``, twice at least, after one run that does not count."""
        run()
        found = once = self.once(run)
        loops = max(1, int(seconds / 4 / once)) if once > 0 else 1000
        for _ in range(3 if once < seconds else 1):
            start = self._clock()
            for _ in range(loops):
                run()
            found = min(found, (self._clock() - start) / loops)
        self.least[name] = min(found, self.least.get(name, found))

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
    return found if found.key == key and found.tables.keys() == PROBES.keys() else None


def _table(value: Mapping[str, Sequence[Any]]) -> Table:
    return Table(tuple(tuple(axis) for axis in value["axes"]), tuple(value["seconds"]))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _uncollected() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
