"""Costs of matrix products, convolutions, and the kernels that fuse several: attention, encoder."""

from collections.abc import Sequence
from math import prod

from torch import Tensor

from phalanx.profiling.costs.cost import (
    Arguments,
    Cost,
    Formula,
    dot_depth,
    norm_depth,
    of_product,
    softmax_depth,
)


def _matmul(first: int, added: bool) -> Formula:
    # out = [c +] a @ b, with a at argument ``first`` and b after it; the sum runs over a's last
    # axis. Vectors are matrices of one row or column.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        a, b = args[first : first + 2]
        m = a.shape[-2] if a.dim() > 1 else 1
        n = b.shape[-1] if b.dim() > 1 else 1
        product = (prod(a.shape[:-2]), m, n, a.shape[-1])
        extra = outs[0].numel() if added else 0
        return of_product(product, extra, dot_depth(product[3]) + int(added))

    return cost


def _addbmm(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    batch, m, k = args[1].shape  # a sum over the batch too
    n = args[2].shape[-1]
    return of_product((batch, m, n, k), m * n, dot_depth(batch * k) + 1)


def _outer(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    return of_product((1, args[1].numel(), args[2].numel(), 1), outs[0].numel(), 2)


def _grouped(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # Rows of a, or the axis that is summed over, are dealt out to the groups: all of them meet one
    # matrix each, so the product is as large as without groups.
    a, b = args[:2]
    if a.dim() == 3 and b.dim() == 3:
        batch, m, k = a.shape
        return of_product((batch, m, b.shape[-1], k), 0, dot_depth(k))
    if a.dim() == 3:  # columns of b are dealt out
        m, n, k = a.shape[1], b.shape[-1], a.shape[-1]
    else:
        m, n, k = a.shape[0], b.shape[-1], a.shape[-1]
    return of_product((1, m, n, k), 0, dot_depth(k))


def _convolution(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # Every place of the output (transposed: of the input) meets each filter of its group.
    x, weight, transposed, groups = args[0], args[1], bool(args[6]), int(args[8])
    spread = x if transposed else outs[0]
    places = spread.numel() // max(1, spread.shape[1])
    product = (groups, places, spread.shape[1] // groups, weight[0].numel())
    return of_product(product, 0, dot_depth(product[3]))


def _convolution_backward(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # One product as large as the forward one for the input's gradient, one for the filters'.
    gradient, x, weight, transposed, groups = args[0], args[1], args[2], bool(args[7]), int(args[9])
    spread = x if transposed else gradient
    places = spread.numel() // max(1, spread.shape[1])
    wanted = sum(bool(each) for each in args[10][:2])
    product = (wanted * groups, places, weight[0].numel(), spread.shape[1] // groups)
    return of_product(product, 0, dot_depth(max(weight[0].numel(), places)))


def _attention(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    query, key, value = args[:3]
    width, keys = query.shape[-1], key.shape[-2]
    rows = prod(query.shape[:-2])
    product = (rows, query.shape[-2], keys, width + value.shape[-1])
    other = 6 * rows * query.shape[-2] * keys
    return of_product(product, other, _attention_depth(width, keys))


def _attention_backward(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # The scores once more, then the gradients of values, weights, queries and keys: five products.
    _, query, key, value = args[:4]
    width, queries, keys = query.shape[-1], query.shape[-2], key.shape[-2]
    rows = prod(query.shape[:-2])
    depth = 2 * dot_depth(width) + softmax_depth(keys) + 1 + dot_depth(max(queries, keys))
    product = (rows, queries, keys, 3 * width + 2 * value.shape[-1])
    return of_product(product, 8 * rows * queries * keys, depth)


def _attention_depth(width: int, keys: int) -> int:
    return dot_depth(width) + 1 + softmax_depth(keys) + dot_depth(keys)


def _self_attention(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    # Projections of queries, keys and values, attention, projection of the result.
    batch, length, width = args[0].shape
    product = (batch, length, 4 * width + 2 * length, width)
    scores = batch * int(args[4]) * length * length
    depth = 2 * (dot_depth(width) + 1) + _attention_depth(width // int(args[4]), length)
    return of_product(product, 4 * batch * length * width + 6 * scores, depth)


def _encoder_layer(args: Arguments, outs: Sequence[Tensor]) -> Cost:
    batch, length, width = args[0].shape
    heads, inner = int(args[2]), args[14].shape[0]
    product = (batch, length, 4 * width + 2 * length + 2 * inner, width)
    each = 4 * width + 2 * inner + 2 * 8 * width + 3 * width  # biases, activation, norms, sums
    scores = 6 * heads * length * length
    attention = 2 * (dot_depth(width) + 1) + _attention_depth(width // heads, length)
    network = dot_depth(width) + 1 + 1 + dot_depth(inner) + 1
    depth = attention + network + 2 * (1 + norm_depth(width))
    return of_product(product, batch * (length * each + scores), depth)


FORMULAS: dict[str, Formula] = {
    "mm": _matmul(0, False), "bmm": _matmul(0, False), "mv": _matmul(0, False),
    "dot": _matmul(0, False), "vdot": _matmul(0, False), "_int_mm": _matmul(0, False),
    "_scaled_mm": _matmul(0, False), "linalg_vecdot": _matmul(0, False),
    "addmm": _matmul(1, True), "baddbmm": _matmul(1, True), "addmv": _matmul(1, True),
    "_addmm_activation": _matmul(1, True), "addbmm": _addbmm, "addr": _outer,
    "_grouped_mm": _grouped, "_scaled_grouped_mm": _grouped,
    "convolution": _convolution, "_convolution": _convolution,
    "convolution_overrideable": _convolution, "convolution_backward": _convolution_backward,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "_scaled_dot_product_flash_attention_backward": _attention_backward,
    "_scaled_dot_product_efficient_attention_backward": _attention_backward,
    "_scaled_dot_product_cudnn_attention_backward": _attention_backward,
    "_scaled_dot_product_fused_attention_overrideable_backward": _attention_backward,
    "_native_multi_head_attention": _self_attention,
    "_transformer_encoder_layer_fwd": _encoder_layer,
}  # fmt: skip
