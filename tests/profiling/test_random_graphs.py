"""Random programs of torch operations against a model in plain Python, element by element."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from phalanx.profiling.tracing.trace import Tracer

SHAPE = (4, 6)
VIEWS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: x[1],
    lambda x: x[1:3],
    lambda x: x[:, 2:5],
    lambda x: x[:, ::2],
    lambda x: x[::2, 1::3],
    lambda x: x.T,
    lambda x: x.T[3],
    lambda x: x.diagonal(1),
    lambda x: x.reshape(2, 2, 6)[:, 1],
    lambda x: x.flatten()[5:17],
    lambda x: x.flatten()[7:19:4],
    lambda x: x.flatten().unfold(0, 4, 4)[2:, 1],
    lambda x: x[3:3],
)
PLACES = [view(torch.arange(24).reshape(SHAPE)).flatten().tolist() for view in VIEWS]


@dataclass
class Cell:
    """What the model knows of one element."""

    written: int = 0  # kernels on the longest chain of its value
    scheduled: int = 0  # the same where memory that is used again orders too
    used: int = 0  # schedule depth of its last read or write


Memory = list[Cell]


class Model:
    def __init__(self) -> None:
        self.span = self.schedule = 0

    def kernel(self, reads: list[Cell], writes: list[Cell], constant: bool = False) -> None:
        waits = max((cell.used for cell in writes), default=0)
        if constant:
            depth, scheduled = 0, waits + min(waits, 1)
        else:
            depth = 1 + max((cell.written for cell in reads), default=0)
            scheduled = 1 + max([waits, *(cell.scheduled for cell in reads)])
        for cell in reads:
            cell.used = max(cell.used, scheduled)
        for cell in writes:
            cell.written, cell.scheduled, cell.used = depth, scheduled, scheduled
        self.span, self.schedule = max(self.span, depth), max(self.schedule, scheduled)


def shown(memory: Memory, view: int) -> list[Cell]:
    return [memory[place] for place in PLACES[view]]


def fresh(count: int = 24) -> Memory:
    return [Cell() for _ in range(count)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["tanh", "sum", "copy", "scale", "zero", "index", "empty", "item"]),
        st.integers(0, 5),
        st.integers(0, 5),
        st.integers(0, len(VIEWS) - 1),
        st.integers(0, len(VIEWS) - 1),
    ),
    max_size=16,
)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_spans_of_random_programs(device: str, steps: list[tuple[str, int, int, int, int]]) -> None:
    tensors = [torch.zeros(SHAPE, device=device) for _ in range(2)]
    memories = [fresh(), fresh()]
    model = Model()
    row = torch.tensor([1], device=device)
    control: list[Cell] = []  # what everything later waits for
    with Tracer(tensors, row) as tracer:
        for name, first, second, v, w in steps:
            a, b = first % len(tensors), second % len(tensors)
            x, y, view, other = tensors[a], tensors[b], VIEWS[v], VIEWS[w]
            seen, hit, same = shown(memories[a], v), shown(memories[b], w), shown(memories[b], v)
            if name == "tanh":  # a new tensor, of all of an old one
                tensors.append(x.tanh())
                memories.append(fresh())
                model.kernel([*memories[a], *control], memories[-1])
            elif name == "empty":
                tensors.append(torch.empty(SHAPE, device=device))
                memories.append(fresh())
                for cell in memories[-1]:
                    cell.written = max([0, *(c.written for c in control)])
                    cell.scheduled = cell.used = max([0, *(c.scheduled for c in control)])
            elif name == "sum":  # part of one tensor into part of another
                total = fresh(1)
                other(y).add_(view(x).sum())
                model.kernel([*seen, *control], total)
                model.kernel([*total, *hit, *control], hit)
            elif name == "copy" and a != b:
                view(y).copy_(view(x))
                model.kernel([*seen, *control], same)
            elif name == "scale":
                view(x).mul_(2.0)
                model.kernel([*seen, *control], seen)
            elif name == "zero":
                view(x).zero_()
                if not control:
                    model.kernel([], seen, constant=True)
                else:
                    constant(model, seen, control)
            elif name == "index":  # where it writes is data: it may be anywhere
                x[row] = 1.0
                model.kernel([*memories[a], *control], memories[a])
            elif name == "item" and device == "cpu" and v == 0:
                x[0, 0].item()
                after = fresh(1)
                model.kernel([memories[a][0], *control], after)
                control = after
        for tensor, memory in zip(tensors, memories, strict=True):
            for v, view in enumerate(VIEWS):
                cells = shown(memory, v)
                assert tracer.depth_of(view(tensor)) == max((c.written for c in cells), default=0)
    found = tracer.result()
    assert (found.span, found.schedule_span) == (model.span, model.schedule)


def constant(model: Model, writes: list[Cell], control: list[Cell]) -> None:
    # It computes nothing, yet is not launched before the host has gone on.
    waits = max((cell.used for cell in writes), default=0)
    scheduled = max([waits + min(waits, 1), *(c.scheduled + min(waits, 1) for c in control)])
    depth = max(c.written for c in control)
    for cell in writes:
        cell.written, cell.scheduled, cell.used = depth, scheduled, scheduled
    model.schedule = max(model.schedule, scheduled)
