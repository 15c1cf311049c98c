"""What one kernel costs: floating-point operations and scalar depth, by a formula per operator.

One multiply-add is 2 FLOPs. Scalar depth is the number of dependent scalar operations with as
many workers as one likes: pointwise 1, a product over k terms 1 + ceil(log2 k), a sum over n
ceil(log2 n), a scan ceil(log2 n), softmax 3 + 2 ceil(log2 n), layer norm 8 + 2 ceil(log2 n), a
pure move of data 0. Matrix products are in products.py, recurrent layers in recurrent.py.

Sources: Blelloch 1996 (work and depth); the operators are those of torch's ``aten`` library.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from phalanx.profiling.costs import products, recurrent
from phalanx.profiling.costs.cost import (
    Arguments,
    Cost,
    Formula,
    log2_ceil,
    norm_depth,
    softmax_depth,
)
from phalanx.profiling.costs.families import ALLOCATES, CREATES, MOVES, OVERWRITES, POINTWISE


def _softmax(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    out = outs[0]
    dim = args[1] if len(args) > 1 and isinstance(args[1], int) else -1
    count = out.shape[dim] if out.dim() else 1
    return Cost(0, 5 * out.numel(), softmax_depth(count))


def _softmax_backward(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    out, dim = outs[0], args[2]
    count = out.shape[dim] if out.dim() else 1
    return Cost(0, 4 * out.numel(), 3 + log2_ceil(count))


def _layer_norm(first: int) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, over = args[first], args[first + 1]
        return Cost(0, 8 * x.numel(), norm_depth(prod(over)))

    return cost


def _rms_norm(first: int) -> Formula:
    # Square, mean, epsilon, root, two products; no mean to take away.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, over = args[first], args[first + 1]
        return Cost(0, 4 * x.numel(), 6 + log2_ceil(prod(over)))

    return cost


def _batch_norm(first: int) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x = args[first]
        return Cost(0, 8 * x.numel(), norm_depth(x.numel() // max(1, x.shape[1])))

    return cost


def _group_norm(first: int, sizes: int) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, (rows, _, _, groups) = args[first], args[sizes : sizes + 4]
        return Cost(0, 8 * x.numel(), norm_depth(x.numel() // max(1, rows * groups)))

    return cost


def _reduction(each: int = 0) -> Formula:
    # ``each`` scalar operations on an element, or on the result, beside the tree.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x = args[0]
        terms = x.numel() // max(1, outs[0].numel())
        return Cost(0, (1 + each) * x.numel(), each + log2_ceil(terms))

    return cost


def _triangular_solve(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # By substitution: each of n rows waits for the last, a product and a difference.
    count = args[0].shape[-1]
    return Cost(0, outs[0].numel() * count, 2 * count)


def _pool(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    terms = prod(args[1])  # the window
    return Cost(0, outs[0].numel() * terms, 1 + log2_ceil(terms))


def _scan(each: int = 0) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x = args[0]
        count = x.shape[args[1]] if x.dim() else 1
        return Cost(0, (1 + each) * x.numel(), each + log2_ceil(count))

    return cost


def _sort(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # Batcher's network.
    x = args[0]
    dim = next((a for a in args[1:] if isinstance(a, int) and not isinstance(a, bool)), -1)
    levels = log2_ceil(x.shape[dim] if x.dim() and -x.dim() <= dim < x.dim() else x.numel())
    return Cost(0, x.numel() * levels * (levels + 1) // 2, levels * (levels + 1) // 2)


def _fourier(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # 5 n log2 n for complex numbers, half for real ones; a turn and a sum each level.
    dims = args[1]
    full = max((args[0], outs[0]), key=torch.Tensor.numel)
    levels = log2_ceil(prod(full.shape[dim] for dim in dims))
    each = 5 if args[0].is_complex() and outs[0].is_complex() else 2.5
    return Cost(0, int(each * full.numel() * levels), 3 * levels)


def _scatter_sum(values: int) -> Formula:
    # Several values may land on one element: at worst all of them, summed in a tree.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        count = args[values].numel()
        return Cost(0, count, log2_ceil(count))

    return cost


def _row_sum(rows: int, values: int) -> Formula:
    # Whole rows land on rows: at worst all of them on one, but no two values of the same row.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        return Cost(0, args[values].numel(), log2_ceil(args[rows].numel()))

    return cost


def _index_put(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    accumulates = len(args) > 3 and bool(args[3])
    return _scatter_sum(2)(args, outs) if accumulates else Cost()


def _optimizer(each: int, depth: int) -> Formula:
    # Fused over all parameters: ``each`` scalar operations on each of their elements.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        return Cost(0, each * sum(parameter.numel() for parameter in args[0]), depth)

    return cost


def _pointwise(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    return Cost(0, sum(out.numel() for out in outs), 1)


def _move(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    return Cost()


_FORMULAS: dict[str, Formula] = products.FORMULAS | recurrent.FORMULAS | {
    "_softmax": _softmax, "_log_softmax": _softmax, "_safe_softmax": _softmax,
    "_softmax_backward_data": _softmax_backward, "_log_softmax_backward_data": _softmax_backward,
    "native_layer_norm": _layer_norm(0), "native_layer_norm_backward": _layer_norm(1),
    "_fused_rms_norm": _rms_norm(0), "_fused_rms_norm_backward": _rms_norm(1),
    "native_batch_norm": _batch_norm(0), "native_batch_norm_backward": _batch_norm(1),
    "_native_batch_norm_legit": _batch_norm(0), "cudnn_batch_norm": _batch_norm(0),
    "_native_batch_norm_legit_no_training": _batch_norm(0),
    "_batch_norm_with_update": _batch_norm(0), "batch_norm_backward": _batch_norm(1),
    "native_group_norm": _group_norm(0, 3), "native_group_norm_backward": _group_norm(1, 5),
    "_weight_norm_interface": _reduction(3), "_weight_norm_interface_backward": _reduction(5),
    "sum": _reduction(), "amax": _reduction(), "amin": _reduction(), "max": _reduction(),
    "min": _reduction(), "argmax": _reduction(), "argmin": _reduction(), "any": _reduction(),
    "all": _reduction(), "prod": _reduction(), "mean": _reduction(1), "aminmax": _reduction(),
    "count_nonzero": _reduction(1), "logsumexp": _reduction(4), "var": _reduction(4),
    "std": _reduction(5), "var_mean": _reduction(4), "std_mean": _reduction(5),
    "linalg_vector_norm": _reduction(2), "norm": _reduction(2), "equal": _reduction(1),
    "nansum": _reduction(1), "nll_loss_forward": _reduction(2), "mse_loss": _reduction(2),
    "nll_loss2d_forward": _reduction(2), "smooth_l1_loss": _reduction(4),
    "huber_loss": _reduction(4), "binary_cross_entropy": _reduction(5),
    "binary_cross_entropy_with_logits": _reduction(4),
    "avg_pool2d": _pool, "avg_pool3d": _pool, "max_pool2d_with_indices": _pool,
    "max_pool3d_with_indices": _pool, "_adaptive_avg_pool2d": _reduction(1),
    "_adaptive_avg_pool3d": _reduction(1),
    "upsample_nearest1d_backward": _reduction(), "upsample_nearest2d_backward": _reduction(),
    "upsample_nearest3d_backward": _reduction(),
    "avg_pool2d_backward": _scatter_sum(0), "avg_pool3d_backward": _scatter_sum(0),
    "max_pool2d_with_indices_backward": _scatter_sum(0),
    "max_pool3d_with_indices_backward": _scatter_sum(0),
    "_adaptive_avg_pool2d_backward": _scatter_sum(0), "_foreach_norm": _pointwise,
    "cumsum": _scan(), "cumprod": _scan(), "cummax": _scan(), "cummin": _scan(),
    "logcumsumexp": _scan(2),
    "linalg_solve_triangular": _triangular_solve,
    "sort": _sort, "topk": _sort, "argsort": _sort, "kthvalue": _sort, "median": _sort,
    "_fft_r2c": _fourier, "_fft_c2r": _fourier, "_fft_c2c": _fourier,
    "embedding_dense_backward": _row_sum(1, 0), "index_add": _row_sum(2, 3),
    "scatter_add": _scatter_sum(3), "scatter_reduce": _scatter_sum(3),
    "index_put": _index_put, "_index_put_impl": _index_put, "_unsafe_index_put": _index_put,
    "bincount": _scatter_sum(0), "histc": _scatter_sum(0), "unfold_backward": _scatter_sum(0),
    "_fused_adam": _optimizer(14, 9), "_fused_adamw": _optimizer(15, 9),
    "_fused_adagrad": _optimizer(7, 6), "_fused_sgd": _optimizer(5, 4),
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
