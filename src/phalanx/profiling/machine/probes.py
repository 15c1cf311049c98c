"""What calibration runs: kernels of every family over a grid of sizes, alone and in small chains.

Operands are made fresh for each point and results are dropped, as an eager step does. No result
reaches 32 MiB, from where glibc maps and unmaps memory for each one (see ``fresh``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
Run = Callable[[], object]
_ELEMENTS = (1, 2**10, 2**14, 2**18, 2**21)


@dataclass(frozen=True)
class Probe:
    """A family of kernels: the grid of its sizes and how to make one of a given size.

    ``flat`` are axes along which time does not just grow with size, such as the length of a row.
    """

    axes: tuple[tuple[int, ...], ...]
    make: Callable[..., Run]
    flat: tuple[int, ...] = ()

    @property
    def rising(self) -> tuple[int, ...]:
        """The axes along which there is more to do."""
        return tuple(axis for axis in range(len(self.axes)) if axis not in self.flat)


def _given(*shape: int) -> Tensor:
    return torch.full(shape, 0.5)  # drawing numbers would take longer than timing them


def _pointwise(run: Callable[[Tensor, Tensor], object]) -> Probe:
    def make(count: int) -> Run:
        x, y = _given(count), _given(count)
        return lambda: run(x, y)

    return Probe((_ELEMENTS,), make)


# Pointwise operators that models use, each by its own name: their cost for an element differs 50
# times. Time is a function of the elements written.
POINTWISE: dict[str, Callable[[Tensor, Tensor], object]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "add_": lambda x, y: x.add_(y),
    "mul_": lambda x, y: x.mul_(y),
    "neg": lambda x, y: -x,
    "relu": lambda x, y: x.relu(),
    "threshold_backward": lambda x, y: aten.threshold_backward(x, y, 0),
    "tanh": lambda x, y: x.tanh(),
    "tanh_backward": lambda x, y: aten.tanh_backward(x, y),
    "sigmoid": lambda x, y: x.sigmoid(),
    "sigmoid_backward": lambda x, y: aten.sigmoid_backward(x, y),
    "silu": lambda x, y: aten.silu(x),
    "silu_backward": lambda x, y: aten.silu_backward(x, y),
    "gelu": lambda x, y: aten.gelu(x),
    "gelu_backward": lambda x, y: aten.gelu_backward(x, y),
    "softplus": lambda x, y: aten.softplus(x),
    "exp": lambda x, y: x.exp(),
    "log": lambda x, y: x.log(),
    "sqrt": lambda x, y: x.sqrt(),
    "rsqrt": lambda x, y: x.rsqrt(),
    "pow": lambda x, y: x.pow(3),
    "sin": lambda x, y: x.sin(),
    "cos": lambda x, y: x.cos(),
    "erf": lambda x, y: x.erf(),
    "lt": lambda x, y: x < y,
    "bernoulli_": lambda x, y: x.bernoulli_(0.9),
    "native_dropout": lambda x, y: aten.native_dropout(x, 0.1, True),
    "fill_": lambda x, y: x.fill_(1.0),
    "zeros": lambda x, y: torch.zeros_like(x),
    "copy_": lambda x, y: x.copy_(y),
    "_to_copy": lambda x, y: x.to(torch.bfloat16),
    "cumsum": lambda x, y: x.cumsum(0),
    "select_backward": lambda x, y: aten.select_backward(y[0], x.shape, 0, 0),
}


def _masked(run: Callable[[Tensor, Tensor], object]) -> Probe:
    def make(count: int) -> Run:
        x, kept = _given(count), torch.arange(count) % 64 < 48
        return lambda: run(x, kept)

    return Probe((_ELEMENTS,), make)


def _sort(count: int) -> Run:
    x = _given(max(1, count // 1024), min(1024, count))
    return lambda: x.sort(-1)


def _clone(count: int) -> Run:
    # Heads beside positions, the one transposition that every model has.
    head = min(64, count)
    x = _given(1, max(1, count // (8 * head)), min(8, count // head), head).transpose(1, 2)
    return lambda: x.clone(memory_format=torch.contiguous_format)


def _cat(count: int) -> Run:
    x, y = (_given(max(1, count // 128), min(64, count)) for _ in range(2))
    return lambda: torch.cat((x, y), -1)


def _embedding(count: int) -> Run:
    width = min(256, count)
    table, picked = _given(4096, width), torch.randint(4096, (count // width,))
    return lambda: aten.embedding(table, picked)


def _embedding_backward(written: int, count: int) -> Run:
    width = min(256, written)
    grown = _given(max(1, count // width), width)
    rows = max(1, written // width)
    picked = torch.randint(rows, (len(grown),))
    return lambda: aten.embedding_dense_backward(grown, picked, rows, -1, False)


def _sum(count: int, written: int) -> Run:
    x = _given(max(1, count // written), written)
    return lambda: x.sum(0)


def _rows(run: Callable[[Tensor, int], Run]) -> Callable[[int, int], Run]:
    return lambda count, width: run(_given(max(1, count // width), width), width)


def _softmax(x: Tensor, width: int) -> Run:
    return lambda: aten._softmax(x, -1, False)


def _softmax_backward(x: Tensor, width: int) -> Run:
    return lambda: aten._softmax_backward_data(x, x, -1, torch.float32)


def _log_softmax(x: Tensor, width: int) -> Run:
    return lambda: aten._log_softmax(x, -1, False)


def _log_softmax_backward(x: Tensor, width: int) -> Run:
    return lambda: aten._log_softmax_backward_data(x, x, -1, torch.float32)


def _layer_norm(x: Tensor, width: int) -> Run:
    weight = _given(width)
    return lambda: aten.native_layer_norm(x, [width], weight, weight, 1e-5)


def _layer_norm_backward(x: Tensor, width: int) -> Run:
    weight = _given(width)
    _, mean, scale = aten.native_layer_norm(x, [width], weight, weight, 1e-5)
    wanted = [True, True, True]
    return lambda: aten.native_layer_norm_backward(
        x, x, [width], mean, scale, weight, weight, wanted
    )


def _product(m: int, n: int, k: int) -> Run:
    a, b = _given(m, k), _given(n, k).t()
    return lambda: torch.mm(a, b)


def _product_bfloat16(m: int, n: int, k: int) -> Run:
    a, b = _given(m, k).bfloat16(), _given(n, k).bfloat16().t()
    return lambda: torch.mm(a, b)


def _batched(batch: int, m: int, n: int, k: int) -> Run:
    a, b = _given(batch, m, k), _given(batch, k, n)
    return lambda: torch.bmm(a, b)


def _attention(batch: int, queries: int, keys: int, width: int) -> Run:
    query = _given(batch, 1, queries, width)
    key = _given(batch, 1, keys, width)
    return lambda: aten._scaled_dot_product_flash_attention_for_cpu(query, key, key)


def _attention_backward(batch: int, positions: int, width: int) -> Run:
    x = _given(batch, 1, positions, width)
    out, scale = aten._scaled_dot_product_flash_attention_for_cpu(x, x, x)
    return lambda: aten._scaled_dot_product_flash_attention_for_cpu_backward(
        x, x, x, x, out, scale, 0.0, False
    )


def _lstm(backward: bool) -> Callable[[int, int, int], Run]:
    def make(length: int, rows: int, entries: int) -> Run:
        width = round((entries / 8) ** 0.5)
        x, h = _given(length, rows, width), torch.zeros(1, rows, width)
        weight, bias = _given(4 * width, width) / width, torch.zeros(4 * width)
        given = (weight, weight, bias, bias)

        def forward() -> Any:
            # reverse, batch_sizes, mode (2: LSTM), width, layers, biases, both ways, batch first
            settings: Any = (False, [], 2, width, 1, True, False, False, backward)
            return aten.mkldnn_rnn_layer(x, *given, h[0], h[0], *settings)

        if not backward:
            return forward
        with torch.enable_grad():  # or it keeps nothing for the way back
            out, hidden, cell, space = forward()
        settings: Any = (False, 2, width, 1, True, True, False, [], False, space)
        return lambda: aten.mkldnn_rnn_layer_backward(
            x, *given, h[0], h[0], out, hidden, cell, out, hidden, cell, *settings
        )

    return make


def _convolution(backward: bool, groups: bool) -> Callable[[int, int, int], Run]:
    def make(m: int, n: int, k: int) -> Run:
        channels = n if groups else max(1, k // 4)
        x = _given(1, channels, m)
        weight = _given(n, 1 if groups else channels, 4)
        form = ([1], [2], [1], False, [0], n if groups else 1)
        if not backward:
            return lambda: aten.convolution(x, weight, None, *form)
        grown = aten.convolution(x, weight, None, *form)
        wanted = [True, True, False]
        return lambda: aten.convolution_backward(grown, x, weight, None, *form, wanted)

    return make


_COUNT, _WIDTH = (2**8, 2**14, 2**20), (2**3, 2**6, 2**9)
_SIDE = (1, 8, 32, 128, 512, 2048)
_CONVOLUTION = ((32, 256, 4096), (16, 256), (64, 1024))
_DEPTHWISE = ((32, 4096), (16, 256), (4, 8))
_RECURRENT = ((1, 32), (1, 8, 64), tuple(8 * width**2 for width in (16, 64, 256, 512)))

PROBES: dict[str, Probe] = {
    **{name: _pointwise(run) for name, run in POINTWISE.items()},
    "where": _masked(lambda x, kept: torch.where(kept, x, x)),
    "masked_fill": _masked(lambda x, kept: x.masked_fill(kept, 0.0)),
    "sort": Probe(((1, 2**10, 2**17),), _sort),
    "clone": Probe((_ELEMENTS,), _clone),
    "cat": Probe((_ELEMENTS,), _cat),
    "embedding": Probe((_ELEMENTS,), _embedding),
    "embedding_dense_backward": Probe(((2**8, 2**14, 2**18, 2**22), _COUNT), _embedding_backward),
    "sum": Probe(((1, 2**10, 2**14, 2**20), (1, 2**6, 2**10)), _sum, flat=(1,)),
    "_softmax": Probe((_COUNT, _WIDTH), _rows(_softmax), flat=(1,)),
    "_softmax_backward_data": Probe((_COUNT, _WIDTH), _rows(_softmax_backward), flat=(1,)),
    "_log_softmax": Probe((_COUNT, _WIDTH), _rows(_log_softmax), flat=(1,)),
    "_log_softmax_backward_data": Probe((_COUNT, _WIDTH), _rows(_log_softmax_backward), flat=(1,)),
    "native_layer_norm": Probe((_COUNT, _WIDTH), _rows(_layer_norm), flat=(1,)),
    "native_layer_norm_backward": Probe((_COUNT, _WIDTH), _rows(_layer_norm_backward), flat=(1,)),
    "mm": Probe(((1, 4, 16, 64, 256, 1024), _SIDE, _SIDE), _product),
    "mm bfloat16": Probe(((1, 16, 256), (32, 256, 2048), (32, 256, 2048)), _product_bfloat16),
    "bmm": Probe(((2, 16, 64), (1, 16, 64, 256), (1, 16, 64, 256), (1, 16, 64, 256)), _batched),
    "attention": Probe(((1, 16), (1, 16, 128, 512), (16, 128, 512), (16, 64)), _attention),
    "attention backward": Probe(
        ((1, 16), (16, 128, 512), (16, 64)), _attention_backward, flat=(1,)
    ),
    "mkldnn_rnn_layer": Probe(_RECURRENT, _lstm(backward=False)),
    "mkldnn_rnn_layer_backward": Probe(_RECURRENT, _lstm(backward=True)),
    "convolution": Probe(_CONVOLUTION, _convolution(backward=False, groups=False)),
    "convolution_backward": Probe(_CONVOLUTION, _convolution(backward=True, groups=False)),
    "depthwise": Probe(_DEPTHWISE, _convolution(backward=False, groups=True)),
    "depthwise backward": Probe(_DEPTHWISE, _convolution(backward=True, groups=True)),
}


STREAMED = 768 * 768 * 4  # bytes of one weight of ``stream``
LARGE = 3 * 2**24  # bytes; glibc maps results of 32 MiB and more anew each time


def stream(matrices: int) -> Run:
    """Products with ``matrices`` weights in turn: what one more costs when the cache forgets."""
    x = _given(8, 768)
    weights = [_given(768, 768) for _ in range(matrices)]

    def run() -> None:
        for weight in weights:
            torch.mm(x, weight)

    return run


def fresh() -> Run:
    """Fills LARGE bytes of memory that the system has to give first."""
    return lambda: torch.empty(LARGE, dtype=torch.uint8).fill_(1)


def kept() -> Run:
    """Fills LARGE bytes that are there."""
    x = torch.empty(LARGE, dtype=torch.uint8)
    return lambda: x.fill_(1)


def control_product() -> Run:
    """A product of about a millisecond: where its time scatters, all others do."""
    a = _given(384, 384)
    return lambda: torch.mm(a, a)
