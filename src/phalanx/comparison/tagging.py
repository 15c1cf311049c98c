"""Tagging Python source: inference that generates nothing, on a real task (claim C9).

An encoder of attention and a bidirectional LSTM learn what Python's own tokenizer calls each byte.
Both answer for a whole text in one call; what happens inside the call is the difference.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from phalanx.comparison.clocks import figure, within
from phalanx.comparison.contest import Announce
from phalanx.comparison.growth import law_of, pass_of
from phalanx.comparison.results import Tagger
from phalanx.comparison.subjects import Subject, on_numbers
from phalanx.comparison.tuning import rates_of
from phalanx.config import ModelConfig
from phalanx.data.documents import Document
from phalanx.data.python_tags import LABELS, TaggedWindows, tagged_windows
from phalanx.data.splits import split_by_file
from phalanx.data.stdlib import stdlib_documents
from phalanx.data.tokenizers import train_tokenizer
from phalanx.models import Encoder, SequenceModel, build, preset
from phalanx.profiling.tracing.trace import Tracer
from phalanx.tasks.tagging import batches, evaluate, majority_accuracy
from phalanx.training.trainer import Trainer

BATCH, LENGTH = 16, 64
LENGTHS = (64, 256, 1024)
# Preset and changes, about 98,000 parameters outside the tables each.
_SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "encoder": ("transformer", {"width": 64, "layers": 2}),
    "bidirectional lstm": ("lstm", {"width": 74, "layers": 1, "mixers": ("lstm+lstm",)}),
}
_TRAIN_BYTES, _VALIDATION_BYTES = 300_000, 40_000
_TRAINING, _TIMING = 0.7, 0.15  # parts of the time


def measure_tagging(seconds: float, seed: int, device: str, announce: Announce) -> list[Tagger]:
    """Train both taggers and measure them.

    Args:
        seconds: for everything.
        seed: of weights and order.
        device: where.
        announce: shows a run.
    """
    began = time.perf_counter()
    documents = stdlib_documents()
    tokenizer = train_tokenizer("bytes", ())
    sides = split_by_file(documents, 0.1)
    limits = (_TRAIN_BYTES, _VALIDATION_BYTES)
    train, validation = (
        tagged_windows(_first(side, limit), tokenizer, LENGTH)
        for side, limit in zip(sides, limits, strict=True)
    )
    majority = majority_accuracy(train, validation)
    left = seconds - (time.perf_counter() - began)
    found = []
    built: dict[str, Encoder] = {}
    for name in _SHAPES:
        config, base = _config(name, tokenizer.vocabulary)
        model = build(config, seed=seed)
        assert isinstance(model, Encoder)
        built[name] = model.to(device)
        trained = _train(name, model, base, train, left * _TRAINING / len(_SHAPES), seed, announce)
        score = evaluate(model, validation)
        narrow = on_numbers(Subject.of(name, config), torch.float32)
        found.append(
            Tagger(
                name=name,
                parameters=model.parameter_counts()[0],
                seconds=trained,
                accuracy=score.accuracy,
                majority_accuracy=majority,
                calls_per_sequence=_calls(narrow),
                span_slope=law_of(partial(pass_of, narrow, "forward")).slope,
                milliseconds_by_length={},
            )
        )
    times = _latency(built, left * _TIMING, device)
    return [
        Tagger(**{**vars(tagger), "milliseconds_by_length": times[tagger.name]}) for tagger in found
    ]


def _first(documents: Sequence[Document], limit: int) -> list[Document]:
    """Documents from the front, cut off where they reach ``limit`` characters: labels take time."""
    chosen, total = [], 0
    for document in documents:
        chosen.append(document)
        total += len(document.text)
        if total >= limit:
            break
    return chosen


def _config(name: str, vocabulary: int) -> tuple[ModelConfig, str]:
    shared: dict[str, Any] = {"kind": "encoder", "outputs": len(LABELS), "tied": False}
    base, own = _SHAPES[name]
    return preset(base, vocabulary, max(LENGTHS), **own, **shared), base


def _train(
    name: str,
    model: Encoder,
    base: str,
    windows: TaggedWindows,
    seconds: float,
    seed: int,
    announce: Announce,
) -> float:
    config = rates_of(base).training(
        steps=1_000_000,
        seconds=max(0.1, seconds),
        batch_size=BATCH,
        sequence_length=LENGTH,
    )
    trainer = Trainer(model, config, batches(windows, BATCH, seed))
    with announce(f"tagging, {name}: {seconds:.1f} s", trainer) as shown:
        for event in trainer.events():
            shown.show(event)
    model.eval()
    return trainer.seconds


def _calls(model: SequenceModel) -> int:
    """Dependent model calls for the labels of one text, traced."""
    ids_BT = torch.zeros(1, LENGTH, dtype=torch.int64)
    with torch.no_grad(), Tracer(model, ids_BT) as tracer, tracer.call():
        model(ids_BT).argmax(-1)
    return tracer.result().call_span


def _latency(built: dict[str, Encoder], seconds: float, device: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {name: {} for name in built}
    for length in LENGTHS:
        ids_BT = torch.zeros(1, length, dtype=torch.int64, device=device)
        calls = {name: _pass(model, ids_BT) for name, model in built.items()}
        times = within(calls, seconds / len(LENGTHS), device)
        if times is not None:
            for name in built:
                value = figure(times.timings[name].seconds).median
                found[name][str(length)] = 1000 * value
    return found


def _pass(model: Encoder, ids_BT: torch.Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return model(ids_BT).argmax(-1)

    return call
