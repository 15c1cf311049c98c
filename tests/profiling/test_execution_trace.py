"""The span rebuilt from another instrument: torch's own execution trace of a real run.

The observer writes every call of an operator with the storages, offsets, shapes and strides of its
tensors, from inside torch and on the CPU alone. The reading of it here shares nothing with the
tracer but the rule that an operator which torch itself takes apart is no kernel. What the observer
cannot see: meta tensors have no address of their own, reads by the host have no result, memory
that was freed and given out again keeps its number (so allocations have to be read as well), and
integers inside lists of tensors (an index) are told like any other operand.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_models import PlainGPT
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.profiler import ExecutionTraceObserver

from phalanx.profiling.tracing.algorithm import as_algorithm
from phalanx.profiling.tracing.trace import trace

CONSTANTS = {"zeros", "ones_like", "zeros_like", "fill_", "zero_", "arange", "scalar_tensor"}
ALLOCATIONS = {"empty", "empty_like", "empty_strided", "resize_"}
OVERWRITES = {"copy_", "fill_", "zero_"}
SHOWN_OTHERWISE = {"transpose_", "t_", "squeeze_", "unsqueeze_"}  # in place, and no data is moved

Element = tuple[int, int]  # storage and byte


def observed(run: Callable[[], object], file: Path) -> list[dict[str, Any]]:
    """The operators of a run, outermost kernels alone, in the order in which they began."""
    observer = ExecutionTraceObserver().register_callback(str(file))
    observer.start()
    run()
    observer.stop()
    observer.unregister_callback()
    nodes = sorted(json.loads(file.read_text())["nodes"], key=lambda node: int(node["id"]))
    inside: set[int] = set()
    found = []
    for node in nodes:
        schema = next(a["value"] for a in node["attrs"] if a["name"] == "op_schema")
        kernel = schema.startswith("aten::") and not torch._C._dispatch_has_kernel_for_dispatch_key(
            schema.split("(")[0], "CompositeImplicitAutograd"
        )
        if node["ctrl_deps"] in inside:
            inside.add(node["id"])
        elif kernel:
            inside.add(node["id"])
            found.append(node | {"op": node["name"].removeprefix("aten::"), "schema": schema})
    return found


def tensors(part: dict[str, Any]) -> Iterator[list[Element]]:
    """The elements of each tensor among the inputs or outputs of a node."""

    def walk(value: Any, shape: Any, stride: Any, kind: str) -> Iterator[list[Element]]:
        if kind.startswith("GenericList[Tensor"):
            kinds = kind.removeprefix("GenericList[").removesuffix("]").split(",")
            for item in zip(value, shape, stride, kinds, strict=True):
                yield from walk(*item)
        elif kind.startswith("Tensor("):
            _, storage, offset, _, size, _ = value
            places = [offset]
            for count, step in zip(shape, stride, strict=True):
                places = [place + i * step for place in places for i in range(count)]
            yield [(storage, place * size) for place in places]

    for item in zip(part["values"], part["shapes"], part["strides"], part["types"], strict=True):
        yield from walk(*item)


def rebuilt_span(nodes: list[dict[str, Any]]) -> int:
    depth: dict[Element, int] = {}
    longest = 0
    for node in nodes:
        op, reads = node["op"], list(tensors(node["inputs"]))
        writes = list(tensors(node["outputs"]))
        old = {storage for tensor in reads for storage, _ in tensor}
        writing = "!" in node["schema"] and op not in SHOWN_OTHERWISE
        if not writing and {s for tensor in writes for s, _ in tensor} <= old:
            continue  # the same memory, shown otherwise
        if op in ALLOCATIONS or op in CONSTANTS:
            here = 0
        else:
            if op in OVERWRITES:
                reads = reads[1:]
            here = 1 + max((depth.get(e, 0) for tensor in reads for e in tensor), default=0)
            longest = max(longest, here)
        for tensor in writes:
            depth.update(dict.fromkeys(tensor, here))
    return longest


def mlp() -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3))
    return model, torch.ones(5, 4)


def recurrent(kind: type[nn.RNNBase]) -> tuple[nn.Module, torch.Tensor]:
    return kind(3, 4, batch_first=True), torch.ones(2, 7, 3)


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for t in range(x.shape[1]):  # each position alone, written into its place
            out[:, t] = self.step(x[:, t]).tanh()
        return out


def loss_of(y: Any) -> torch.Tensor:
    out: torch.Tensor = y[0] if isinstance(y, tuple) else y
    return F.mse_loss(out, torch.zeros_like(out))


CASES: dict[str, Callable[[], tuple[nn.Module, torch.Tensor]]] = {
    "mlp": mlp,
    "rnn": lambda: recurrent(nn.RNN),
    "lstm": lambda: recurrent(nn.LSTM),
    "gru": lambda: recurrent(nn.GRU),
    "attention": lambda: (PlainGPT(9, 8, 8, 2, 2), torch.zeros(1, 6, dtype=torch.long)),
    "loop": lambda: (Loop(), torch.ones(2, 5, 4)),
}


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_span_as_rebuilt_from_an_execution_trace(name: str, train: bool, tmp_path: Path) -> None:
    model, x = CASES[name]()

    def run() -> None:
        model.zero_grad(set_to_none=True)
        if train:
            loss_of(model(x)).backward()
        else:
            with torch.no_grad():
                model(x)

    with as_algorithm():
        nodes = observed(run, tmp_path / "trace.json")
    assert rebuilt_span(nodes) == trace(run).span
