"""Reductions, softmax, norms, scans: a result element reads all along some axes."""

from typing import Any

import numpy as np
from torch import Tensor

from phalanx.profiling.elements.distances import Reading, without
from phalanx.profiling.elements.elements import Distances, Elements, Flags
from phalanx.profiling.elements.rules.call import Call, Rule, own_place


def along(distance: Distances, dims: tuple[int, ...]) -> Reading:
    """A result element, at places on the other axes, reads all along ``dims`` (kept as 1)."""
    rank = distance.ndim - 2
    kept = [axis for axis in range(rank) if axis not in dims]
    moved = distance.transpose(0, 1, *(2 + axis for axis in (*kept, *dims)))
    wide = [1 if axis in dims else distance.shape[2 + axis] for axis in range(rank)]
    return Reading(moved.reshape(*distance.shape[:2], *wide, -1))


def _along(call: Call) -> list[Elements]:
    rank = call.outs[0].dim()
    inputs = call.inputs
    x = inputs[0]
    dims = dims_of(call, len(x.shape))
    readings = [along(item.distance, dims) for item in inputs[:1] if item.reached]
    row = call.combine(readings, len(x.shape))
    fixed = np.asarray(x.fixed.all(dims, keepdims=True))
    if rank != len(x.shape):  # without keepdim
        row, fixed = _dropped(row, dims, 2), _dropped(fixed, dims, 0)
    return [Elements(tuple(out.shape), row, fixed) for out in call.outs]


def _dropped(array: np.ndarray[Any, Any], dims: tuple[int, ...], lead: int) -> np.ndarray[Any, Any]:
    return array.reshape([n for axis, n in enumerate(array.shape) if axis - lead not in dims])


def dims_of(call: Call, rank: int) -> tuple[int, ...]:
    """The axes that an operator runs along, from its arguments."""
    over = call.argument("normalized_shape")
    if over is not None:
        return tuple(range(rank - len(over), rank))
    dim = call.argument("dim")
    if dim is None or dim == []:
        return tuple(range(rank))
    return tuple(d % rank for d in ([dim] if isinstance(dim, int) else dim)) if rank else ()


def _softmax(call: Call) -> list[Elements]:
    x, out = call.elements(0), call.outs[0]
    dims = dims_of(call, len(x.shape))
    # A constant whose weight is 0 beside the others (a mask's -inf, finfo.min, -1e9) stays so.
    hidden = x.where_fixed(lambda _: _weightless(call, out))
    row = call.combine([along(x.distance, dims)], out.dim())
    fixed = x.fixed.all(dims, keepdims=True) | hidden
    return [Elements(tuple(out.shape), without(row, hidden), fixed)]


def _weightless(call: Call, out: Tensor) -> Tensor:
    return (out.exp() if "log" in call.name else out) == 0


def _softmax_backward(call: Call) -> list[Elements]:
    # (g - sum(g y)) y: nothing where a weight is a constant 0
    gradient, y, out = call.elements(0), call.elements(1), call.outs[0]
    dims, hidden = _dim(call, out), y.fixed_zero
    read = (without(gradient.distance, hidden), y.distance)
    readings = [Reading(along(distance, dims).distance, hidden[..., None]) for distance in read]
    return [call.result(out, readings, hidden)]


def _log_softmax_backward(call: Call) -> list[Elements]:
    # g - exp(y) sum(g)
    gradient, y, out = call.elements(0), call.elements(1), call.outs[0]
    readings = [along(gradient.distance, _dim(call, out)), own_place(y, out.dim())]
    return [call.result(out, readings)]


def _dim(call: Call, out: Tensor) -> tuple[int, ...]:
    return (call.argument("dim") % out.dim(),)


def _norm(call: Call) -> list[Elements]:
    # Over the last axes; the weights stand at their own place there. Results: the norm, and
    # statistics of a row.
    x = call.elements(0)
    rank = len(x.shape)
    dims = dims_of(call, rank)
    row = [along(x.distance, dims)]
    weights = [item for item in (call.named("weight"), call.named("bias")) if item is not None]
    fixed = np.asarray(x.fixed.all(dims, keepdims=True))
    known = fixed & all(item.all_fixed for item in weights)
    results = [call.result(call.outs[0], [*row, *(own_place(w, rank) for w in weights)], known)]
    return results + [call.result(out, row, fixed) for out in call.outs[1:]]


def _scan(call: Call) -> list[Elements]:
    x = call.elements(0)
    if not x.shape:
        return [call.result(out, [own_place(x, 0)], x.fixed) for out in call.outs]
    axis = call.argument("dim") % len(x.shape)
    length = x.shape[axis]
    wide = list(x.distance.shape)
    wide[2 + axis] = length
    distance = np.moveaxis(np.broadcast_to(x.distance, wide), 2 + axis, -1)
    later = np.triu(np.ones((length, length), bool), 1)
    reading = Reading(distance[..., None, :], later)  # (..., result, read)
    found = np.moveaxis(call.combine([reading], len(x.shape)), -1, 2 + axis)
    fixed: Flags = np.logical_and.accumulate(x.fixed, axis)
    return [Elements(x.shape, found, fixed) for _ in call.outs]


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "any", "all", "prod",
            "logsumexp", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm", "topk",
            "sort", "aminmax", "median", "kthvalue", "mode", "nansum", "count_nonzero",
            "_fft_r2c", "_fft_c2c", "_fft_c2r",
        ),
        _along,
    ),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax"), _softmax),
    "_softmax_backward_data": _softmax_backward,
    "_log_softmax_backward_data": _log_softmax_backward,
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), _norm),
    **dict.fromkeys(
        ("cumsum", "cumprod", "cummax", "cummin", "_cummax_helper", "_cummin_helper",
         "logcumsumexp", "_logcumsumexp"),
        _scan,
    ),
}  # fmt: skip
