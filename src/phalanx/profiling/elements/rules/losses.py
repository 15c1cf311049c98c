"""Losses, and the gradients of norms and losses that torch computes in one kernel."""

import numpy as np

from phalanx.profiling.elements.distances import Reading
from phalanx.profiling.elements.elements import Elements
from phalanx.profiling.elements.rules.along import along, dims_of
from phalanx.profiling.elements.rules.call import Call, Rule, own_place, whole
from phalanx.profiling.elements.rules.pointwise import pointwise

_NONE = 0  # torch's number for reduction="none"


def _loss(call: Call) -> list[Elements]:
    return pointwise(call) if call.argument("reduction") == _NONE else call.everything()


def _nll(call: Call) -> list[Elements]:
    # loss_n = -x[n, target_n]; summed, and with the sum of the weights, unless asked otherwise.
    x, target = call.elements(0), call.elements(1)
    loss, total = call.outs
    if call.argument("reduction") != _NONE:
        return call.everything()
    classes = (0,) if len(x.shape) == 1 else (1,)
    row = along(x.distance, classes).distance
    lead = call.counting.lead
    read = row.reshape(*lead, *[n for i, n in enumerate(row.shape[2:-1]) if i not in classes], -1)
    return [
        call.result(loss, [Reading(read), own_place(target, loss.dim())]),
        call.result(total, [whole(target, 0)]),
    ]


def _nll_backward(call: Call) -> list[Elements]:
    # At [n, c]: the gradient of n's loss, whether c is the target, and the sum of the weights.
    gradient, x, target = (call.elements(place) for place in range(3))
    out = call.outs[0]
    rank = out.dim()
    readings = [
        _without_class(item, rank) for item in (gradient, target) if len(item.shape) == rank - 1
    ]
    readings += [whole(item, rank) for item in (gradient, target) if len(item.shape) != rank - 1]
    total = call.named("total_weight")
    if total is not None:
        readings.append(whole(total, rank))
    assert len(x.shape) == rank
    return [call.result(out, readings)]


def _without_class(item: Elements, rank: int) -> Reading:
    distance = item.distance
    if rank > 1:
        distance = np.expand_dims(distance, 3)
    return Reading(distance[..., None])


def _norm_backward(call: Call) -> list[Elements]:
    # The input's gradient reads its row; the weights' gradients read their column.
    gradient, x = call.elements(0), call.elements(1)
    rank = len(x.shape)
    dims = dims_of(call, rank)
    others = tuple(axis for axis in range(rank) if axis not in dims)
    statistics = [item for item in (call.named("mean"), call.named("rstd")) if item is not None]
    weight = call.named("weight")
    mask = call.argument("output_mask")
    outs = iter(call.outs)
    results = []
    if mask[0]:
        out = next(outs)
        readings = [along(item.distance, dims) for item in (gradient, x)]
        readings += [own_place(item, rank) for item in statistics]
        if weight is not None:
            readings.append(whole(weight, rank))
        results.append(call.result(out, readings))
    columns = ((gradient, x, *statistics), (gradient,))
    for wanted, read in zip(mask[1:], columns, strict=False):
        if wanted:
            out = next(outs)
            found = call.combine([along(i.distance, others) for i in read], rank)
            kept = found.reshape(*found.shape[:2], *[found.shape[2 + axis] for axis in dims])
            results.append(Elements(tuple(out.shape), kept, np.zeros((1,) * out.dim(), bool)))
    return results


def _group_norm(call: Call) -> list[Elements]:
    # (B, channels, *places): over the places and the channels of a group.
    x, groups = call.elements(0), call.argument("group")
    lead, shape = call.counting.lead, tuple(call.outs[0].shape)
    wide = np.broadcast_to(x.distance, (*lead, *shape)).reshape(*lead, shape[0], groups, 1, -1)
    readings = [Reading(wide)]  # (B, groups, channels of a group, R)
    row = call.combine(readings, 3)[..., 0]
    for name in ("weight", "bias"):
        item = call.named(name)
        if item is not None:
            of_channels = np.broadcast_to(item.distance, (*lead, shape[1]))
            readings.append(Reading(of_channels.reshape(*lead, 1, groups, -1, 1)))
    found = call.combine(readings, 3)
    normal = np.broadcast_to(found, (*found.shape[:4], shape[1] // groups)).reshape(
        *lead, -1, shape[1], *[1] * (len(shape) - 2)
    )
    statistics = [Elements(tuple(o.shape), row, np.zeros((1, 1), bool)) for o in call.outs[1:]]
    return [Elements(shape, normal, np.zeros((1,) * len(shape), bool)), *statistics]


def _batch_norm(call: Call) -> list[Elements]:
    # (B, channels, *places): over all but the channels while training, else each place alone.
    x, rank = call.elements(0), call.outs[0].dim()
    training = call.name != "_native_batch_norm_legit_no_training" and call.argument("training")
    dims = tuple(axis for axis in range(rank) if axis != 1)
    row = along(x.distance, dims) if training else own_place(x, rank)
    readings = [row]
    for name in ("weight", "bias"):
        item = call.named(name)
        if item is not None and item.reached:
            wide = item.distance.reshape(*call.counting.lead, 1, -1, *[1] * (rank - 2), 1)
            readings.append(Reading(wide))
    rest = [call.result(out, [whole(x, out.dim())]) if training else call.constant(out, False)
            for out in call.outs[1:]]  # fmt: skip
    return [call.result(call.outs[0], readings), *rest]


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "l1_loss"), _loss
    ),
    **dict.fromkeys(("nll_loss_forward", "nll_loss2d_forward"), _nll),
    **dict.fromkeys(("nll_loss_backward", "nll_loss2d_backward"), _nll_backward),
    **dict.fromkeys(("native_layer_norm_backward", "_fused_rms_norm_backward"), _norm_backward),
    "native_group_norm": _group_norm,
    **dict.fromkeys(
        (
            "native_batch_norm", "_native_batch_norm_legit", "_batch_norm_with_update",
            "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
        ),
        _batch_norm,
    ),
}  # fmt: skip
