"""What the facts of a machine mean, and that they are printed as promised."""

import json
from typing import Any

import pytest

from phalanx.cli.doctor import Finding, diagnose
from phalanx.cli.main import main
from phalanx.profiling.machine.hardware import Peaks

FACTS: dict[str, Any] = {
    "processor": "Some CPU",
    "cores": 4,
    "threads": 4,
    "wait_policy": None,
    "bf16": ["avx512_bf16"],
    "compiler": "/usr/bin/g++",
    "gpu": None,
    "python": "3.11",
    "torch": "2.13",
    "phalanx": "0.1.0",
    "system": "Linux x86_64",
}
PEAKS = Peaks({"float32": 1e11, "bfloat16": 3e11}, 2e10, 2e-6)


def finding(name: str, *, free: float = 5e10, headers: bool = True, **changes: Any) -> Finding:
    findings = diagnose({**FACTS, **changes}, PEAKS, int(free), headers)
    return next(found for found in findings if found.name == name)


def test_a_good_machine_has_nothing_to_mend() -> None:
    assert all(found.good for found in diagnose(FACTS, PEAKS, 10**11, True))


@pytest.mark.parametrize(
    ("name", "changes", "advice"),
    [
        ("threads", {"threads": 1}, "OMP_NUM_THREADS=4"),
        ("threads", {"threads": 8}, "OMP_NUM_THREADS=4"),
        ("OMP_WAIT_POLICY", {"wait_policy": "sleepy"}, "ACTIVE or PASSIVE"),
        ("C++ compiler", {"compiler": None}, "Install g++"),
        ("C++ compiler", {"headers": False}, "python3-dev"),
        ("disk", {"free": 1e9}, "Make room"),
    ],
)
def test_what_could_be_better_comes_with_advice(
    name: str, changes: dict[str, Any], advice: str
) -> None:
    found = finding(name, **changes)
    assert not found.good
    assert advice in found.meaning


def test_bf16_is_judged_by_its_speed_and_not_by_its_name() -> None:
    assert "3.0 times as fast" in finding("bfloat16").meaning
    slow = Peaks({"float32": 1e11, "bfloat16": 1e11}, 2e10, 2e-6)
    meanings = {f.name: f.meaning for f in diagnose(FACTS, slow, 10**11, True)}
    assert "stay with float32" in meanings["bfloat16"]


def test_a_gpu_is_named() -> None:
    assert finding("GPU", gpu="Some GPU").value == "Some GPU"


def test_doctor_prints_text_or_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phalanx.profiling.machine.hardware.peaks", lambda device, seconds: PEAKS)
    monkeypatch.setattr("phalanx.profiling.machine.hardware.facts", lambda: FACTS)
    assert main(["doctor"]) == 0
    assert "Some CPU, Linux x86_64" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["facts"] == FACTS
    assert {"name", "value", "meaning", "good"} == set(data["findings"][0])


def test_this_machine_can_be_examined(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    names = [found["name"] for found in json.loads(capsys.readouterr().out)["findings"]]
    assert {"processor", "threads", "bfloat16", "C++ compiler", "GPU", "disk"} <= set(names)
