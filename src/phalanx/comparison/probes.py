"""Exact properties of a model's own modules, in float64: what can be computed alone, and agrees.

Each probe compares a part computed alone with its place in the whole. Differences are relative to
the largest absolute value of the whole; infinity says that the part cannot be computed alone.
"""

import copy
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.comparison.growth import NEAR, Call, Lengths, law_of, pass_of, pass_of_mixer
from phalanx.comparison.subjects import outermost_mixers
from phalanx.mixers import Attention, BidirectionalAttention, Mixer
from phalanx.models import SequenceModel
from phalanx.profiling.elements.gradients import Causality, causality, gradients
from phalanx.profiling.tracing.trace import trace
from phalanx.rows import Rows

AnyAttention = Attention | BidirectionalAttention

_LENGTH = 9
_SEED = 1


@dataclass(frozen=True)
class Independence:
    """How far the parts of a whole are from being independent.

    Args:
        difference: greatest relative difference of a part alone and its place in the whole.
        growth: kernels that one more part adds to the span.
        leak: greatest gradient of one part with respect to another one's input.
        parts: how many parts were compared.
        alike: whether all parts gave the same result, so that nothing was shown.
    """

    difference: float
    growth: float
    leak: float = 0.0
    parts: int = 0
    alike: bool = False


@dataclass(frozen=True)
class TeacherForcing:
    """The losses of one pass against those of one call a prefix.

    Args:
        difference: greatest difference of the losses at one position, in nats.
        leak: what exact gradients say of outputs and later inputs.
        mixes: whether the last output depends on the first input; else nothing was shown.
    """

    difference: float
    leak: Causality
    mixes: bool


@dataclass(frozen=True)
class Scanned:
    """A recurrence by the schedule in use against its own serial schedule.

    Args:
        ratio: kernels per added position of training, in use / serial.
        serial: kernels per added position of training, serial.
        difference: greatest relative difference of the results.
    """

    ratio: float
    serial: float
    difference: float


def heads(model: SequenceModel) -> Independence | None:
    """Each head of each attention computed alone; None where there is no attention (C4)."""
    width = model.config.width
    worst, growth, count, alike = 0.0, 0.0, 0, True
    x_BTD, rows = _vectors(model, width), Rows.full(2, _LENGTH)
    for mixer in outermost_mixers(model):
        if not isinstance(mixer, AnyAttention):
            continue
        together = _before_output(mixer, x_BTD, rows)
        slices = together.split(mixer.head_width, -1)
        for head, slice_BTK in enumerate(slices):
            worst = max(worst, _alone(mixer, head, slice_BTK, x_BTD, rows))
        alike = alike and all(_relative(slices[0], other) < 1e-3 for other in slices[1:])
        growth = max(growth, _kernels_per_head(mixer, width))
        count += len(slices)
    return Independence(worst, growth, parts=count, alike=alike and count > 1) if count else None


def feed_forward(model: SequenceModel) -> Independence | None:
    """Each position through the feed-forward networks alone; None where there are none (C5)."""
    parts = [getattr(block, "feed_forward", None) for block in model.blocks]
    networks = [part for part in parts if isinstance(part, nn.Module)]
    if not networks:
        return None
    x_BTD = _vectors(model, model.config.width)
    order_T = torch.randperm(_LENGTH, generator=torch.Generator().manual_seed(_SEED))
    worst, growth = 0.0, 0.0
    for network in networks:
        with torch.no_grad():
            y_BTD = network(x_BTD)
            worst = max(worst, _relative(network(x_BTD[:, order_T]), y_BTD[:, order_T]))
            for t in range(_LENGTH):
                worst = max(worst, _relative(network(x_BTD[:, t : t + 1]), y_BTD[:, t : t + 1]))
        growth = max(growth, _feed_forward_slope(network, model.config.width))
    return Independence(worst, growth, parts=len(networks))


def batch_rows(model: SequenceModel) -> Independence:
    """A row alone, and among other rows than before; gradients from row to row (C6)."""
    ids_BT, others_BT = _ids(model, 3), _ids(model, 3, seed=_SEED + 1)
    others_BT[0] = ids_BT[0]
    with torch.no_grad():
        together, alone = model(ids_BT), model(ids_BT[:1])
        worst = max(_relative(alone, together[:1]), _relative(model(others_BT)[:1], together[:1]))
    # Row 0's outputs, flattened to one "position", with respect to every row's embedded tokens.
    found = gradients(lambda ids: model(ids)[:1].flatten(1)[:, None], ids_BT, at=model.embedding)
    leak = float(found[0, 1:].abs().max())
    spans = [trace(pass_of(model, "forward", _LENGTH, batch)).span for batch in (2, 8)]
    return Independence(worst, (spans[1] - spans[0]) / 6, leak, parts=3)


def teacher_forcing(model: SequenceModel) -> TeacherForcing:
    """The losses of one pass over T tokens, and of T passes over prefixes (C7)."""
    ids_BT = _ids(model, 2)
    inputs_BT, targets_BT = ids_BT[:, :-1], ids_BT[:, 1:]
    with torch.no_grad():
        together_BT = _losses(model(inputs_BT), targets_BT)
        prefixes = [model(inputs_BT[:, : t + 1])[:, -1:] for t in range(inputs_BT.shape[1])]
        alone_BT = _losses(torch.cat(prefixes, 1), targets_BT)
    difference = float((together_BT - alone_BT).abs().max())
    last = inputs_BT.shape[1] - 1
    found = gradients(model, inputs_BT, at=model.embedding, outputs=[last])
    mixes = bool((found[0, :, 0] != 0).any())
    return TeacherForcing(difference, causality(model, inputs_BT, at=model.embedding), mixes)


def scanned(model: SequenceModel, lengths: Lengths = NEAR) -> Scanned | None:
    """Recurrences in use against the serial schedule; None where the serial form has no chain."""
    found: list[Scanned] = []
    width = model.config.width
    for mixer in model.modules():
        if not isinstance(mixer, Mixer) or len(mixer.schedules) < 2:
            continue
        reference = copy.deepcopy(mixer)
        reference.use_schedule(mixer.schedules[0])
        spans = [trace(pass_of_mixer(reference, width, "train", t)).span for t in (8, 16)]
        if spans[1] - spans[0] < 8:  # no chain through the positions even position by position
            continue
        slope, serial = (
            law_of(partial(pass_of_mixer, m, width, "train"), lengths.mixer).slope
            for m in (mixer, reference)
        )
        x_BTD, rows = _vectors(model, width, 37), Rows.full(2, 37)
        with torch.no_grad():
            difference = _relative(mixer(x_BTD, rows)[0], reference(x_BTD, rows)[0])
        found.append(Scanned(slope / serial, serial, difference))
    if not found:
        return None
    return Scanned(
        max(item.ratio for item in found),
        max(item.serial for item in found),
        max(item.difference for item in found),
    )


# -- heads ------------------------------------------------------------------------------------


def _head_counts(mixer: AnyAttention) -> tuple[int, int]:
    heads_of = mixer.query.out_features // mixer.head_width
    return heads_of, mixer.key_value.out_features // (2 * mixer.head_width)


def _alone(mixer: AnyAttention, head: int, slice_BTK: Tensor, x_BTD: Tensor, rows: Rows) -> float:
    total, groups = _head_counts(mixer)
    try:
        one = with_heads(mixer, range(head, head + 1), range(*_one(head * groups // total)))
        return _relative(_before_output(one, x_BTD, rows), slice_BTK)
    except RuntimeError:  # shapes that hold for all heads together alone
        return math.inf


def _one(index: int) -> tuple[int, int]:
    return index, index + 1


def with_heads(mixer: AnyAttention, kept: range, groups: range) -> AnyAttention:
    """A copy of an attention with some of its heads, and the key/value groups that they read."""
    width = mixer.head_width
    total = _head_counts(mixer)[1]
    query = torch.cat([torch.arange(h * width, (h + 1) * width) for h in kept])
    keys = torch.cat([torch.arange(g * width, (g + 1) * width) for g in groups])
    cut = copy.deepcopy(mixer)
    cut.query = _rows_of(mixer.query, query)
    cut.key_value = _rows_of(mixer.key_value, torch.cat([keys, keys + total * width]))
    cut.output = nn.Linear(len(query), mixer.output.out_features, bias=False).to(query.device)
    cut.output.weight = nn.Parameter(mixer.output.weight.detach()[:, query])
    return cut


def _rows_of(linear: nn.Linear, kept: Tensor) -> nn.Linear:
    cut = nn.Linear(linear.in_features, len(kept), bias=linear.bias is not None)
    cut.weight = nn.Parameter(linear.weight.detach()[kept])
    if linear.bias is not None:
        cut.bias = nn.Parameter(linear.bias.detach()[kept])
    return cut


def _before_output(mixer: AnyAttention, x_BTD: Tensor, rows: Rows) -> Tensor:
    """The heads' results side by side, as the output projection receives them."""
    seen: list[Tensor] = []
    handle = mixer.output.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        with torch.no_grad():
            mixer(x_BTD, rows)
    finally:
        handle.remove()
    return seen[0]


def _kernels_per_head(mixer: AnyAttention, width: int) -> float:
    # Two groups of heads (or two heads of one group) against all: with one alone, copies that put
    # heads side by side become views, and the span shrinks for another reason.
    total, groups = _head_counts(mixer)
    few = 2 * total // groups if groups > 1 else 2
    if few >= total:
        return 0.0
    part = with_heads(mixer, range(few), range(max(1, few * groups // total)))
    try:
        spans = [trace(pass_of_mixer(m, width, "forward", _LENGTH)).span for m in (part, mixer)]
    except RuntimeError:
        return math.inf
    return (spans[1] - spans[0]) / (total - few)


# -- small things -----------------------------------------------------------------------------


def _feed_forward_slope(network: nn.Module, width: int) -> float:
    dtype = next((p.dtype for p in network.parameters()), torch.float32)

    def call(length: int) -> Call:
        x_BTD = torch.zeros(1, length, width, dtype=dtype)
        return lambda: network(x_BTD)

    return law_of(call).slope


def _vectors(model: SequenceModel, width: int, length: int = _LENGTH) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    dtype = model.embedding.weight.dtype
    return torch.randn(2, length, width, generator=generator, dtype=torch.float64).to(dtype)


def _ids(model: SequenceModel, batch: int, seed: int = _SEED) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.vocabulary, (batch, _LENGTH), generator=generator)


def _losses(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    return F.cross_entropy(logits_BTV.transpose(1, 2), targets_BT, reduction="none")


def _relative(part: Tensor, whole: Tensor) -> float:
    if part.shape != whole.shape:
        return math.inf
    scale = max(float(whole.abs().max()), torch.finfo(whole.dtype).tiny)
    difference = float((part - whole).abs().max()) / scale
    return difference if math.isfinite(difference) else math.inf
