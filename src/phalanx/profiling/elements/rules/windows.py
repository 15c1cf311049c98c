"""Convolutions and pools: a result element reads the places that a kernel covers."""

from collections.abc import Sequence

import numpy as np
import torch

from phalanx.profiling.elements.distances import Reading
from phalanx.profiling.elements.elements import Distances, Elements, Flags
from phalanx.profiling.elements.rules.call import Call, Rule, UnfollowedOperatorError, whole


def covered(
    result: Sequence[int], read: Sequence[int], kernel: Sequence[int],
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
) -> Flags:  # fmt: skip
    """(results, places read), both flattened over all axes: whether the kernel covers the place."""
    flags = np.ones((1, 1), bool)
    for n, m, k, s, p, d in zip(result, read, kernel, stride, padding, dilation, strict=True):
        places = np.arange(n)[:, None] * s - p + np.arange(k) * d
        axis = (places[:, :, None] == np.arange(m)).any(1)
        flags = np.kron(flags, axis).astype(bool)
    return flags


def _spread(values: object, axes: int) -> list[int]:
    # An argument may be one number for all axes, or empty for the default of 0.
    given = [values] if isinstance(values, int) else list(values or [0])  # type: ignore[call-overload]
    return [int(v) for v in (given * axes if len(given) == 1 else given)]


def _grouped(item: Elements, groups: int, reads: Flags) -> Reading:
    # From (B, channels, places): each (B, group, 1, result place) reads its group's channels at
    # the places that ``reads`` (results, places) shows.
    lead, (rows, channels) = item.distance.shape[:2], item.distance.shape[2:4]
    if channels > 1:
        channels //= groups
    wide = np.broadcast_to(
        item.distance, (*lead, rows, item.distance.shape[3], *item.shape[2:])
    ).reshape(*lead, rows, -1, channels, int(np.prod(item.shape[2:])))
    there = np.broadcast_to(reads[:, None, :], (reads.shape[0], channels, reads.shape[1]))
    return Reading(
        wide.reshape(*lead, rows, wide.shape[3], 1, 1, -1), there.reshape(reads.shape[0], -1) == 0
    )


def _back(found: Distances, out: Sequence[int]) -> Distances:
    # (C, S, B, groups, channels of a group, places) -> (C, S, B, channels, *places), each 1 or all
    lead, (rows, groups, channels, _) = found.shape[:2], found.shape[2:]
    return np.broadcast_to(found, (*found.shape[:-1], int(np.prod(out[2:])))).reshape(
        *lead, rows, groups * channels, *out[2:]
    )


def _convolution(call: Call) -> list[Elements]:
    x, weight, out = call.elements(0), call.elements(1), tuple(call.outs[0].shape)
    axes = len(x.shape) - 2
    if axes < 1:
        raise UnfollowedOperatorError("convolution", "an input without a batch axis")
    groups = call.argument("groups")
    stride, padding, dilation = (
        _spread(call.argument(n), axes) for n in ("stride", "padding", "dilation")
    )
    kernel = weight.shape[2:]
    if call.argument("transposed"):  # the places that a result of the plain one would read
        reads = covered(x.shape[2:], out[2:], kernel, stride, padding, dilation).T
    else:
        reads = covered(out[2:], x.shape[2:], kernel, stride, padding, dilation)
    readings = [_grouped(x, groups, reads)] if x.reached else []
    found = _weighted(call, weight, groups, readings, out)
    return [Elements(out, found, np.zeros((1,) * len(out), bool))]


def _weighted(
    call: Call, weight: Elements, groups: int, readings: list[Reading], out: tuple[int, ...]
) -> Distances:
    if weight.reached:  # all of them: an upper bound for a grouped transposed one
        lead = weight.distance.shape[:2]
        readings = [*readings, Reading(weight.distance.reshape(*lead, 1, 1, 1, 1, -1))]
    if not readings:
        return call.combine([], len(out))
    found = call.combine(readings, 4)
    if found.shape[3] == 1 or found.shape[3] == groups:
        channels = out[1] // groups if found.shape[3] > 1 else 1
        found = np.broadcast_to(found, (*found.shape[:4], channels, found.shape[5]))
    return _back(found, out)


def _convolution_backward(call: Call) -> list[Elements]:
    gradient, x, weight = (call.elements(place) for place in range(3))
    axes = len(x.shape) - 2
    groups = call.argument("groups")
    stride, padding, dilation = (
        _spread(call.argument(n), axes) for n in ("stride", "padding", "dilation")
    )
    wanted = call.argument("output_mask")
    results, outs = [], iter(call.outs)
    if wanted[0]:
        next(outs)
        shape, result = x.shape[2:], gradient.shape[2:]
        if call.argument("transposed"):
            reads = covered(shape, result, weight.shape[2:], stride, padding, dilation)
        else:
            reads = covered(result, shape, weight.shape[2:], stride, padding, dilation).T
        readings = [_grouped(gradient, groups, reads)] if gradient.reached else []
        found = _weighted(call, weight, groups, readings, x.shape)
        results.append(Elements(x.shape, found, np.zeros((1,) * len(x.shape), bool)))
    for read, out in zip(((gradient, x), (gradient,)), outs, strict=False):
        results.append(call.result(out, [whole(item, out.dim()) for item in read if item.reached]))
    return results


def _pool(call: Call) -> list[Elements]:
    x, out = call.elements(0), call.outs[0]
    reads = _pooled(call, x.shape, out.shape)
    return [_windowed(call, x, o, reads) for o in call.outs]


def _pool_backward(call: Call) -> list[Elements]:
    gradient, out = call.elements(0), call.outs[0]
    reads = _pooled(call, out.shape, gradient.shape).T
    return [_windowed(call, gradient, out, reads)]


def _axes(call: Call) -> int:
    return int(call.name[call.name.index("pool") + len("pool")])  # avg_pool2d_backward


def _pooled(call: Call, places: Sequence[int], results: Sequence[int]) -> Flags:
    # (results, places): by the arguments of an adaptive pool, or of one with windows.
    kernel, axes = call.argument("kernel_size"), _axes(call)
    if kernel is not None:
        stride, padding, dilation = (
            _spread(value, axes)
            for value in (
                call.argument("stride") or kernel,
                call.argument("padding"),
                call.argument("dilation") or 1,
            )
        )
        kernel = _spread(kernel, axes)
        return covered(results[-axes:], places[-axes:], kernel, stride, padding, dilation)
    flags = np.ones((1, 1), bool)
    for n, m in zip(results[-axes:], places[-axes:], strict=True):
        i, s = np.ogrid[:n, :m]
        flags = np.kron(flags, (s >= i * m // n) & (s < -(-(i + 1) * m // n))).astype(bool)
    return flags


def _windowed(call: Call, x: Elements, out: torch.Tensor, reads: Flags) -> Elements:
    axes = _axes(call)
    lead, others = x.distance.shape[:2], x.distance.shape[2:-axes]
    flat = np.broadcast_to(x.distance, (*lead, *others, *x.shape[-axes:]))
    reading = Reading(flat.reshape(*lead, *others, 1, -1), ~reads)
    found = call.combine([reading] if x.reached else [], len(others) + 1)
    wide = np.broadcast_to(found, (*found.shape[:-1], reads.shape[0]))
    found = wide.reshape(*wide.shape[:-1], *out.shape[-axes:])
    return Elements(tuple(out.shape), found, np.zeros((1,) * out.dim(), bool))


RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "convolution_backward": _convolution_backward,
    **dict.fromkeys(
        ("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d",
         "avg_pool3d"),
        _pool,
    ),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), _pool),
    **dict.fromkeys(
        ("avg_pool2d_backward", "max_pool2d_with_indices_backward", "avg_pool3d_backward",
         "_adaptive_avg_pool2d_backward"),
        _pool_backward,
    ),
}  # fmt: skip
