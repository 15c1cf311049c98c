"""The tree of modules and the critical path, on models whose chains are known."""

import itertools

import pytest
import torch
from plain_models import PlainGPT
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.tracing.trace import Tracer
from phalanx.profiling.tracing.tree import critical_path, module_tree


def traced(model: nn.Module, *inputs: Tensor, train: bool = False) -> Tracer:
    with Tracer(inputs, root=model) as tracer:
        y = model(*inputs)
        if train:
            y.sum().backward()
    return tracer


class Branches(nn.Module):
    """Two branches side by side, a serial head; each layer a chain of tanh."""

    class Chain(nn.Module):
        def __init__(self, length: int) -> None:
            super().__init__()
            self.length = length

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(self.length):
                x = x.tanh()
            return x

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = self.Chain(3), self.Chain(5), self.Chain(2)
        self.unused = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.right(self.left(x)) + self.left(x))


def test_the_span_of_a_module_is_the_most_of_it_on_any_chain() -> None:
    model = Branches()
    tree = module_tree(traced(model, torch.ones(3)), model)
    # x -> left (3) -> right (5) -> add -> head (2); the second call of left stands beside
    assert (tree.kind, tree.figures.span, tree.on_path, tree.figures.kernels) == (
        "Branches", 3 + 5 + 1 + 2, 11, 14,
    )  # fmt: skip
    found = {n.name: (n.figures.kernels, n.figures.span, n.on_path, n.calls) for n in tree.children}
    assert found == {"left": (6, 3, 3, 2), "right": (5, 5, 5, 1), "head": (2, 2, 2, 1)}
    assert tree.parameters == 20


def brute_force(tracer: Tracer, module: str) -> int:
    """Longest chain inside a subtree, by walking all paths backwards."""
    kernels = tracer.kernels()
    best = [0] * len(kernels)
    for i, kernel in enumerate(kernels):
        inside = kernel.module == module or kernel.module.startswith(module + ".")
        counts = inside and bool(kernel.cost is None or kernel.name not in {"zeros", "ones_like"})
        best[i] = max((best[j] for j in kernel.reads), default=0) + counts
    return max(best, default=0)


def test_spans_of_a_transformer_by_brute_force_and_totals_add_up() -> None:
    with torch.device("meta"):
        model = PlainGPT(20, 16, 8, 2, 3)
        ids = torch.zeros(1, 8, dtype=torch.long)
    tracer = traced(model, ids, train=True)
    tree = module_tree(tracer, model)
    for path, node in itertools.islice(tree.walk(), 1, None):
        assert node.figures.span == brute_force(tracer, path), path
    result = tracer.result()
    inside = [k for k in tracer.kernels() if k.module]
    assert sum(child.figures.kernels for child in tree.children) == len(inside)
    assert tree.figures.matmul_work == result.matmul_work
    assert tree.figures.kernels == result.kernels - 2  # sum, and the gradient that it begins with
    assert [child.name for child in tree.children] == ["tokens", "positions", "layers", "norm"]
    assert tree.children[2].calls == 0  # a list of modules is not called


def test_equal_layers_are_told_once() -> None:
    with torch.device("meta"):
        model = PlainGPT(20, 16, 8, 2, 4)
        ids = torch.zeros(1, 8, dtype=torch.long)
    tracer = traced(model, ids, train=True)
    path = critical_path(tracer, model)
    assert sum(step.kernels for step in path) == tracer.result().span
    feed = [step for step in path if step.module == "layers.*.up"]
    assert [(s.times, s.phase, s.chain, s.kind) for s in feed] == [
        (4, "forward", ("addmm",), "Linear"),
        (4, "backward", ("mm",), "Linear"),
    ]
    phases = [step.phase for step in path]
    assert phases == sorted(phases, reverse=True)  # forward, then backward
    assert not any(step.reassociable for step in path)


@pytest.mark.parametrize("length", [8, 33])
def test_the_chain_of_a_recurrent_layer(length: int) -> None:
    layer = nn.LSTM(4, 4, batch_first=True)
    with Tracer(root=layer) as tracer:
        layer(torch.ones(1, length, 4))
    path = critical_path(tracer, layer)
    step = max(path, key=lambda s: s.kernels)
    assert (step.times, step.kernels) == (length, 7 * length)
    assert set(step.chain) == {"addmm", "add_", "sigmoid_", "mul", "tanh"}


class Cell(nn.Module):
    """A loop over positions through two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.product, self.squash = nn.Linear(4, 4, bias=False), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h = self.squash(x[:, t] + self.product(h))
        return h


def test_a_loop_through_several_modules_is_told_module_by_module() -> None:
    model = Cell()
    tracer = traced(model, torch.ones(2, 9, 4))
    found = [(s.times, s.module, s.kind, s.chain) for s in critical_path(tracer, model)]
    assert found == [
        (9, "product", "Linear", ("mm",)),
        (9, "", "Cell", ("add",)),
        (9, "squash", "Tanh", ("tanh",)),
    ]


class Sums(nn.Module):
    """Terms that are there at once, added one after another, in pairs, or as a residual."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        terms = [torch.full_like(x, t).mul(x) for t in range(8)]
        if self.kind == "in turn":
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            return total
        if self.kind == "tree":
            while len(terms) > 1:
                terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=True)]
            return terms[0]
        if self.kind == "doubling":
            x = x[:, :2]
            for _ in range(4):
                x = x + x.T
            return x
        for term in terms:  # residual: what is added depends on the sum so far
            x = x + x.tanh() * term
        return x


@pytest.mark.parametrize("kind", ["in turn", "tree", "doubling", "residual"])
def test_only_sums_that_a_tree_could_add_are_flagged(kind: str) -> None:
    model = Sums(kind)
    path = critical_path(traced(model, torch.ones(2, 16)), model)
    flagged = [(step.times, step.chain) for step in path if step.reassociable]
    assert flagged == ([(7, ("add",))] if kind == "in turn" else [])


def test_weight_gradients_of_a_recurrent_layer_are_such_sums() -> None:
    # Gradients of each position are there at once where no state links them.
    layer, x = nn.Linear(4, 4, bias=False), torch.ones(12, 2, 4)
    with Tracer(x, root=layer) as tracer:
        F.mse_loss(torch.stack([layer(row) for row in x]), x).backward()
    flagged = [step for step in critical_path(tracer, layer) if step.reassociable]
    assert [(s.times, s.phase, s.chain) for s in flagged] == [(11, "backward", ("add",))]
