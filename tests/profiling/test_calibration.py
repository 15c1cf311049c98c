import itertools
import json
from pathlib import Path

import pytest
import torch
from sample_speeds import kernel, speeds

from phalanx.errors import UsageError
from phalanx.profiling import calibration
from phalanx.profiling.calibration import Speeds, Stopwatch, key_of, measure_speeds, path_of
from phalanx.profiling.predict import predict
from phalanx.profiling.probes import PROBES, Probe
from phalanx.profiling.tables import grid


def test_every_probe_runs_at_its_smallest_size() -> None:
    with torch.no_grad():
        for probe in PROBES.values():
            probe.make(*next(grid(probe.axes)))()


def test_the_watch_keeps_the_least_time() -> None:
    ticks = iter([0.0, 9.0, 9.0, 12.0])  # 9 s for the first run that counts, 3 s for the second
    watch = Stopwatch(lambda: next(ticks))
    watch.time("a", lambda: None)
    assert watch.least == {"a": 3.0}


def test_a_later_sweep_can_only_lower_a_time() -> None:
    watch = Stopwatch(itertools.count(step=2.0).__next__)
    watch.least["a"] = 1.0
    watch.time("a", lambda: None)
    assert watch.least == {"a": 1.0}


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
    return times


def test_a_machine_is_measured_once(measurements: list[int]) -> None:
    first = calibration.speeds()
    assert calibration.speeds() == first
    assert len(measurements) == 1
    calibration.speeds(refresh=True)
    assert len(measurements) == 2


def test_other_threads_are_measured_apart_and_put_back(measurements: list[int]) -> None:
    assert calibration.speeds(threads=2).key["threads"] == 2
    assert calibration.speeds().key["threads"] == 1
    assert measurements == [2, 1]
    assert torch.get_num_threads() == 1


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
    assert path_of(shaken.key).name in shaken.assumptions[1]
    assert predict([kernel("add", 1)], shaken).seconds > 0
