"""Each operator's rule against what really changes when one element of its input does.

Every element of a random input is a source; one after the other they are set to other numbers,
and the result elements that change are those that depend on it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.paths import paths

aten: Any = torch.ops.aten
Fn = Callable[[Tensor], Tensor]


def _depends(fn: Fn, x: Tensor) -> np.ndarray[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    before = fn(x)
    found = np.zeros((x.numel(), before.numel()), bool)
    for _ in range(3):
        for i in range(x.numel()):
            other = x.clone()
            other.view(-1)[i] = torch.randn((), generator=generator, dtype=x.dtype) * 3
            found[i] |= (fn(other) != before).reshape(-1).numpy()
    return found


def _reached(fn: Fn, x: Tensor) -> np.ndarray[Any, Any]:
    flat = paths(lambda given: fn(given.reshape(x.shape)).reshape(1, -1), x.reshape(1, -1))
    return np.isfinite(flat.kernels_ij)


def _gradient(fn: Fn) -> Fn:
    # What the backward pass computes, as a function of the result's gradient.
    def backward(given: Tensor) -> Tensor:
        with torch.enable_grad():
            x = torch.linspace(-1.3, 1.9, given.numel(), dtype=given.dtype).reshape(given.shape)
            x.requires_grad_()
            y = fn(x)
            scale = given.reshape(-1).repeat(y.numel())[: y.numel()].reshape(y.shape)
            (gradient,) = torch.autograd.grad(y, x, scale)
        return gradient

    return backward


def _halves(join: Callable[[Tensor, Tensor], Tensor]) -> Fn:
    return lambda x: join(*x.chunk(2))


LOW = torch.ones(4, 4, dtype=torch.bool).tril()
NEAR = torch.ones(4, 4, dtype=torch.bool).tril(1)  # two or more in each row
PICK = torch.tensor([2, 0, 2])
EXACT: dict[str, Fn] = {
    "glu": lambda x: F.glu(x, 1),
    "softmax": lambda x: x.softmax(1),
    "log softmax": lambda x: x.log_softmax(0),
    "masked softmax": lambda x: x.masked_fill(~NEAR, -torch.inf).softmax(1),
    "softmax of -1e9": lambda x: x.masked_fill(~NEAR, -1e9).softmax(1),
    "softmax of finfo.min": lambda x: (
        x + torch.zeros(4, 4).masked_fill(~NEAR, torch.finfo(torch.float32).min)
    ).softmax(1),
    "layer norm": lambda x: F.layer_norm(x, (4,)),
    "rms norm": lambda x: F.rms_norm(x, (4,)),
    "group norm": lambda x: F.group_norm(x[None], 2),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "batch norm of known": lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)),
    "mv": lambda x: x[:3] @ x[3],
    "vm": lambda x: x[3] @ x[:, :2],
    "mm": lambda x: x[:2] @ x[2:].T,
    "mm of tril": lambda x: (x * LOW) @ torch.ones(4, 2),
    "tril mm": lambda x: torch.ones(4, 4).tril() @ x,
    "mm of a mask": lambda x: x @ torch.eye(4),
    "outer": lambda x: torch.outer(x[0], x[1]),
    "addr": lambda x: torch.addr(x, x[0], torch.ones(4)),
    "addbmm": lambda x: torch.addbmm(x[:2, :2], x.reshape(2, 2, 4)[..., :3], torch.ones(2, 3, 2)),
    "baddbmm without c": lambda x: torch.baddbmm(
        x.reshape(2, 2, 4)[..., :2], x.reshape(2, 2, 4), torch.ones(2, 4, 2), beta=0
    ),
    "einsum": lambda x: torch.einsum("bij,bjk->bik", x.reshape(2, 2, 4), torch.ones(2, 4, 3)),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(0),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "reductions": lambda x: torch.cat([x.sum(0), x.mean(1), x.var(0), x.norm(dim=1)]),
    "sum of all": lambda x: x.sum() + x.prod(),
    "roll": lambda x: x.roll(1, 1).flip(0),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "tril": lambda x: x.tril() + x.T.triu(1),
    "repeat": lambda x: x.repeat(2, 1).repeat_interleave(2, 1),
    "scatter": lambda x: torch.zeros(4, 4).scatter(1, PICK.expand(4, 3)[:, 1:], x),
    "scatter add": lambda x: x.scatter_add(0, PICK[:, None].expand(3, 4), x[1:].exp()),
    "index add": lambda x: torch.zeros(4, 4).index_add(1, PICK, x[:, :3]),
    "index put": lambda x: x.index_put((PICK,), x[1:].exp(), accumulate=True),
    "index copy": lambda x: x.index_copy(0, torch.tensor([1, 3]), x[:2].exp()),
    "index": lambda x: x[PICK[:, None], torch.tensor([0, 3])],
    "index fill": lambda x: x.index_fill(1, PICK, 0.0),
    "embedding": lambda x: F.embedding(PICK, x),
    "fft": lambda x: torch.fft.fft(x, dim=1).abs(),
    "conv 1d": lambda x: F.conv1d(x[None], torch.ones(4, 4, 2), stride=2, padding=1),
    "conv 1d in groups": lambda x: F.conv1d(x[None], torch.ones(4, 2, 3), groups=2, dilation=1),
    "conv 1d by channel": lambda x: F.conv1d(x[None], torch.ones(4, 1, 3), groups=4, padding=2),
    "conv 1d transposed": lambda x: F.conv_transpose1d(x[None], torch.ones(4, 2, 3), stride=2),
    "conv 2d": lambda x: F.conv2d(x[None, None], torch.ones(1, 1, 2, 3), padding=(0, 1)),
    "average pool": lambda x: F.avg_pool1d(x[None], 2, 2),
    "adaptive pool": lambda x: F.adaptive_avg_pool1d(x[None], 3),
    "where": lambda x: torch.where(LOW, x, x.T.exp()),
    "where of a number": lambda x: torch.where(LOW, x, 0.0),
    "times a mask": lambda x: x * LOW + x.T.masked_fill(LOW, 1.0),
    "a mask of masks": lambda x: torch.where((x > 0) & LOW, 1.0, 0.0),
    "out of masks": lambda x: torch.where((x > 0) | LOW, 1.0, 0.0),
    "infinite": lambda x: (x + torch.where(LOW, 0.0, -torch.inf)).exp(),
    "in parts": lambda x: _in_parts(x),
    "as complex": lambda x: _rotary(x),
    "as bytes": lambda x: x.view(torch.int32).view(torch.float32) * 2,
    "glu backward": _gradient(lambda x: F.glu(x * 1.0, 1)),
    "unfold backward": _gradient(lambda x: x.unfold(1, 3, 1)),
    "col2im": _gradient(lambda x: F.unfold(x[None, None], (2, 3), padding=(1, 0))),
    "slice backward": _gradient(lambda x: x[1:, 2:]),
    "select backward": _gradient(lambda x: x[2]),
    "cat backward": _gradient(lambda x: torch.cat([x, x[:1]])),
    "expand backward": _gradient(lambda x: x[:, :1].expand(4, 6)),
    "index backward": _gradient(lambda x: x[PICK]),
    "gather backward": _gradient(lambda x: x.gather(0, PICK.expand(2, 3))),
    "embedding backward": _gradient(lambda x: F.embedding(PICK, x)),
    "cumsum backward": _gradient(lambda x: x.cumsum(0)),
    "threshold backward": lambda g: aten.threshold_backward(g, torch.ones(4, 4), 0.0),
    "gelu backward": lambda g: aten.gelu_backward(g, torch.ones(4, 4)),
    "silu backward": lambda g: aten.silu_backward(g, g.T),
    "tanh backward": lambda g: aten.tanh_backward(g, g.T),
    "softmax backward": lambda g: aten._softmax_backward_data(g, g.T, 1, torch.float32),
    "masked softmax backward": lambda g: aten._softmax_backward_data(
        g, (torch.arange(1.0, 17.0).reshape(4, 4) / 7.3).tril(), 1, torch.float32
    ),
    "log softmax backward": lambda g: aten._log_softmax_backward_data(g, g.T, 1, torch.float32),
    "conv backward": _gradient(lambda x: F.conv1d(x[None], torch.ones(4, 2, 3), groups=2)),
    "conv transposed backward": _gradient(
        lambda x: F.conv_transpose1d(x[None], torch.ones(4, 2, 3), stride=2)
    ),
    "average pool backward": _gradient(lambda x: F.avg_pool1d(x[None], 2, 2)),
    "loss of each": lambda x: F.mse_loss(x, x.T.exp(), reduction="none"),
    "loss": lambda x: F.mse_loss(x, torch.ones(4, 4)),
}


def _in_parts(x: Tensor) -> Tensor:
    y = torch.empty(4, 4)
    y[:2] = x[2:]
    y[2:].copy_(x[:2].T.reshape(2, 4))
    y[:, 1] *= x[0]
    y.view(-1)[::5].add_(x.diagonal())
    return y.T


def _rotary(x: Tensor) -> Tensor:
    turn = torch.polar(torch.ones(4, 2), torch.arange(8.0).reshape(4, 2))
    return torch.view_as_real(torch.view_as_complex(x.reshape(4, 2, 2)) * turn).flatten(1)


@pytest.mark.parametrize("name", EXACT)
def test_a_rule_is_exact(name: str) -> None:
    x = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    reached, depends = _reached(EXACT[name], x), _depends(EXACT[name], x)
    if name == "sum of all":
        assert reached.all()
    elif name == "as complex":  # a complex number is followed whole
        assert (reached >= depends).all()
        assert reached.sum() == 16 * 2
    else:
        np.testing.assert_array_equal(reached, depends)
        assert reached.any()


# Which element was greatest decides what is read: the rule says which could be.
BOUNDS: dict[str, Fn] = {
    "max": lambda x: x.amax(1) + x.max(0).values,
    "sort": lambda x: x.sort(1).values,
    "topk": lambda x: x.topk(2, 1).values,
    "argmax": lambda x: x.argmax(1),
    "cummax": lambda x: x.cummax(1).values,
    "picked by itself": lambda x: x.gather(1, x.argsort(1)),
    "index of itself": lambda x: torch.arange(4.0)[x.argmax(1)],
    "rows of itself": lambda x: torch.arange(8.0).reshape(4, 2)[:, (x.argmax(1) > 1) * 1],
    "select of itself": lambda x: torch.arange(8.0).reshape(2, 4).index_select(1, x.argmax(1)),
    "embedding of itself": lambda x: F.embedding(x.argmax(1), torch.arange(8.0).reshape(4, 2)),
    "put where itself says": lambda x: torch.zeros(4).index_put((x.argmax(1),), x[0]),
    "scattered where itself says": lambda x: torch.zeros(4, 4).scatter(1, x.argsort(1)[:, :2], x),
    "summed where itself says": lambda x: torch.zeros(4, 4).scatter_add(0, x.argsort(0), x),
    "max pool": lambda x: F.max_pool1d(x[None], 2, 1),
    "nll": lambda x: F.nll_loss(x, torch.tensor([0, 1, 2, 3]), reduction="none"),
    "cross entropy": lambda x: F.cross_entropy(x, torch.tensor([0, 1, 2, 3])),
    "histogram": lambda x: x.histc(4, -9, 9),
    "routing": lambda x: _routed(x),
}


def _routed(x: Tensor) -> Tensor:
    # A mixture of two experts for each token, computed for all and weighed.
    weights, chosen = x.softmax(1).topk(2, 1)
    gates = torch.zeros(4, 4).scatter(1, chosen, weights)
    experts = torch.stack([x * (n + 1) for n in range(4)], 1)
    return (experts * gates[:, :, None]).sum(1)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_choice_by_data_is_bounded(name: str) -> None:
    x = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    reached, depends = _reached(BOUNDS[name], x), _depends(BOUNDS[name], x)
    assert (reached >= depends).all()
    if name == "routing":  # tokens stay apart
        np.testing.assert_array_equal(reached, np.kron(np.eye(4, dtype=bool), np.ones((4, 4))))


REFUSED: dict[str, Fn] = {
    "nonzero": lambda x: (x > 0).nonzero(),
    "masked select": lambda x: x[x > 0],
    "one hot": lambda x: F.one_hot(x.argmax(1), 4) * 1.0,
    "item": lambda x: x * x.sum().item(),
    "list": lambda x: x * x[0].tolist()[0],
    "unique": lambda x: x.unique(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_host_reads_is_refused(name: str) -> None:
    with pytest.raises(PhalanxError, match="host reads"):
        paths(REFUSED[name], torch.randn(4, 4))


def test_zeros_of_noise_are_no_constants() -> None:
    found = _reached(lambda x: x * torch.bernoulli(torch.full((4, 4), 0.5)), torch.randn(4, 4))
    np.testing.assert_array_equal(found, np.eye(16, dtype=bool))


def test_a_constant_is_what_it_was_before_it_is_overwritten() -> None:
    x = torch.randn(4, 4).fill_diagonal_(0.0)
    np.testing.assert_array_equal(_reached(lambda x: torch.ones(4, 4).mul_(x), x), np.eye(16) > 0)
