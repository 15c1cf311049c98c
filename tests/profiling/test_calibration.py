import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sample_speeds import kernel, speeds

from phalanx.errors import UsageError
from phalanx.profiling.machine import calibration
from phalanx.profiling.machine.calibration import Speeds, Stopwatch, key_of, measure_speeds, path_of
from phalanx.profiling.machine.doubt import SLOWER
from phalanx.profiling.machine.predict import predict
from phalanx.profiling.machine.probes import PROBES, Probe
from phalanx.profiling.machine.tables import grid


def test_every_probe_runs_at_its_smallest_size() -> None:
    with torch.no_grad():
        for probe in PROBES.values():
            probe.make(*next(grid(probe.axes)))()


def test_the_watch_keeps_the_least_time() -> None:
    ticks = iter([0.0, 9.0, 9.0, 12.0])  # 9 s for the first run that counts, 3 s for the second
    watch = Stopwatch(lambda: next(ticks))
    watch.time(("a",), lambda: None)
    assert watch.least("a") == 3.0


def test_a_later_sweep_can_only_lower_a_time() -> None:
    watch = Stopwatch(itertools.count(step=2.0).__next__)
    watch.turns["a",] = [1.0]
    watch.time(("a",), lambda: None)
    assert watch.least("a") == 1.0


def few() -> dict[str, Probe]:
    small = {"add": PROBES["add"], "mm": PROBES["mm"], "mm bfloat16": PROBES["mm bfloat16"]}
    cut = {name: tuple(axis[:2] for axis in probe.axes) for name, probe in small.items()}
    return {name: Probe(cut[name], probe.make) for name, probe in small.items()}


def test_measured_speeds_are_positive_and_survive_as_json() -> None:
    found = measure_speeds(key_of(), few(), sweeps=1)
    assert all(time > 0 for table in found.tables.values() for time in table.seconds)
    assert found.bandwidth > 0
    assert found.launch == min(found.tables["add"].seconds)
    assert found.peak.keys() == {"float32", "bfloat16"}
    assert Speeds.from_json(found.to_json()) == found


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """No machine is measured: how often it would have been."""
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path))
    times: list[int] = []

    def stand_in(key: dict[str, object]) -> Speeds:
        times.append(torch.get_num_threads())
        return Speeds(**{**vars(speeds()), "key": key})

    monkeypatch.setattr(calibration, "measure_speeds", stand_in)
    monkeypatch.setattr(calibration, "_unsteady", {})
    return times


def shake(monkeypatch: pytest.MonkeyPatch, why: str | None) -> None:
    steady = calibration.measure_speeds

    def stand_in(key: dict[str, object]) -> Speeds:
        return Speeds(**{**vars(steady(key)), "unsteady": why})

    monkeypatch.setattr(calibration, "measure_speeds", stand_in)


def test_unsteady_speeds_serve_one_process_and_are_not_kept(
    measurements: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as busy:
        shake(busy, "it was busy")
        found = calibration.speeds()
        assert calibration.speeds() is found
        assert not found.steady
        assert not path_of(found.key).exists()
    monkeypatch.setattr(calibration, "_unsteady", {})  # as in the next process
    assert calibration.speeds().steady
    assert calibration.speeds().steady
    assert len(measurements) == 2


def test_unsteady_speeds_on_disk_are_measured_again(measurements: list[int]) -> None:
    known = calibration.speeds()
    path = path_of(known.key)
    path.write_text(Speeds(**{**vars(known), "unsteady": "it was busy"}).to_json())
    assert calibration.speeds() == known
    assert len(measurements) == 2


class Disturbed:
    """A clock that only runs while something is timed, and ``times`` times waits at one size."""

    def __init__(self, times: int) -> None:
        self.now, self._left = 0.0, times

    def __call__(self) -> float:
        return self.now

    def run(self, size: int) -> None:
        self.now += 1e-6 * (1 + size)
        if size == 8 and self._left:
            self._left -= 1
            self.now += 0.02


def by_hand(monkeypatch: pytest.MonkeyPatch, clock: Disturbed) -> dict[str, Probe]:
    """Probes on that clock: a microsecond, and one more for each unit of size."""

    def make(*sizes: int) -> Callable[[], object]:
        return lambda: clock.run(math.prod(sizes))

    for name in ("stream", "fresh", "kept", "control_product"):
        monkeypatch.setattr(calibration, name, lambda *sizes: make(1))
    monkeypatch.setattr(calibration.hardware, "bandwidth", lambda seconds: 1e10)
    axes = {"add": ((1, 8, 64),), "mm": ((1, 8),) * 3, "mm bfloat16": ((1, 8),) * 3}
    return {name: Probe(sizes, make) for name, sizes in axes.items()}


def test_a_time_that_was_disturbed_in_a_whole_sweep_is_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Disturbed(21)  # 7 points of that size, each run 3 times when it takes so long
    found = measure_speeds({}, by_hand(monkeypatch, clock), sweeps=1, clock=clock)
    assert found.tables["add"].seconds == pytest.approx((2e-6, 9e-6, 65e-6))
    assert found.steady


def test_what_larger_sizes_contradict_is_repaired_on_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Disturbed(1_000_000)
    probes = by_hand(monkeypatch, clock)
    monkeypatch.setattr(calibration, "unsteady", lambda seconds: "it was busy")
    found = measure_speeds({}, probes, clock=clock)
    assert found.tables["add"].seconds == pytest.approx(
        (2e-6, min(65e-6, 8 * 2e-6 * SLOWER), 65e-6)
    )
    assert found.unsteady == "it was busy"


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"tables": 1}'])
def test_a_damaged_file_is_measured_again(measurements: list[int], text: str) -> None:
    known = calibration.speeds()
    path_of(known.key).write_text(text)
    assert calibration.speeds() == known
    assert len(measurements) == 2


def test_speeds_of_another_machine_are_not_taken(measurements: list[int]) -> None:
    known = calibration.speeds()
    path = path_of(known.key)
    other = json.loads(path.read_text())
    other["key"]["processor"] = "another"
    path.write_text(json.dumps(other))
    assert calibration.speeds() == known
    assert len(measurements) == 2


def test_speeds_are_of_processor_cores_threads_torch_and_waiting() -> None:
    assert key_of().keys() == {
        "format", "device", "processor", "cores", "threads", "torch", "wait_policy",
    }  # fmt: skip


def test_what_is_asked_for_wrongly_is_said() -> None:
    with pytest.raises(UsageError, match="cpu alone"):
        calibration.speeds("cuda")
    with pytest.raises(UsageError, match="threads 0: expected 1 or more"):
        calibration.speeds(threads=0)


def test_an_unsteady_machine_is_an_assumption_with_a_remedy() -> None:
    assert len(speeds().assumptions) == 1
    shaken = speeds(unsteady="the control kernel took 3.00 times as long in some turns")
    assert not shaken.steady
    assert "not to be trusted" in shaken.assumptions[1]
    assert "the next command times the kernels again" in shaken.assumptions[1]
    assert predict([kernel("add", 1)], shaken).seconds > 0
