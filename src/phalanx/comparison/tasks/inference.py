"""How a model answers for a given text (claim C9): what waits inside the answer, and how long.

Dependent calls and kernels are traced, on a narrow copy of the model; times are measured, every
model in turn beside a control. Weights do not matter to either.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from phalanx.comparison import claims
from phalanx.comparison.clocks import figure, within
from phalanx.comparison.contenders import Contender
from phalanx.comparison.figures import Figures
from phalanx.comparison.rules import SPEED_KEPT_PASS, pending
from phalanx.comparison.speed_kept import speed_kept
from phalanx.comparison.subjects import Subject
from phalanx.comparison.tasks.results import Inference, Latency
from phalanx.comparison.work import Work, forward_call, ids
from phalanx.models import SequenceModel, build
from phalanx.profiling.tracing.trace import Tracer

LENGTHS = (16, 64, 256, 1024)  # tokens of one text
BATCH = (32, 64)  # rows and positions of a batch for the throughput
_CALLED_AT = 64
_EACH = 256  # positions that a pass takes as long as before its first one, about
_VERDICT, _LATENCY, _THROUGHPUT = 0.3, 0.5, 0.2  # parts of the time


def examine(subject: Subject) -> Inference:
    """What the trace says of one model; nothing is timed."""
    figures = Figures(subject)
    return Inference(
        model=subject.name,
        calls_per_sequence=calls_of(figures.model),
        span_slope=figures.forward.whole.slope,
        structure=claims.one_pass(figures),
        machine=pending(),
    )


def calls_of(model: SequenceModel, length: int = _CALLED_AT) -> int:
    """Dependent model calls to answer for one text of ``length`` tokens, traced."""
    ids_BT = torch.zeros(1, length, dtype=torch.int64, device=model.embedding.weight.device)
    with torch.no_grad(), Tracer(model, ids_BT) as tracer, tracer.call():
        model(ids_BT).argmax(-1)
    return tracer.result().call_span


def measure(
    models: Sequence[Contender],
    work: Mapping[str, Work],
    examined: Sequence[Inference],
    seconds: float,
    device: str,
    repeats: int,
) -> list[Inference]:
    """Add to what was traced what this machine says.

    Args:
        models: who takes part.
        work: their FLOPs.
        examined: what was traced, a model each.
        seconds: for everything.
        device: where.
        repeats: turns at least.
    """
    built: dict[str, SequenceModel] = {}
    for contender in models:
        model = build(contender.at(max(LENGTHS)), seed=0)
        assert isinstance(model, SequenceModel)
        built[contender.name] = model.to(device).eval()

    def forward(name: str, rows: int, length: int) -> Callable[[], object]:
        return forward_call(built[name], ids(built[name], rows, length, device))

    verdicts, _ = speed_kept(
        {name: work[name].forward for name in built},
        forward,
        SPEED_KEPT_PASS,
        _VERDICT * seconds,
        device,
        repeats,
        "One forward pass, scores too",
        "The time was too short for three turns.",
    )
    latency = latencies(built, _LATENCY * seconds, device, repeats)
    rows, length = BATCH
    batches = {name: forward(name, rows, length) for name in built}
    times = within(batches, _THROUGHPUT * seconds, device, repeats=repeats)
    found = []
    for inference in examined:
        name = inference.model
        inference = replace(inference, machine=verdicts[name], latency=latency[name])
        if times is not None:
            rate = figure([rows * length / taken for taken in times.timings[name].seconds])
            inference = replace(
                inference,
                batch=BATCH,
                tokens_per_second=rate.median,
                tokens_per_second_low=rate.low,
                tokens_per_second_high=rate.high,
            )
        found.append(inference)
    return found


def latencies(
    built: Mapping[str, SequenceModel],
    seconds: float,
    device: str,
    repeats: int,
    lengths: Sequence[int] = LENGTHS,
) -> dict[str, list[Latency]]:
    """Times of one pass over one text, all models in turn; lengths without time are left out.

    Args:
        built: by name, in evaluation mode.
        seconds: for everything; a longer text gets a longer share.
        device: where.
        repeats: turns at least.
        lengths: tokens of the text, ascending.
    """
    end = time.perf_counter() + seconds
    found: dict[str, list[Latency]] = {name: [] for name in built}
    for place, length in enumerate(lengths):
        ahead = sum(_EACH + coming for coming in lengths[place:])
        left = (end - time.perf_counter()) * (_EACH + length) / ahead
        calls = {name: _answer(model, length, device) for name, model in built.items()}
        times = within(calls, left, device, repeats=repeats)
        if times is not None:
            for name in built:
                taken = figure(times.timings[name].seconds)
                found[name].append(Latency(length, taken.median, taken.low, taken.high))
    return found


def _answer(model: SequenceModel, length: int, device: str) -> Callable[[], object]:
    ids_BT = ids(model, 1, length, device)

    def call() -> object:
        with torch.inference_mode():
            return model(ids_BT).argmax(-1)

    return call
