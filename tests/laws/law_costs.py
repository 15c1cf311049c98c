"""Law 10: what a mixer costs is its closed form, in every schedule, as two counters see it.

FLOPs of matrix products, 2 a multiply-add, of B full rows of T positions. A schedule is another
order of the same maths: it may not multiply more, in the forward or in the backward pass.
"""

from collections.abc import Callable
from typing import Any

import torch
from law_checks import CAPACITY, LawError
from subjects import BATCH, Subject, built, make_batch, schedule_count, use_schedule
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from phalanx.layers.cross_block import CrossBlock
from phalanx.mixers import Bidirectional, MinGRU
from phalanx.mixers.attention import Attention, BidirectionalAttention
from phalanx.mixers.cross_attention import CrossAttention
from phalanx.mixers.recurrent import GatedCell
from phalanx.profiling.tracing.trace import trace

MEMORY = 5  # positions of what a cross block reads


class TorchCounts(TorchDispatchMode):
    """FLOPs by the formulas of torch's FlopCounterMode, which itself hooks modules and cannot take
    a custom autograd function that has several results."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            of = flop_registry[func._overloadpacket]
            self.flops += int(of(*args, **(kwargs or {}), out_val=out))
        return out


def forward_flops(module: nn.Module, B: int, T: int, keys: int | None = None) -> int:
    """All positions in one call; each query meets ``keys`` keys, by default the T positions.

    Masks save nothing: a kernel multiplies what it then throws away.
    """
    if isinstance(module, Attention | BidirectionalAttention | CrossAttention):
        D, K = module.query.weight.shape[0], module.head_width
        pairs = module.key_value.weight.shape[0] // (2 * K)  # heads of keys and values
        S = MEMORY if isinstance(module, CrossAttention) else T
        projections = 2 * B * T * (D * D + module.output.weight.numel())
        projections += 4 * B * S * D * pairs * K
        met = MEMORY if isinstance(module, CrossAttention) else keys or T
        return projections + 4 * B * T * met * D
    if isinstance(module, GatedCell):
        return 4 * module.gates * B * T * module.width**2
    if isinstance(module, MinGRU):
        return 6 * B * T * module.output.out_features * module.inner
    if isinstance(module, Bidirectional):
        both = forward_flops(module.forwards, B, T) + forward_flops(module.backwards, B, T)
        return both + 2 * B * T * module.output.weight.numel()
    if isinstance(module, CrossBlock):
        own, cross = (forward_flops(part, B, T, keys) for part in (module.own.mixer, module.cross))
        return own + cross + 2 * B * T * _linear_entries(module.reading.feed_forward)
    raise TypeError(f"no closed form of {type(module).__name__}: state it in law_costs.py")


def training_flops(module: nn.Module, B: int, T: int) -> int:
    """Forward and backward: two more products for each one, but for a given start's gradient."""
    spared = sum(
        2 * part.gates * B * part.width**2
        for part in module.modules()
        if isinstance(part, GatedCell) and part.schedule != "hoisted"
    )
    return 3 * forward_flops(module, B, T) - spared


def step_flops(module: nn.Module, B: int, capacity: int) -> int:
    """One position from a carried state: an attention meets every slot of its cache."""
    flops = forward_flops(module, B, 1, capacity + 1)
    if isinstance(module, CrossBlock):  # the memory's keys and values are there already
        flops -= 2 * B * MEMORY * module.cross.key_value.weight.numel()
    return flops


def cost(subject: Subject, length: int = 9) -> None:
    """Law 10, for one subject: closed form = traced, and = torch's counter on the reference."""
    module = built(subject)
    batch = make_batch(subject, "full", length)
    batch.x_BTD.requires_grad_()
    if batch.memory_BSD is not None:
        batch.memory_BSD.requires_grad_()

    def forward() -> object:
        with torch.no_grad():
            return subject.call(module, batch, None)

    def training() -> object:
        return subject.call(module, batch, None)[0].sum().backward()

    for index in range(schedule_count(module)):
        use_schedule(module, index)
        expected = {
            "forward": (forward, forward_flops(module, BATCH, length)),
            "training": (training, training_flops(module, BATCH, length)),
        }
        for name, (run, closed) in expected.items():
            _same(f"{name}, schedule {index}, traced", trace(run).matmul_work, closed)
            if index == 0:
                with TorchCounts() as counter:
                    run()
                _same(f"{name}, torch's formulas", counter.flops, closed)
        if subject.causal:
            with torch.no_grad():
                state = subject.begin(module, batch, None, CAPACITY)
                step = _step(subject, module, batch.x_BTD[:, 0], state)
                closed = step_flops(module, BATCH, CAPACITY)
                _same(f"step, schedule {index}", trace(step).matmul_work, closed)


def _step(subject: Subject, module: nn.Module, *given: object) -> Callable[[], object]:
    return lambda: subject.step(module, *given, None)  # type: ignore[arg-type]


def _same(what: str, counted: int, closed: int) -> None:
    if counted != closed:
        raise LawError(f"law 10, {what}: {counted:,} FLOPs; the closed form is {closed:,}")


def _linear_entries(module: nn.Module) -> int:
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))
