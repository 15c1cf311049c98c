"""A comparison on a task written by hand, for tests of the report alone: never measured."""

from __future__ import annotations

from phalanx.comparison.results import CurvePoint, Verdict
from phalanx.comparison.tasks.results import (
    FORMAT,
    Baseline,
    Inference,
    Latency,
    TaskStudy,
    TaskTrained,
)

ATTACK = "</script><script>alert(1)</script>"


def _structure(verdict: str, slope: float) -> Verdict:
    return Verdict(
        verdict=verdict,
        figure=slope,
        unit="kernels_per_position",
        threshold="< 0.001 yes, 0.001..1 chunked, >= 1 no",
        how=f"Traced at T = 32, 64, 128; span of the whole pass {slope:g}T + 7; the figure is that "
        "of the layer that adds most.",
    )


def _machine(verdict: str, figure: float | None) -> Verdict:
    return Verdict(
        verdict=verdict,
        figure=figure,
        unit="speed_kept",
        threshold="< 0.5 no, 0.5..0.8 partly, >= 0.8 yes",
        low=None if figure is None else 0.9 * figure,
        high=None if figure is None else 1.1 * figure,
        how="" if figure is not None else "The time was too short for three turns.",
    )


def _trained(name: str, f1: float, rate: float) -> TaskTrained:
    curve = [
        CurvePoint(step, 900 * step, 9e8 * step, step / 9, 2.0 / step, {"f1": f1 * step / 40})
        for step in (10, 20, 40)
    ]
    return TaskTrained(
        name=name,
        parameters=412_345,
        non_embedding_parameters=100_123,
        config={"width": 64, "mixers": ["attention"]},
        schedules={"lstm": "fused"},
        optimizer="Muon 0.04 + AdamW 0.003, token table 0.01",
        tuning_trials=7,
        steps=40,
        tokens=36_000,
        seconds=4.4,
        flops=3.6e10,
        tokens_per_second=rate,
        tokens_per_second_low=0.95 * rate,
        tokens_per_second_high=1.05 * rate,
        peak_memory_bytes=21_000_000,
        equal_tokens={"loss": 0.05, "f1": f1, "accuracy": 0.9},
        equal_seconds={"loss": 0.04, "f1": f1 + 0.1, "accuracy": 0.91},
        curve=curve,
        timed_curve=curve,
    )


def sample_task_study(*, trained: bool = True) -> TaskStudy:
    """Two models and two baselines; without ``trained`` what an interrupted comparison has."""
    latency = [Latency(t, t / 4e4, t / 5e4, t / 3e4) for t in (16, 64, 256, 1024)]
    waiting = Inference("lstm", 1, 7.0, _structure("no", 7.0), _machine("partly", 0.7))
    ready = Inference(
        *(ATTACK, 1, 0.0, _structure("yes", 0.0), _machine("not_measured", None)),
        latency=latency,
        batch=(32, 64),
        tokens_per_second=41_000.0,
        tokens_per_second_low=39_000.0,
        tokens_per_second_high=44_000.0,
    )
    return TaskStudy(
        format=FORMAT,
        task="tagging",
        created="2026-01-02T03:04:05+00:00",
        command="phalanx compare --task tagging lstm transformer",
        language="en",
        data={"name": "train.conll", "tokenizer": "bpe, vocabulary 512", "labels": 9},
        machine={"device": "cpu", "versions": {"torch": "2"}},
        budget_seconds=60.0,
        elapsed_seconds=58.0,
        primary="f1" if trained else "",
        models=[_trained("lstm", 0.31, 21_000.0), _trained(ATTACK, 0.42, 9_000.0)]
        if trained
        else [],
        baselines=[Baseline("majority tag", {"accuracy": 0.8, "f1": 0.0})] if trained else [],
        inference=[waiting, ready],
        contract={"batch": "32 texts of at most 128 tokens"} if trained else {},
        notes=[
            "Inference: not measured. The budget of 60 s leaves no time for it (at least 2 s "
            "would be needed)."
        ],
    )
