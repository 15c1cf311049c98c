"""Other people's models: all of their kernels known, causality and laws as counted otherwise."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from zoo import BY_NAME, ZOO, Entry

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.gradients import causality
from phalanx.profiling.elements.paths import paths
from phalanx.profiling.span import Law, WorkLaw
from phalanx.profiling.tracing.algorithm import as_algorithm
from phalanx.profiling.tracing.trace import Trace, Tracer

FAST = (
    "torch RNN", "torch Conv1d stack", "transformers gpt2", "transformers mixtral",
    "transformers mamba", "x-transformers ALiBi decoder", "mambapy Mamba, scan",
)  # fmt: skip
# Why the shadow of elements says nothing; the gradients do.
NOT_FOLLOWED = {
    "transformers deberta-v2": "the host reads a value",
    "transformers mixtral": "histc, which sorts tokens to experts, has no rule",
    "transformers qwen3_moe": "histc has no rule",
    "transformers qwen3_next": "a triangular solution has no rule",
}
every = pytest.mark.parametrize("entry", ZOO, ids=str)
passes = pytest.mark.parametrize("train", [False, True], ids=["forward", "training"])
with_slow = pytest.mark.parametrize(
    "entry",
    [e if e.name in FAST else pytest.param(e, marks=pytest.mark.slow) for e in ZOO],
    ids=str,
)


@pytest.fixture(autouse=True)
def _what_others_warn_of() -> Iterator[None]:
    """Their warnings are theirs; the tracer's own are what the tests look at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class TorchCounts(TorchDispatchMode):
    """FLOPs by torch's own formulas, and by hand where torch has none or a wrong one."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.flops += _count(func, args, kwargs or {}, out)
        return out


def _count(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    packet, aten = func._overloadpacket, torch.ops.aten
    if packet is aten._grouped_mm:  # every row meets the matrix of its group
        rows, matrices = args[:2]
        return 2 * rows.shape[-2] * rows.shape[-1] * matrices.shape[-1]
    if packet in (aten.mv, aten.dot):
        return 2 * int(args[0].numel())
    if packet is aten.convolution_backward and args[9] > 1:  # torch forgets the groups
        gradient, _, weight = args[:3]
        return 2 * int(gradient.numel()) * int(weight[0].numel()) * sum(args[10][:2])
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=out))
    return 0


def _trace(entry: Entry, length: int, train: bool) -> Trace:
    module, x = entry.module(entry.device, train), entry.inputs(length, entry.device)
    with Tracer(module, x) as tracer:
        entry.ready(module, x, train)()
    return tracer.result()


@every
@passes
def test_every_kernel_is_known(entry: Entry, train: bool) -> None:
    module, x = entry.module(entry.device, train), entry.inputs(16, entry.device)
    with Tracer(module, x) as tracer:
        entry.ready(module, x, train)()
    found = tracer.result()
    assert found.coverage >= 0.99, found.unknown
    assert found.orphans == {}
    assert 0 < found.matmul_work < found.work
    for kernel in tracer.kernels():
        if kernel.cost is not None and kernel.cost.product is not None:
            batch, m, n, k = kernel.cost.product
            assert 2 * batch * m * n * k == kernel.cost.matmul, kernel.name
        elif kernel.cost is not None:
            assert kernel.cost.matmul == 0, kernel.name


@every
def test_causality_by_paper_gradient_and_shadow(entry: Entry) -> None:
    # Training mode for the gradients: one of them overwrites its state in evaluation.
    module, x = entry.module("cpu", train=True), entry.inputs(12, "cpu")
    found = causality(lambda x: entry.call(module, x), x, at=entry.embedding(module))
    assert found.causal == entry.causal, found
    module.eval()

    def call(x: Tensor) -> Tensor:
        with torch.no_grad():
            return entry.call(module, x)

    try:
        followed = paths(call, x)
    except PhalanxError:
        assert entry.name in NOT_FOLLOWED
    else:
        assert followed.causal == entry.causal


@with_slow
@passes
def test_laws_hold_where_they_were_not_fitted(entry: Entry, train: bool) -> None:
    found = {length: _trace(entry, length, train) for length in entry.lengths}
    fitted, checked = entry.lengths[:4], entry.lengths[4:]
    work = WorkLaw.through({t: found[t].matmul_work for t in fitted})
    assert work.exact
    for length in checked:
        module, x = entry.module(entry.device, train), entry.inputs(length, entry.device)
        with as_algorithm(), TorchCounts() as counts:
            entry.ready(module, x, train)()
        assert work.at(length) == counts.flops == found[length].matmul_work
    span = Law.fit({t: found[t].span for t in fitted})
    assert (span.slope > 0) == (entry.growth == "linear"), span
    if entry.growth != "linear":
        assert (span.logarithm > 0) == (entry.growth == "logarithmic"), span
    for length in checked:
        allowed = 0 if span.exact else 0.1 * span.at(length)  # a tree has whole levels
        assert abs(span.at(length) - found[length].span) <= allowed


def test_there_are_enough_of_them() -> None:
    installed = {"torch", "transformers", "x_transformers", "mambapy", "minGRU_pytorch"}
    assert sum(entry.package in installed for entry in ZOO) >= 40
    assert set(FAST) <= set(BY_NAME)
