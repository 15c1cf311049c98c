"""Each result element reads its own place: arithmetic, activations, copies, choices."""

import numpy as np
import torch
from torch import Tensor

from phalanx.profiling.elements.distances import Reading
from phalanx.profiling.elements.elements import Elements, Flags, aligned
from phalanx.profiling.elements.rules.call import Call, Rule, own_place

# Their result is noise: a zero in it is no constant.
RANDOM = frozenset({"native_dropout", "_fused_dropout", "bernoulli", "normal", "poisson"})
_PRODUCTS = frozenset({"mul", "bitwise_and", "logical_and"})


def pointwise(call: Call) -> list[Elements]:
    """Every operator that torch tags as pointwise."""
    rank = call.outs[0].dim()
    readings, fixed = [], np.ones((1,) * rank, bool)
    for item, closed in zip(call.inputs, _closed(call, rank), strict=True):
        fixed = fixed & (aligned(item.fixed, rank, 0) | closed)
        if item.reached:
            shut = closed[..., None] if closed.any() else None
            readings.append(Reading(own_place(item, rank).distance, shut))
    if call.name in RANDOM:
        fixed = np.zeros((1,) * rank, bool)
    return [call.result(out, readings, fixed) for out in call.outs]


def _closed(call: Call, rank: int) -> list[Flags]:
    # For each input: where the result does not depend on it, whatever its value.
    inputs = call.inputs
    closed: list[Flags] = [np.zeros((1,) * rank, bool) for _ in inputs]

    def close(position: int, where: Flags) -> None:
        closed[position] = closed[position] | aligned(where, rank, 0)

    if call.name in ("where", "masked_fill"):
        # where(condition, a, b), masked_fill(a, condition, b): a constant condition chooses.
        order = [i for i, value in enumerate(call.args) if isinstance(value, Tensor)]
        condition, if_true, if_false = (0, 1, 2) if call.name == "where" else (1, 2, 0)
        chooses = inputs[order.index(condition)]
        for place, unused in (
            (if_true, chooses.where_fixed(lambda value: value == 0)),
            (if_false, chooses.where_fixed(lambda value: value != 0)),
        ):
            if place in order:
                close(order.index(place), unused)
        return closed
    for i in range(len(inputs)):
        for j, other in enumerate(inputs):
            if i == j:
                continue
            if call.name in _PRODUCTS or (call.name == "div" and not j):
                close(i, other.fixed_zero)
            elif call.name in ("bitwise_or", "logical_or"):
                close(i, other.where_fixed(_true))
            elif call.name in ("add", "sub", "rsub"):
                close(i, other.fixed_huge)
    return closed


def _true(value: Tensor) -> Tensor:
    # bitwise_or of numbers: only all bits set would hide the other one.
    return value if value.dtype == torch.bool else value == -1


def _glu(call: Call) -> list[Elements]:
    # The first half of an axis, gated by the second.
    x = call.elements(0)
    return [call.result(call.outs[0], _halves(x, _axis(call, x)), x.all_fixed)]


def _glu_backward(call: Call) -> list[Elements]:
    gradient, x = call.elements(0), call.elements(1)
    axis = _axis(call, x)
    found = call.combine([own_place(gradient, len(x.shape)), *_halves(x, axis)], len(x.shape))
    both = np.concatenate([found, found], axis + 2) if found.shape[axis + 2] > 1 else found
    return [Elements(x.shape, both, np.zeros((1,) * len(x.shape), bool))]


def _axis(call: Call, x: Elements) -> int:
    axis: int = call.argument("dim") % len(x.shape)
    return axis


def _halves(x: Elements, axis: int) -> list[Reading]:
    if x.distance.shape[axis + 2] == 1:
        return [Reading(x.distance[..., None])]
    first, second = np.split(x.distance, 2, axis + 2)
    return [Reading(first[..., None]), Reading(second[..., None])]


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "clone", "_to_copy", "copy", "contiguous", "rsub", "bucketize", "searchsorted",
            "isin", "native_dropout", "_fused_dropout", "native_dropout_backward", "bernoulli",
            "normal", "poisson", "complex", "polar", "_prelu_kernel", "floor_divide", "remainder",
            "masked_fill", "nan_to_num", "fill", "log_sigmoid_forward", "log_sigmoid_backward",
            "softplus_backward", "leaky_relu_backward", "elu_backward", "hardtanh_backward",
            "hardswish_backward", "hardsigmoid_backward", "softshrink_backward", "lerp",
            "_conj_physical", "_prelu_kernel_backward", "l1_loss_backward",
            "mse_loss_backward", "smooth_l1_loss_backward", "huber_loss_backward",
            "binary_cross_entropy_backward", "copysign", "addcdiv", "addcmul",
        ),
        pointwise,
    ),
    "glu": _glu,
    "glu_backward": _glu_backward,
}  # fmt: skip
