"""The estimate of a dry run against counts by hand, and against what a real process holds."""

import json
import subprocess
import sys

import pytest
import torch
from small_runs import PRESETS, small_config
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from phalanx.config import TrainingConfig
from phalanx.models import count, preset
from phalanx.training.estimate import Peak, estimate, language_shapes, peak_memory
from phalanx.training.live_bytes import FRAGMENTED, LiveBytes

TRAIN = TrainingConfig(batch_size=3, sequence_length=16, precision="float32")
HIGH = TRAIN.model_copy(update={"batch_size": 32, "sequence_length": 64})

# What a process holds at most, beyond what it held before the model was built.
MEASURE = """
import json, sys
import torch
from phalanx.config import TrainingConfig
from phalanx.models import build, preset
from phalanx.inference.passes import PASS_POSITIONS
from phalanx.tasks.positions import Batch, total
from phalanx.training.trainer import Trainer

def held(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def validate(model):
    rows = max(1, PASS_POSITIONS // model.config.context)
    ids = torch.zeros(rows, model.config.context, dtype=torch.int64)
    with torch.no_grad():
        return {"loss": float(total(model, Batch(ids, ids)).nats)}

def train(config, settings):
    train = TrainingConfig(steps=3, **settings)
    def batches(step):
        ids = torch.randint(config.vocabulary, (train.batch_size, train.sequence_length))
        return Batch(ids, ids)
    for _ in Trainer(build(config, 0), train, batches, validate=validate).events():
        pass

name, vocabulary, size, settings = json.loads(sys.argv[1])
small = {**settings, "batch_size": 2, "sequence_length": 8, "micro_batch_size": None}
train(preset(name, 17, 8, width=64), small)  # loads every kernel
before = held("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # forget the highest so far
train(preset(name, vocabulary, settings["sequence_length"], size), settings)
print(json.dumps([before, held("VmHWM") - before]))
"""

REAL = [
    ("transformer", 65, 800_000, {"precision": "float32", "optimizer": "adamw"}),
    ("transformer", 65, 3_000_000, {"precision": "bfloat16"}),
    ("transformer", 50257, 800_000, {"precision": "float32", "batch_size": 4}),
    ("transformer-2017", 65, 3_000_000, {"precision": "bfloat16", "optimizer": "adamw"}),
    ("lstm", 65, 2_000_000, {"precision": "float32"}),
    ("lstm", 65, 2_000_000, {"precision": "bfloat16", "optimizer": "adamw"}),
    ("gru", 65, 2_000_000, {"precision": "float32"}),
    ("mingru", 65, 1_000_000, {"precision": "float32"}),
    ("gru", 65, 2_000_000, {"precision": "float32", "micro_batch_size": 8}),
]


def test_transformer_s_work_is_the_closed_form() -> None:
    config = small_config("transformer", 20)
    assert config.feed_forward is not None
    B, T, D, F, L, V = 3, 16, 32, config.feed_forward.width, 2, 20
    products = L * (4 * D * D + 2 * D * F) + D * V  # weights that multiply each position
    attention = L * 2 * T * D  # scores and their sum, every pair
    forward = 2 * B * T * (products + attention)
    # The backward pass is two such products; attention makes its scores again on top of that.
    found = estimate(config, TRAIN)
    assert found.flops_per_step / (3 * forward) == pytest.approx(1.0, abs=0.05)
    assert found.tokens_per_step == B * T


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_counted(name: str) -> None:
    config = small_config(name, 20)
    found = estimate(config, TRAIN)
    assert (found.parameters, found.non_embedding_parameters) == count(config)
    six = 6 * (found.non_embedding_parameters + 32 * 20) * found.tokens_per_step
    assert found.flops_per_step / six == pytest.approx(1.1, abs=0.2)
    assert found.tensor_bytes > 12 * found.parameters
    assert found.tensor_bytes <= found.memory_bytes <= FRAGMENTED * found.tensor_bytes
    assert found.baseline_bytes > 2**26


def test_work_grows_with_the_batch() -> None:
    config = small_config("gru", 20)
    one = estimate(config, TRAIN)
    two = estimate(config, TRAIN.model_copy(update={"batch_size": 6}))
    assert two.flops_per_step == 2 * one.flops_per_step


def test_a_linear_layer_s_step_is_the_closed_form() -> None:
    B, D = 64, 32
    with FakeTensorMode(), LiveBytes() as live:
        weight = nn.Parameter(torch.empty(D, D))
        x_BD = torch.empty(B, D)
        assert live.live == live.peak == 4 * (D * D + B * D)
        y_BD = x_BD @ weight
        z_BD = y_BD.relu()  # saved: its sign is that of y
        assert live.live == 4 * (D * D + 3 * B * D)
        del y_BD
        assert live.live == 4 * (D * D + 2 * B * D)
        gradient_BD = torch.empty(B, D)
        # Weight, x, z, its gradient and that of y; then that of y gives way to the weight's.
        z_BD.backward(gradient_BD)
        assert live.peak == 4 * (D * D + 4 * B * D) + 4 * D * D
        del gradient_BD, z_BD
        assert live.live == 4 * (2 * D * D + B * D)
        del x_BD, weight
    assert live.live == 0


def test_views_and_writing_in_place_take_nothing() -> None:
    with FakeTensorMode(), LiveBytes() as live:
        x_BD = torch.zeros(64, 32)
        before = live.peak
        torch.mul(x_BD.t(), 2, out=torch.relu_(x_BD).t())
        x_BD[3:].view(-1).add_(1)
        assert live.peak == before


def tensors(name: str, config: TrainingConfig = HIGH, **changes: object) -> int:
    return peak_memory(small_config(name, 20, 64, **changes), config).tensor_bytes


def test_memory_grows_with_what_the_optimizer_and_the_average_keep() -> None:
    wide = {"width": 256, "layers": 1}
    one_row = TRAIN.model_copy(update={"batch_size": 1})
    weights = count(small_config("rnn", 20, **wide))[0]

    def change(**settings: object) -> int:
        other = one_row.model_copy(update=settings)
        return peak_memory(small_config("rnn", 20, **wide), other).tensor_bytes

    # One copy always, and another while the average stands in for the weights.
    assert 4 * weights <= change(average=0.9) - change() <= 8 * weights
    assert change(optimizer="adamw") != change()


def test_micro_batches_take_less_and_bfloat16_does_too() -> None:
    one_layer = {"width": 64, "layers": 1}
    large = HIGH.model_copy(update={"batch_size": 512})
    whole = tensors("transformer", large, **one_layer)
    parts = large.model_copy(update={"micro_batch_size": 64})
    assert tensors("transformer", parts, **one_layer) < 0.4 * whole
    lower = large.model_copy(update={"precision": "bfloat16"})
    assert tensors("transformer", lower, **one_layer) < 0.85 * whole


def test_many_outputs_are_not_all_scored_at_once() -> None:
    config = preset("transformer", 50257, 256, width=32)
    train = TRAIN.model_copy(update={"batch_size": 16, "sequence_length": 256})
    scores = 16 * 256 * 50257 * 4
    assert peak_memory(config, train).tensor_bytes < scores


@pytest.mark.parametrize("name", ["transformer", "gru"])
def test_packed_documents_can_be_counted(name: str) -> None:
    config = small_config(name, 20)
    assert isinstance(peak_memory(config, TRAIN, language_shapes(config, TRAIN, packed=True)), Peak)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
@pytest.mark.parametrize(("name", "vocabulary", "size", "settings"), REAL)
def test_a_real_run_takes_what_was_estimated(
    name: str, vocabulary: int, size: int, settings: dict[str, object]
) -> None:
    settings = {"batch_size": 32, "sequence_length": 256, **settings}
    config = preset(name, vocabulary, 256, size)
    found = peak_memory(config, TrainingConfig.model_validate(settings))
    arguments = json.dumps([name, vocabulary, size, settings])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    baseline, measured = json.loads(done.stdout)
    assert found.tensor_bytes < 1.05 * measured
    assert baseline + found.memory_bytes == pytest.approx(baseline + measured, rel=0.2)
