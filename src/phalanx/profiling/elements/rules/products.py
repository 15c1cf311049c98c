"""Matrix products: a result element reads a row and a column."""

from typing import Any

import numpy as np

from phalanx.profiling.elements.distances import Reading
from phalanx.profiling.elements.elements import Elements, Flags
from phalanx.profiling.elements.rules.call import Call, Rule, own_place


def _product(first: int) -> Rule:
    # out[.., m, n] = [c +] sum over k of a[.., m, k] b[.., k, n]; a is argument ``first``.
    def rule(call: Call) -> list[Elements]:
        a, b, out = call.elements(first), call.elements(first + 1), call.outs[0]
        # (.., m, 1, k) and (.., 1, n, k), with axes of 1 for those that a vector lacks
        row, column = len(a.shape) == 1, len(b.shape) == 1
        rank = out.dim() + row + column
        left = [_left(array, row) for array in (a.distance, a.fixed, a.fixed_zero)]
        right = [_right(array, column) for array in (b.distance, b.fixed, b.fixed_zero)]
        readings = []
        if a.reached:
            readings.append(Reading(left[0], _some(right[2])))
        if b.reached:
            readings.append(Reading(right[0], _some(left[2])))
        fixed = _known(left[1], left[2], right[1], right[2])
        added = call.elements(0) if first and call.argument("beta") != 0 else None
        if added is not None:
            fixed = fixed & added.all_fixed
            if added.reached:
                readings.append(own_place(added, rank))
        found = call.combine(readings, rank)
        if row:
            found, fixed = np.take(found, 0, -2), np.take(fixed, 0, -2)
        if column:
            found, fixed = np.take(found, 0, -1), np.take(fixed, 0, -1)
        return [Elements(tuple(out.shape), found, fixed)]

    return rule


def _left(array: np.ndarray[Any, Any], vector: bool) -> np.ndarray[Any, Any]:
    return array[..., None, None, :] if vector else array[..., :, None, :]


def _right(array: np.ndarray[Any, Any], vector: bool) -> np.ndarray[Any, Any]:
    return array[..., None, None, :] if vector else np.swapaxes(array, -1, -2)[..., None, :, :]


def _some(closed: Flags) -> Flags | None:
    return closed if closed.any() else None


def _known(fixed_a: Flags, zero_a: Flags, fixed_b: Flags, zero_b: Flags) -> Flags:
    # Both factors of every term constant, or one of them a constant zero.
    if not (zero_a.any() or zero_b.any()):
        return np.asarray(fixed_a.all(-1) & fixed_b.all(-1))
    return np.asarray(((fixed_a & fixed_b) | zero_a | zero_b).all(-1))


def _addbmm(call: Call) -> list[Elements]:
    # c + the sum over a batch of products: also over the first axis.
    added, a, b, out = call.elements(0), call.elements(1), call.elements(2), call.outs[0]
    lead = added.distance.shape[:2]
    rows = np.swapaxes(a.distance, 2, 3)  # (C, S, m, B, k)
    columns = np.moveaxis(b.distance, 4, 2)  # (C, S, n, B, k)
    readings = [
        own_place(added, 2),
        Reading(rows.reshape(*lead, rows.shape[2], 1, -1)),
        Reading(columns.reshape(*lead, 1, columns.shape[2], -1)),
    ]
    return [call.result(out, readings)]


def _outer(call: Call) -> list[Elements]:
    # [c +] a b^T
    *added, a, b = call.inputs
    readings = [own_place(item, 2) for item in added]
    readings += [Reading(a.distance[..., None, None]), Reading(b.distance[..., None, :, None])]
    return [call.result(call.outs[0], readings, all(item.all_fixed for item in call.inputs))]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "_addmm_activation"), _product(1)),
    "addbmm": _addbmm,
    "addr": _outer,
    "ger": _outer,
}
