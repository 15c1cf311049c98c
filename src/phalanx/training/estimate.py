"""What a training step costs, before any is taken: counted on tensors without memory."""

import gc
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from phalanx.config import ModelConfig, TrainingConfig
from phalanx.errors import UsageError
from phalanx.inference.passes import PASS_POSITIONS
from phalanx.mixers.recurrent import GatedCell
from phalanx.models import build, count
from phalanx.tasks.positions import CHUNK_SCORES, Batch, total
from phalanx.training.average import Average
from phalanx.training.live_bytes import LiveBytes
from phalanx.training.memory import USABLE, available_bytes, fit, resident_bytes
from phalanx.training.optimizers import make_optimizers
from phalanx.training.precision import autocast, choose_precision
from phalanx.training.prepared import StepShapes

# Generous counts, for the question whether anything need be counted: copies of the parameters, and
# of every layer's hidden vectors (the LSTM has most: 5 kept by its kernel, 10 while it works).
_COPIES_OF_PARAMETERS = 12
_COPIES_OF_VECTORS = 24
_COPIES_OF_SCORES = 6
_SMALL = 0.25  # of what is available


@dataclass(frozen=True)
class Estimate:
    """The cost of a training step.

    Args:
        parameters: all of them.
        non_embedding_parameters: those outside the tables of tokens, positions and outputs.
        tokens_per_step: input tokens of a batch.
        flops_per_step: of the matrix products of the forward and backward pass, 2 a multiply-add;
            what else a step does (norms, optimizer) is not counted.
        tensor_bytes: the most that tensors take at one time, in a step or a validation.
        memory_bytes: the most that the process holds for them: the allocator of the C library
            keeps some of what is free (on a GPU the same as ``tensor_bytes``).
        baseline_bytes: what this process held before the estimate: torch, the program, the text.
    """

    parameters: int
    non_embedding_parameters: int
    tokens_per_step: int
    flops_per_step: int
    tensor_bytes: int
    memory_bytes: int
    baseline_bytes: int


@dataclass(frozen=True)
class Peak:
    """The most memory of a run.

    Args:
        tensor_bytes, memory_bytes: see Estimate.
    """

    tensor_bytes: int
    memory_bytes: int


def language_shapes(
    model_config: ModelConfig, config: TrainingConfig, *, packed: bool = False
) -> StepShapes:
    """The batches of a language model: windows of one length, all of them full."""
    length, context, rows = config.sequence_length, model_config.context, config.batch_size
    return StepShapes(
        total=total,
        rows=rows,
        step=lambda rows: _batch(rows, length, packed),
        validation=lambda: _batch(max(1, PASS_POSITIONS // context), context, packed),
        # One row: all cost alike, and a large batch would take its loss in many chunks.
        typical=lambda: (_batch(1, length, False), rows),
        tokens=rows * length,
        positions=rows * length,
        packed=packed,
    )


def estimate(
    model_config: ModelConfig,
    config: TrainingConfig,
    shapes: StepShapes | None = None,
    *,
    micro_batch: int | None = None,
    device: torch.device | None = None,
) -> Estimate:
    """Count the cost of a training step without taking one; arguments as ``peak_memory``."""
    shapes = shapes or language_shapes(model_config, config)
    with torch.device("meta"):
        model = build(model_config)
        batch, times = shapes.typical()
    for module in model.modules():
        if isinstance(module, GatedCell):
            module.use_schedule("fused")  # without memory it unrolls in C++, where all is counted
    with FlopCounterMode(display=False) as counter:
        shapes.total(model, batch.to(torch.device("meta")), 0.0).nats.backward()
    baseline = resident_bytes()
    peak = peak_memory(model_config, config, shapes, micro_batch=micro_batch, device=device)
    return Estimate(
        *model.parameter_counts(),
        shapes.tokens,
        times * counter.get_total_flops(),
        peak.tensor_bytes,
        peak.memory_bytes,
        baseline,
    )


def peak_memory(
    model_config: ModelConfig,
    config: TrainingConfig,
    shapes: StepShapes | None = None,
    *,
    micro_batch: int | None = None,
    device: torch.device | None = None,
) -> Peak:
    """Take a step and a pass of validation with fake tensors, and see what is alive at one time.

    Args:
        model_config: the model.
        config: its training.
        shapes: of its batches; None: those of a language model.
        micro_batch: sequences that are computed at a time; None: as configured.
        device: where it will run; None: the CPU.
    """
    device = device or torch.device("cpu")
    shapes = shapes or language_shapes(model_config, config)
    rows = micro_batch or config.micro_batch_size
    live = LiveBytes()
    gc.collect()  # what is left of other models must not be freed, and counted, in between
    with FakeTensorMode(), live, device:
        model = build(model_config)
        optimizers = make_optimizers(model, config)
        average = None if config.average is None else Average(model, config.average)
        live.settle()
        # The second micro-batch finds the gradients of the first; more are all alike.
        sizes = [min(rows or shapes.rows, shapes.rows)]
        if sizes[0] < shapes.rows:
            sizes.append(min(sizes[0], shapes.rows - sizes[0]))
        precision = choose_precision(config.precision, model_config, device)
        for size in sizes:
            batch = shapes.step(size)
            with autocast(precision, device):
                nats = shapes.total(model, batch, config.label_smoothing).nats
            nats.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if average is not None:
            average.update()
        del nats, batch
        with torch.no_grad(), ExitStack() as stack:
            if average is not None:
                stack.enter_context(average.applied())
            model.eval()
            shapes.total(model, shapes.validation(), 0.0)
    held = live.held if device.type == "cpu" else live.peak
    return Peak(live.peak, held)


def choose_micro_batch(
    model_config: ModelConfig,
    config: TrainingConfig,
    device: torch.device,
    shapes: StepShapes | None = None,
) -> int:
    """How many sequences of a batch to compute at a time, before training begins.

    As configured, or as many as fit. Where ``upper_bound`` fits into a quarter of what is
    available, nothing is counted: a small run starts at once.

    Raises:
        UsageError: not even one sequence at a time fits.
    """
    shapes = shapes or language_shapes(model_config, config)
    wanted = min(config.micro_batch_size or shapes.rows, shapes.rows)
    available = available_bytes(device)
    check_size(model_config, available)
    if upper_bound(model_config, config, wanted, shapes) <= _SMALL * available:
        return wanted

    def peak(rows: int) -> int:
        found = peak_memory(model_config, config, shapes, micro_batch=rows, device=device)
        return found.memory_bytes

    return fit(peak, wanted, available)


def check_size(model_config: ModelConfig, available: int) -> None:
    """Refuse a model whose weights, gradients and one moment cannot fit, before it is built.

    Raises:
        UsageError: they are more than ``available`` bytes.
    """
    least = least_parameters(model_config)
    if 3 * 4 * least > USABLE * available:
        raise UsageError(
            f"A model of width {model_config.width:,} and {model_config.layers:,} layers has more "
            f"than {least:,} parameters, which need {3 * 4 * least / 2**30:,.1f} GiB with their "
            f"gradients and moments. {available / 2**30:,.1f} GiB are available, of which "
            f"{USABLE:.0%} can be used. Choose a smaller size, width or number of layers."
        )


def least_parameters(config: ModelConfig) -> int:
    """Fewer than a model has, in closed form: its tables and its layers' matrices."""
    width, inner = config.width, config.mingru.inner or config.width
    of_mixer = sum(
        3 * width * inner if part == "mingru" else 2 * width**2
        for name in config.mixers
        for part in name.split("+")
    ) * (config.layers // len(config.mixers))
    of_networks = 2 * width * config.feed_forward.width if config.feed_forward else 0
    return config.vocabulary * width + of_mixer + config.layers * of_networks


def upper_bound(
    model_config: ModelConfig,
    config: TrainingConfig,
    micro_batch: int,
    shapes: StepShapes | None = None,
) -> int:
    """Bytes that a run will not need, by multiplication alone.

    Every layer is given 24 vectors of its width and of all that is wider, at every position; every
    parameter 12 numbers; and attention that is not the kernel's own keeps its scores.
    """
    shapes = shapes or language_shapes(model_config, config)
    length = max(config.sequence_length, model_config.context)
    step = min(shapes.positions, micro_batch * length)
    positions = max(step, PASS_POSITIONS, model_config.context)
    inner = model_config.mingru.inner or model_config.width
    network = model_config.feed_forward.width if model_config.feed_forward else 0
    layers = model_config.layers + (model_config.encoder_layers or 0)
    of_vectors = layers * (model_config.width + inner + network) * positions
    attention = model_config.attention
    masked = shapes.packed or attention.window is not None or attention.schedule == "reference"
    pairs = layers * attention.heads * positions * length if masked else 0
    outputs = model_config.outputs or model_config.vocabulary
    of_scores = min(positions * outputs, CHUNK_SCORES) + outputs + pairs
    return 4 * (
        _COPIES_OF_PARAMETERS * count(model_config)[0]
        + _COPIES_OF_VECTORS * of_vectors
        + _COPIES_OF_SCORES * of_scores
    )


def _batch(rows: int, length: int, packed: bool) -> Batch:
    ids_BT = torch.zeros(rows, length, dtype=torch.int64)
    return Batch(ids_BT, ids_BT, segments_BT=ids_BT if packed else None)
