"""Tagging Python source: inference that generates nothing, on a real task (claim C9).

An encoder of attention and a bidirectional LSTM learn what Python's own tokenizer calls each byte.
Both answer for a whole text in one call; what happens inside the call is the difference. A
comparison of any models on such a task is that of ``tasks/``.
"""

import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from phalanx.comparison.clocks import LEAST_REPEATS
from phalanx.comparison.course import NEVER, Announce
from phalanx.comparison.growth import law_of, pass_of
from phalanx.comparison.results import Tagger
from phalanx.comparison.subjects import Subject, on_numbers, sequence_model
from phalanx.comparison.tasks.inference import calls_of, latencies
from phalanx.comparison.tasks.python_tags import BATCH, LENGTH, PythonTags, prepare_python_tags
from phalanx.comparison.tuning import rates_of
from phalanx.config import ModelConfig
from phalanx.data.python_tags import LABELS
from phalanx.models import SequenceModel, preset
from phalanx.training.trainer import Trainer

LENGTHS = (64, 256, 1024)
# Preset and changes, about 98,000 parameters outside the tables each.
_SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "encoder": ("transformer", {"width": 64, "layers": 2}),
    "bidirectional lstm": ("lstm", {"width": 74, "layers": 1, "mixers": ("lstm+lstm",)}),
}
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
    tags = prepare_python_tags(seed)
    left = seconds - (time.perf_counter() - began)
    found = []
    built: dict[str, SequenceModel] = {}
    for name in _SHAPES:
        config, base = _config(name, tags.tokenizer.vocabulary)
        model = sequence_model(config)
        model.init_weights(torch.Generator().manual_seed(seed))
        built[name] = model.to(device)
        trained = _train(name, model, base, tags, left * _TRAINING / len(_SHAPES), announce)
        narrow = on_numbers(Subject.of(name, config), torch.float32)
        found.append(
            Tagger(
                name=name,
                parameters=model.parameter_counts()[0],
                seconds=trained,
                accuracy=tags.validate(model)["accuracy"],
                majority_accuracy=tags.majority,
                calls_per_sequence=calls_of(narrow),
                span_slope=law_of(partial(pass_of, narrow, "forward")).slope,
                milliseconds_by_length={},
            )
        )
    times = latencies(built, left * _TIMING, device, LEAST_REPEATS, LENGTHS)
    return [
        replace(
            tagger,
            milliseconds_by_length={
                str(point.length): 1000 * point.seconds for point in times[tagger.name]
            },
        )
        for tagger in found
    ]


def _config(name: str, vocabulary: int) -> tuple[ModelConfig, str]:
    shared: dict[str, Any] = {"kind": "encoder", "outputs": len(LABELS), "tied": False}
    base, own = _SHAPES[name]
    return preset(base, vocabulary, max(LENGTHS), **own, **shared), base


def _train(
    name: str,
    model: SequenceModel,
    base: str,
    tags: PythonTags,
    seconds: float,
    announce: Announce,
) -> float:
    config = rates_of(base).training(
        steps=NEVER,
        seconds=max(0.1, seconds),
        batch_size=BATCH,
        sequence_length=LENGTH,
    )
    trainer = Trainer(model, config, tags.batches(), total=tags.total)
    with announce(f"tagging, {name}: {seconds:.1f} s", trainer) as shown:
        for event in trainer.events():
            shown.show(event)
    model.eval()
    return trainer.seconds
