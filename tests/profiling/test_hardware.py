import json
import time

import torch

from phalanx.profiling.machine import hardware


def test_facts_are_json_and_complete() -> None:
    facts = hardware.facts()
    json.dumps(facts)
    assert set(facts) == {
        "processor", "cores", "threads", "wait_policy", "bf16", "compiler", "gpu", "python",
        "torch", "phalanx", "system",
    }  # fmt: skip
    assert facts["processor"]
    assert facts["cores"] >= 1
    assert facts["threads"] == torch.get_num_threads()
    assert facts["torch"] == torch.__version__


def test_peaks_are_quick_and_larger_work_is_not_faster_than_them() -> None:
    start = time.perf_counter()
    flops = hardware.peak_flops(size=256, seconds=0.05)
    read = hardware.bandwidth(megabytes=16, seconds=0.05)
    launch = hardware.launch_seconds(seconds=0.02)
    assert time.perf_counter() - start < 5
    assert 1e8 < flops < 1e15
    assert 1e8 < read < 1e13
    assert 1e-8 < launch < 1e-2


def test_a_compiler_named_but_absent_is_not_reported(monkeypatch: object) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # type: ignore[attr-defined]
    monkeypatch.delenv("CXX", raising=False)  # type: ignore[attr-defined]
    assert hardware.compiler() is None
    assert hardware.facts()["compiler"] is None
