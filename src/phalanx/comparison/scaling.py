"""Span and time against T: how each pass grows, for the charts."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from phalanx.comparison.clocks import figure, within
from phalanx.comparison.contenders import Contender
from phalanx.comparison.results import ScalingPoint
from phalanx.comparison.work import Work, forward_call, ids, train_call
from phalanx.models import Decoder, build
from phalanx.profiling.span import Law
from phalanx.profiling.tracing.trace import Trace, trace

LENGTHS = (64, 128, 256, 512, 1024)
_MODES = {"train": 0.5, "forward": 0.25, "decode": 0.25}  # and their parts of the time
_MOST = 7
_STEPS = 4  # decode steps of one run: a single one is too short to time


def scaling(
    models: Sequence[Contender],
    work: Mapping[str, Work],
    traced: Iterable[ScalingPoint],
    seconds: float | None,
    device: str,
    repeats: int,
) -> list[ScalingPoint]:
    """One point for each model, pass and length; without times where there was no time for them.

    Args:
        models: who takes part.
        work: their FLOPs.
        traced: spans of forward and training passes at lengths of the tracer's choice.
        seconds: for all times; None: none are taken.
        device: where.
        repeats: turns at least.
    """
    spans = _laws(traced)
    built = {}
    for contender in models:
        model = build(contender.at(max(LENGTHS) + _STEPS), seed=0)
        assert isinstance(model, Decoder)
        built[contender.name] = model.to(device)
    decoding = {contender.name: _decode_trace(contender) for contender in models}
    end = None if seconds is None else time.perf_counter() + seconds
    points = []
    for length in LENGTHS:
        ahead = sum(t for t in LENGTHS if t >= length)
        left = 0.0 if end is None else (end - time.perf_counter()) * length / ahead
        for mode, part in _MODES.items():
            times = _times(built, mode, length, left * part, device, repeats) if left > 0 else {}
            for name, contender_work in work.items():
                law = spans.get((name, mode))
                span: float | None = None if law is None else law.at(length)
                if mode == "decode":
                    span, flops = decoding[name].span, float(decoding[name].matmul_work)
                else:
                    flops = float(getattr(contender_work, mode).at(length))
                found = times.get(name, (None, None, None))
                points.append(ScalingPoint(name, mode, length, span, flops, *found))
    return points


def _laws(traced: Iterable[ScalingPoint]) -> dict[tuple[str, str], Law]:
    found: dict[tuple[str, str], dict[int, float]] = {}
    for point in traced:
        if point.span is not None:
            found.setdefault((point.model, point.mode), {})[point.length] = point.span
    return {key: Law.fit(points) for key, points in found.items() if len(points) >= 3}


def _times(
    built: Mapping[str, Decoder],
    mode: str,
    length: int,
    seconds: float,
    device: str,
    repeats: int,
) -> dict[str, tuple[float, float, float]]:
    calls: dict[str, Callable[[], object]] = {}
    for name, model in built.items():
        if mode == "decode":
            calls[name] = _decode_call(model, length, device)
        else:
            ids_BT = ids(model, 1, length, device)
            calls[name] = (train_call if mode == "train" else forward_call)(model, ids_BT)
    times = within(calls, seconds, device, repeats=repeats, most=_MOST)
    if times is None:
        return {}
    each = _STEPS if mode == "decode" else 1
    found = {}
    for name in built:
        value = figure([s / each for s in times.timings[name].seconds])
        found[name] = (value.median, value.low, value.high)
    return found


def _decode_call(model: Decoder, length: int, device: str) -> Callable[[], object]:
    """A few decode steps behind ``length`` tokens that were read before; nothing is kept."""
    ids_BT = ids(model, 1, length, device)
    with torch.inference_mode():
        _, held = model.hidden(ids_BT, None, model.empty_state(1, length + _STEPS))
    assert held is not None

    def call() -> object:
        with torch.inference_mode():
            state, token_B = held, ids_BT[:, -1]
            for _ in range(_STEPS):
                logits_BV, state = model.step(token_B, state)
                token_B = logits_BV.argmax(-1)
            return token_B

    return call


def _decode_trace(contender: Contender) -> Trace:
    with torch.device("meta"):
        model = build(contender.at(max(LENGTHS)))
    assert isinstance(model, Decoder)
    with torch.no_grad():
        state = model.empty_state(1, max(LENGTHS))
        token_B = torch.zeros(1, dtype=torch.int64, device="meta")
        return trace(lambda: model.step(token_B, state)[0].argmax(-1))
