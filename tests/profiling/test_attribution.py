"""Whose kernel is it: the module whose forward ran, or whose forward is differentiated."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.utils.checkpoint import checkpoint

from phalanx.profiling.tracing.graph import Kernel
from phalanx.profiling.tracing.trace import Tracer
from phalanx.profiling.tracing.tree import module_tree


def kernels_of(model: nn.Module, x: Tensor, train: bool = True) -> list[Kernel]:
    with Tracer(x, root=model) as tracer:
        loss = model(x).exp().sum()
        if train:
            loss.backward()
    return tracer.kernels()


def placed(kernels: list[Kernel]) -> Counter[tuple[str, str, str]]:
    return Counter((k.name, k.module, k.phase) for k in kernels)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_forward_and_backward_of_each_module(device: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(device)
    found = placed(kernels_of(model, torch.ones(2, 3, device=device)))
    assert found == {
        ("addmm", "0", "forward"): 1,
        ("tanh", "1", "forward"): 1,
        ("addmm", "2", "forward"): 1,
        ("exp", "", "forward"): 1,
        ("sum", "", "forward"): 1,
        ("ones_like", "", "forward"): 1,  # the gradient that backward() begins with
        ("mul", "", "backward"): 1,
        ("mm", "2", "backward"): 2,
        ("sum", "2", "backward"): 1,
        ("tanh_backward", "1", "backward"): 1,
        ("mm", "0", "backward"): 1,  # of its weight: nobody asks for the gradient of x
        ("sum", "0", "backward"): 1,
    }


def test_edges_lead_from_a_result_to_its_reader() -> None:
    model = nn.Linear(3, 3)
    x = torch.ones(2, 3)
    with Tracer(model, x) as tracer:
        out = torch.empty(2, 3)
        out[0] = x[0].tanh()  # 0, 1
        out[1] = x[1].exp()  # 2, 3
        out[1].sum().item()  # 4, 5
        (out[0] + 1).tanh()  # 6 7
    assert [(k.name, k.reads) for k in tracer.kernels()] == [
        ("tanh", ()),
        ("copy_", (0,)),
        ("exp", ()),
        ("copy_", (2,)),
        ("sum", (3,)),
        ("_local_scalar_dense", (4,)),
        ("add", (1, 5)),
        ("tanh", (6, 5)),
    ]
    first = tracer.kernels()[0]
    assert (first.written, first.dtype, first.bytes_moved) == (3, "float32", 24)


def test_names_and_unknown_origins_are_no_kernels() -> None:
    x, hidden = torch.ones(3), iter([torch.ones(3), torch.ones(3)])
    tracer = Tracer(x)

    def run() -> None:
        y, _ = x.tanh().exp(), x.sin()
        tracer.source(y, "y")
        y.cos()
        next(hidden) + next(hidden)

    with pytest.warns(UserWarning, match="unknown origin"), tracer:
        run()
    found = [(k.name, k.reads) for k in tracer.kernels()]
    assert found == [
        ("tanh", ()),
        ("exp", (0,)),
        ("sin", ()),
        ("cos", (1,)),
        ("add", (2, 3)),  # everything before, told by what nothing else has read
    ]


class Twice(nn.Module):
    """One layer, registered under two names, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.again(self.first(x).sin()))


def test_a_shared_module_called_twice() -> None:
    model = Twice()
    x = torch.ones(2, 3)
    with Tracer(x, root=model) as tracer:
        model(x).sum().backward()
    found = placed(tracer.kernels())
    assert found["addmm", "first", "forward"] == 2
    assert found["sin", "", "forward"] == found["mul", "", "backward"] == 1
    assert found["add", "first", "backward"] == 2  # gradients of the two calls, weight and bias
    tree = module_tree(tracer, model)
    assert [(child.name, child.calls) for child in tree.children] == [("first", 2), ("last", 1)]
    assert tree.parameters == tree.children[0].parameters == 12


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(self.inner, x, use_reentrant=self.reentrant)
        return y


@pytest.mark.parametrize("reentrant", [True, False])
def test_recomputation_belongs_to_the_module_that_runs_again(reentrant: bool) -> None:
    model = Checkpointed(reentrant)
    found = placed(kernels_of(model, torch.ones(2, 3, requires_grad=True)))
    assert found["addmm", "inner.0", "forward"] == found["addmm", "inner.0", "backward"] == 1
    assert found["tanh", "inner.1", "forward"] == 1
    assert found["tanh_backward", "inner.1", "backward"] == 1
    assert found["mm", "inner.0", "backward"] == 2


class _TwiceTheGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient.mul(2.0).cosh()


class OnlyBackward(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _TwiceTheGradient.apply(x)
        return y


def test_a_function_of_its_own_that_computes_only_backward() -> None:
    model = nn.Sequential(OnlyBackward(), nn.Linear(3, 3))
    found = placed(kernels_of(model, torch.ones(2, 3, requires_grad=True)))
    assert found["cosh", "0", "backward"] == 1
    assert not [key for key in found if key[1:] == ("0", "forward")]


def test_a_gradient_that_accumulates_belongs_to_the_owner_of_the_parameter() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    found = placed(kernels_of(model, torch.ones(2, 3)))
    assert found["add_", "0", "backward"] == found["add_", "1", "backward"] == 2


class Stepped(nn.Module):
    """Its parts are used by methods that no hook of torch sees."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, 3)
        self.head = nn.Linear(3, 2)

    def step(self, x_BD: Tensor) -> Tensor:
        return x_BD.tanh() + 1

    def scale(self, x_BD: Tensor) -> Tensor:
        return x_BD.exp()


class Stepping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = Stepped()
        self.head = nn.Linear(3, 2)

    def forward(self, x_BD: Tensor) -> Tensor:
        return self.head(self.part.step(x_BD).relu())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_method_that_no_hook_sees_belongs_to_its_module(device: str) -> None:
    model = Stepping().to(device)
    x = torch.ones(2, 3, device=device, requires_grad=True)
    with Tracer(x, root=model) as tracer:
        loss = model.part.scale(model(x)).sum()
        loss.backward()
    assert placed(tracer.kernels()) == {
        ("tanh", "part", "forward"): 1,
        ("add", "part", "forward"): 1,
        ("relu", "", "forward"): 1,  # of the root, whose forward called the method
        ("addmm", "head", "forward"): 1,
        ("exp", "part", "forward"): 1,
        ("sum", "", "forward"): 1,
        ("ones_like", "", "forward"): 1,
        ("mul", "part", "backward"): 1,
        ("mm", "head", "backward"): 2,
        ("sum", "head", "backward"): 1,
        ("threshold_backward", "", "backward"): 1,
        ("tanh_backward", "part", "backward"): 1,
    }
    assert module_tree(tracer, model).figures.kernels == 11  # all but the sum and the loss's ones


def test_a_module_that_raises_leaves_no_hook_and_no_place_behind() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("on purpose")

    model = nn.Sequential(nn.Linear(3, 3), Fails())
    x = torch.ones(2, 3)
    tracer = Tracer(x, root=model)
    with tracer:
        with pytest.raises(RuntimeError, match="on purpose"):
            model(x)
        x.tanh()
    assert [(k.name, k.module) for k in tracer.kernels()] == [("addmm", "0"), ("tanh", "")]
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks
