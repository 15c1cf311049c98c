"""What one kernel costs: floating-point operations and scalar depth, by a formula per operator.

One multiply-add is 2 FLOPs. Scalar depth is the number of dependent scalar operations with as
many workers as one likes: pointwise 1, a product over k terms 1 + ceil(log2 k), a sum over n
ceil(log2 n), a scan ceil(log2 n), softmax 3 + 2 ceil(log2 n), layer norm 8 + 2 ceil(log2 n), a
pure move of data 0.

Sources: Blelloch 1996 (work and depth); the operators are those of torch's ``aten`` library.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phalanx.profiling.families import ALLOCATES, CREATES, MOVES, OVERWRITES, POINTWISE

Arguments = Sequence[Any]
Formula = Callable[[Arguments, Sequence[Tensor]], "Cost"]


@dataclass(frozen=True)
class Cost:
    """The cost of one kernel.

    Args:
        matmul: FLOPs inside matrix products and convolutions.
        other: FLOPs outside them.
        depth: dependent scalar operations.
        chain: dependent kernels that it stands for: 1, but for a fused recurrent layer, which is
            one launch and runs through its positions inside.
    """

    matmul: int = 0
    other: int = 0
    depth: int = 0
    chain: int = 1


def log2_ceil(count: int) -> int:
    """The depth of a balanced tree over ``count`` leaves; 0 for none or one."""
    return max(0, int(count) - 1).bit_length()


def _product(count: int, terms: int, extra: int = 0) -> Cost:
    return Cost(2 * count * terms, extra * count, 1 + log2_ceil(terms) + extra)


def _matmul(first: int, added: bool) -> Formula:
    # out = [c +] a @ b, with a at argument ``first``; the sum runs over a's last axis.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        return _product(outs[0].numel(), args[first].shape[-1], int(added))

    return cost


def _addbmm(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    batch, _, terms = args[1].shape
    return _product(outs[0].numel(), batch * terms, 1)


def _outer(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    return Cost(2 * outs[0].numel(), 0, 2)


def _convolution(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    x, weight, transposed = args[0], args[1], bool(args[6])
    terms = weight[0].numel()  # input channels of a group x kernel size
    spread = x if transposed else outs[0]  # every element meets one filter
    return _product(spread.numel(), terms)


def _convolution_backward(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    gradient, x, weight, transposed = args[0], args[1], args[2], bool(args[7])
    spread = x if transposed else gradient
    products = sum(bool(wanted) for wanted in args[10][:2])
    positions = spread.numel() // spread.shape[1]
    terms = max(weight[0].numel(), positions)
    return Cost(2 * products * spread.numel() * weight[0].numel(), 0, 1 + log2_ceil(terms))


def _attention(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    query, key, value = args[:3]
    scores = query.numel() // query.shape[-1] * key.shape[-2]
    depth = 1 + log2_ceil(query.shape[-1]) + 1 + _softmax_depth(key.shape[-2])
    depth += 1 + log2_ceil(key.shape[-2])
    return Cost(2 * scores * (query.shape[-1] + value.shape[-1]), 6 * scores, depth)


def _attention_backward(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # Scores again, then the gradients of values, weights, queries and keys: five products.
    _, query, key, value = args[:4]
    scores = query.numel() // query.shape[-1] * key.shape[-2]
    flops = 2 * scores * (3 * query.shape[-1] + 2 * value.shape[-1])
    depth = 2 * (1 + log2_ceil(query.shape[-1])) + _softmax_depth(key.shape[-2])
    return Cost(flops, 8 * scores, depth + 2 + log2_ceil(max(query.shape[-2], key.shape[-2])))


# Dependent kernels of one position, forward and backward, in torch's own decomposition.
_LSTM, _GRU, _RNN = (7, 15), (9, 18), (3, 6)
_CUDNN_MODES = (_RNN, _RNN, _LSTM, _GRU)


def _recurrent(length: int, rows: int, weights: Sequence[Tensor], steps: int, times: int) -> Cost:
    matrices = [weight for weight in weights if weight.dim() == 2]
    entries = sum(weight.numel() for weight in matrices)
    inner = log2_ceil(max((weight.shape[-1] for weight in matrices), default=1))
    return Cost(
        2 * times * length * rows * entries,
        length * rows * sum(weight.shape[0] for weight in matrices),
        length * (steps + inner),
        length * steps,
    )


def _mkldnn_rnn(backward: bool) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, weights = args[0], args[1:3]
        steps = (_GRU if args[14 if backward else 9] == 3 else _LSTM)[int(backward)]
        return _recurrent(x.shape[0], x.shape[1], weights, steps, 2 if backward else 1)

    return cost


def _cudnn_rnn(backward: bool) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, weights = args[0], args[1]
        mode, layers, batch_first = (args[i] for i in ((10, 13, 14) if backward else (6, 9, 10)))
        length, rows = (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])
        steps = _CUDNN_MODES[mode][int(backward)] * layers
        return _recurrent(length, rows, weights, steps, 2 if backward else 1)

    return cost


def _softmax_depth(count: int) -> int:
    return 3 + 2 * log2_ceil(count)


def _softmax(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    out = outs[0]
    dim = args[1] if len(args) > 1 and isinstance(args[1], int) else -1
    count = out.shape[dim] if out.dim() else 1
    return Cost(0, 5 * out.numel(), _softmax_depth(count))


def _softmax_backward(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    out, dim = outs[0], args[2]
    count = out.shape[dim] if out.dim() else 1
    return Cost(0, 4 * out.numel(), 3 + log2_ceil(count))


def _norm(first: int) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, over = args[first], args[first + 1]
        width = 1
        for size in over if isinstance(over, (list, tuple)) else x.shape[1:]:
            width *= size
        return Cost(0, 8 * x.numel(), 8 + 2 * log2_ceil(width))

    return cost


def _reduction(each: int = 0) -> Formula:
    # ``each`` scalar operations on an element, or on the result, beside the tree.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x = args[0]
        terms = x.numel() // max(1, outs[0].numel())
        return Cost(0, (1 + each) * x.numel(), each + log2_ceil(terms))

    return cost


def _scan(each: int = 0) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x = args[0]
        count = x.shape[args[1]] if x.dim() else 1
        return Cost(0, (1 + each) * x.numel(), each + log2_ceil(count))

    return cost


def _sort(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    x = args[0]
    dim = next((a for a in args[1:] if isinstance(a, int) and not isinstance(a, bool)), -1)
    levels = log2_ceil(x.shape[dim] if x.dim() and -x.dim() <= dim < x.dim() else x.numel())
    return Cost(0, x.numel() * levels * (levels + 1) // 2, levels * (levels + 1) // 2)


def _scatter_sum(values: int) -> Formula:
    # Several values may land on one element: at worst all of them, summed in a tree.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        count = args[values].numel()
        return Cost(0, count, log2_ceil(count))

    return cost


def _pointwise(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    return Cost(0, sum(out.numel() for out in outs), 1)


def _move(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    return Cost()


_FORMULAS: dict[str, Formula] = {
    "mm": _matmul(0, False), "bmm": _matmul(0, False), "mv": _matmul(0, False),
    "dot": _matmul(0, False), "vdot": _matmul(0, False), "_int_mm": _matmul(0, False),
    "addmm": _matmul(1, True), "baddbmm": _matmul(1, True), "addmv": _matmul(1, True),
    "_addmm_activation": _matmul(1, True), "addbmm": _addbmm, "addr": _outer,
    "convolution": _convolution, "_convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "_scaled_dot_product_flash_attention_backward": _attention_backward,
    "_scaled_dot_product_efficient_attention_backward": _attention_backward,
    "_scaled_dot_product_cudnn_attention_backward": _attention_backward,
    "mkldnn_rnn_layer": _mkldnn_rnn(False), "mkldnn_rnn_layer_backward": _mkldnn_rnn(True),
    "_cudnn_rnn": _cudnn_rnn(False), "_cudnn_rnn_backward": _cudnn_rnn(True),
    "_softmax": _softmax, "_log_softmax": _softmax, "_safe_softmax": _softmax,
    "_softmax_backward_data": _softmax_backward, "_log_softmax_backward_data": _softmax_backward,
    "native_layer_norm": _norm(0), "native_layer_norm_backward": _norm(1),
    "_fused_rms_norm": _norm(0), "_fused_rms_norm_backward": _norm(1),
    "native_batch_norm": _norm(0), "native_batch_norm_backward": _norm(1),
    "_native_batch_norm_legit": _norm(0), "native_group_norm": _norm(0),
    "native_group_norm_backward": _norm(1),
    "sum": _reduction(), "amax": _reduction(), "amin": _reduction(), "max": _reduction(),
    "min": _reduction(), "argmax": _reduction(), "argmin": _reduction(), "any": _reduction(),
    "all": _reduction(), "prod": _reduction(), "mean": _reduction(1), "aminmax": _reduction(),
    "count_nonzero": _reduction(1), "logsumexp": _reduction(4), "var": _reduction(4),
    "std": _reduction(5), "var_mean": _reduction(4), "linalg_vector_norm": _reduction(2),
    "norm": _reduction(2), "nll_loss_forward": _reduction(2), "equal": _reduction(1),
    "mse_loss": _reduction(2), "binary_cross_entropy_with_logits": _reduction(4),
    "_foreach_norm": _pointwise,
    "cumsum": _scan(), "cumprod": _scan(), "cummax": _scan(), "cummin": _scan(),
    "logcumsumexp": _scan(2),
    "sort": _sort, "topk": _sort, "argsort": _sort, "kthvalue": _sort, "median": _sort,
    "embedding_dense_backward": _scatter_sum(0), "index_add": _scatter_sum(3),
    "scatter_add": _scatter_sum(3), "scatter_reduce": _scatter_sum(3),
}  # fmt: skip


def operator_name(func: torch._ops.OpOverload) -> str:
    """``aten.add_.Tensor`` -> ``add_``; other libraries keep their prefix (``mylib::op``)."""
    namespace, _, name = func._schema.name.partition("::")
    return name if namespace == "aten" else f"{namespace}::{name}"


def formula(func: torch._ops.OpOverload) -> Formula | None:
    """The cost formula of an operator, or None where it is not known."""
    name = operator_name(func)
    for key in (name, name.rstrip("_") or name, name.removeprefix("_foreach_").rstrip("_")):
        if key in _FORMULAS:
            return _FORMULAS[key]
        if key in MOVES or key in CREATES or key in ALLOCATES or name in OVERWRITES:
            return _move
        if key in POINTWISE:
            return _pointwise
    if torch.Tag.pointwise in func.tags or name.startswith("_foreach_"):
        return _pointwise
    return None
