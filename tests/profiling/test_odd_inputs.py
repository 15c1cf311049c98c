"""What a trace cannot follow is said, and what hides kernels is opened; never a silent zero."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.tracing.trace import Trace, Tracer, TraceWarning, trace

MODEL = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
X = torch.ones(2, 4)
PLAIN = ("addmm", "relu", "addmm")


def test_a_compiled_module_runs_as_it_was_written() -> None:
    compiled = torch.compile(MODEL, backend="eager")
    found = trace(lambda: compiled(X))
    assert (found.path, found.kernels) == (PLAIN, 3)
    stance = torch._dynamo.eval_frame._stance.stance
    assert stance == "default"


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_scripted_module_is_seen_through() -> None:
    scripted = torch.jit.script(MODEL)
    assert trace(lambda: scripted(X)).path == PLAIN


class Wrapper(Tensor):
    """Holds a tensor, as quantised and distributed ones do, and computes with it."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Wrapper":
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        made.inner = inner
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> "Wrapper":
        return Wrapper(inner["inner"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inner = [a.inner.cos().acos() if isinstance(a, Wrapper) else a for a in args]
        result = func(*inner, **(kwargs or {}))
        return Wrapper(result) if isinstance(result, Tensor) else result


def test_a_wrapper_is_followed_into() -> None:
    x = Wrapper(torch.ones(2, 3))
    with Tracer(x) as tracer:
        y = x.exp()
        assert tracer.depth_of(y) == 3
    assert tracer.result().path == ("cos", "acos", "exp")


def test_jagged_tensors_are_followed_into() -> None:
    rows = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged)
    layer = nn.Linear(3, 3)
    assert trace(lambda: layer(rows)).matmul_work == 2 * 6 * 3 * 3


@torch.library.custom_op("phalanx_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return x * 2


def test_an_unknown_operator_says_so() -> None:
    with pytest.warns(TraceWarning, match=r"phalanx_tests::twice.*lower bound"):
        found = trace(lambda: twice(X).tanh())
    assert (found.span, found.coverage) == (2, 0.5)


def test_a_branch_on_data_inside_torch_is_one_kernel_of_unknown_cost() -> None:
    def branch() -> Tensor:
        y: Tensor = torch.cond(X.sum() > 0, lambda a: a.sin(), lambda a: a.cos(), (X,))
        return y.tanh()

    with pytest.warns(TraceWarning, match="cond"):
        found = trace(branch)
    assert found.path == ("sum", "gt", "cond", "tanh")


@pytest.mark.filterwarnings("ignore::phalanx.profiling.tracing.trace.TraceWarning")
@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
def test_tensors_without_a_storage_are_followed_whole() -> None:
    table = nn.Embedding(5, 3, sparse=True)
    ids = torch.tensor([1, 2])
    found = trace(lambda: table(ids).sum().backward())
    assert "_sparse_coo_tensor_with_dims_and_tensors" in found.unknown
    assert found.orphans == {}
    sparse = torch.eye(4).to_sparse_csr()
    assert trace(lambda: (sparse @ torch.ones(4, 2)).tanh()).span == 2


def fake(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    memo: dict[int, Any] = {}
    for p in module.parameters():
        memo[id(p)] = nn.Parameter(mode.from_tensor(p.detach()))
    return copy.deepcopy(module, memo)


def as_executed(module: nn.Module, x: Tensor, train: bool) -> Trace:
    mode = FakeTensorMode()
    copied, seen = fake(module, mode).train(train), mode.from_tensor(x)
    with mode, torch.set_grad_enabled(train), Tracer(copied, seen, algorithm=False) as tracer:
        y = copied(seen)
        if train:
            (y[0] if isinstance(y, tuple) else y).sum().backward()
    return tracer.result()


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


def test_fused_kernels_stay_whole_without_memory() -> None:
    lstm = as_executed(nn.LSTM(8, 8, batch_first=True), torch.ones(1, 5, 8), train=True)
    assert lstm.fused == {"mkldnn_rnn_layer": 1, "mkldnn_rnn_layer_backward": 1}
    assert lstm.matmul_work == 3 * 8 * 5 * 8 * 16
    attention = as_executed(Attention(), torch.ones(1, 2, 6, 8), train=False)
    assert attention.path == ("_scaled_dot_product_flash_attention_for_cpu",)
    assert attention.syncs == 0


@pytest.mark.parametrize("algorithm", [True, False])
def test_the_fast_path_of_encoder_layers_is_taken_where_it_is_executed(algorithm: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.ones(1, 5, 8)
    with torch.no_grad(), Tracer(layer, x, algorithm=algorithm) as tracer:
        layer(x)
    names = [kernel.name for kernel in tracer.kernels()]
    assert (names == ["_transformer_encoder_layer_fwd"]) is not algorithm
    assert algorithm or as_executed(layer, x, train=False).kernels == 1


def test_meta_kernels_from_memory_are_those_of_torch() -> None:
    def pieces(device: str) -> list[tuple[Any, ...]]:
        x = torch.ones(3, 4, device=device)
        found = []
        for _ in range(2):  # the second round comes from memory
            whole = torch.ones(3, 4, dtype=torch.int64, device=device)
            made = [
                x + 1, whole + 1, whole + 1.0, whole + True, whole / 2, x.T + 1, x.T.exp(),
                torch.cat([x, x.T.reshape(3, 4)], 1), x.sum(1), x.sum(1, keepdim=True),
                x.to(torch.float64), x > 1, x * x.sum(), x.expand(2, 3, 4) * 2, x[:, ::2] * 2,
                *torch.ops.aten.native_layer_norm(x, [4], None, None, 1e-5), x.clone().add_(1),
            ]  # fmt: skip
            found += [(tuple(y.shape), y.stride(), y.dtype, y.is_contiguous()) for y in made]
        return found

    with Tracer():
        remembered = pieces("meta")
    assert remembered == pieces("cpu")


EMPTY = torch.ones(0)


@pytest.mark.parametrize(
    ("fn", "kernels"),
    [
        (lambda x: x[:, [-2, 0]], ["index"]),
        (lambda x: x[[1]], ["index"]),
        (lambda x: x + torch.as_tensor([1.0, 2.0, 3.0], device=x.device), ["add"]),
        (lambda x: x + x.new_tensor([1.0, 2.0, 3.0]), ["add"]),
        (lambda x: torch.cat([EMPTY.to(x.device), x.flatten()]), ["cat"]),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_python_lists_and_empty_tensors_come_from_nowhere(
    fn: Callable[[Tensor], Tensor], kernels: list[str], device: str
) -> None:
    x = torch.ones(2, 3, device=device)
    with Tracer(x) as tracer:
        fn(x)
    assert [k.name for k in tracer.kernels() if k.name != "_to_copy"] == kernels
    assert tracer.result().orphans == {}
