"""Moves: each result element is one input element, found by moving numbers instead of data."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phalanx.profiling.elements.distances import Reading
from phalanx.profiling.elements.elements import Elements, aligned, compress
from phalanx.profiling.elements.rules.along import along
from phalanx.profiling.elements.rules.call import Call, Rule, tensors, whole

_FIRST_NUMBER = 2**40  # far from any fill value, and exact in float64 with what is added to it
# Argument positions of the data; every other tensor is an index.
_DATA = {
    "gather": (0,), "index": (0,), "_unsafe_index": (0,), "index_select": (0,), "embedding": (0,),
    "take": (0,), "index_put": (0, 2), "_index_put_impl": (0, 2), "_unsafe_index_put": (0, 2),
    "scatter": (0, 3), "index_copy": (0, 3), "index_fill": (0, 3), "repeat_interleave": (0,),
    "_chunk_cat": (0,), "masked_scatter": (0, 2), "masked_select": (0,),
}  # fmt: skip
# Put nothing of their own in: what is alike everywhere stays so.
_PICKS = frozenset({
    "gather", "index", "_unsafe_index", "index_select", "embedding", "take", "cat", "stack",
    "flip", "roll", "repeat", "expand_copy", "repeat_interleave",
})  # fmt: skip


def move(call: Call) -> list[Elements]:
    """Every result element is one element of the data, or a constant of the operator's own."""
    items = [call.before[id(t)] for place in _places(call) for t in tensors(call.args[place])]
    if call.name in _PICKS and _alike(items):
        out = call.outs[0]
        first = items[0]
        rank = out.dim()
        readings = [Reading(first.distance.reshape(*first.distance.shape[:2], *[1] * rank, 1))]
        fixed = np.full((1,) * rank, first.all_fixed)
    else:
        readings, fixed = _numbered(call, items)
    picked = [*readings, *_indices(call)]
    if len(picked) > 1:
        fixed = np.zeros_like(fixed)
    return [call.result(out, picked, fixed) for out in call.outs]


def _places(call: Call) -> tuple[int, ...]:
    places = _DATA.get(call.name, range(len(call.args)))
    return tuple(place for place in places if place < len(call.args))


def _alike(items: list[Elements]) -> bool:
    first = items[0]
    return all(
        item.distance[0, 0].size == item.fixed.size == 1
        and (item.distance.reshape(-1) == first.distance.reshape(-1)).all()
        and item.all_fixed == first.all_fixed
        for item in items
    )


def _numbered(call: Call, items: list[Elements]) -> tuple[list[Reading], np.ndarray[Any, Any]]:
    lead = call.counting.lead
    args, columns, flags, number = list(call.args), [], [], _FIRST_NUMBER
    known = iter(items)
    for place in _places(call):
        given = []
        for tensor in tensors(args[place]):
            item = next(known)
            axes = np.broadcast_shapes(item.distance.shape[2:], item.fixed.shape)
            columns.append(np.broadcast_to(item.distance, (*lead, *axes)).reshape(*lead, -1))
            flags.append(np.broadcast_to(item.fixed, axes).reshape(-1))
            count = flags[-1].size
            ids = torch.arange(number, number + count, dtype=torch.float64).reshape(axes)
            given.append(ids.expand(tensor.shape).contiguous())
            number += count
        if given:
            args[place] = given[0] if isinstance(args[place], Tensor) else given
    moved = call.func(*args, **call.kwargs).numpy()
    came = np.where(np.isfinite(moved) & (moved >= _FIRST_NUMBER), moved - _FIRST_NUMBER, -1)
    from_where = compress(came.astype(np.int64))
    # Index -1: a constant of the operator.
    distance = np.concatenate([*columns, np.full((*lead, 1), 2**14, np.int16)], -1)
    fixed = np.concatenate([*flags, [True]])
    return [Reading(distance[..., from_where][..., None])], fixed[from_where]


def _indices(call: Call) -> Iterator[Reading]:
    # An index that itself depends on a source carries that dependence into what it picks.
    data = _DATA.get(call.name, ())
    out = call.outs[0]
    given = [
        (place, tensor)
        for place, value in enumerate(call.args)
        if data and place not in data
        for tensor in tensors(value)
        if call.before[id(tensor)].reached
    ]
    for _, tensor in given:
        yield index_reading(call, call.before[id(tensor)], out)


def index_reading(call: Call, index: Elements, out: Tensor) -> Reading:
    """Which elements of an index a result element depends on."""
    lead, rank = call.counting.lead, out.dim()
    if call.name == "embedding":
        return Reading(index.distance[..., None, None])
    if call.name in ("gather", "take"):
        return Reading(index.distance[..., None])
    if call.name == "index_select":
        axis = call.argument("dim") % rank
        wide = [1] * rank
        wide[axis] = index.distance[0, 0].size
        return Reading(index.distance.reshape(*lead, *wide, 1))
    if call.name in ("index", "_unsafe_index"):
        return Reading(_beside_index(call, index, rank)[..., None])
    if call.name in ("scatter", "scatter_add", "scatter_reduce"):
        # Whether a place is written says all of the index along the axis.
        axis = call.argument("dim") % rank
        others = [n for i, n in enumerate(index.shape) if i != axis]
        if others == [n for i, n in enumerate(out.shape) if i != axis]:
            return along(index.distance, (axis,))
    return whole(index, rank)


def _beside_index(call: Call, index: Elements, rank: int) -> np.ndarray[Any, Any]:
    # x[:, i, j]: the axes of i and j, broadcast together, stand where i stood; x[i, :, j]: first.
    given: list[Any] = list(call.args[1])
    used = [axis for axis, value in enumerate(given) if value is not None]
    broadcast = max(given[axis].dim() for axis in used)
    together = used[-1] - used[0] + 1 == len(used)
    start = used[0] if together else 0
    distance = aligned(index.distance, broadcast)
    after = rank - start - broadcast
    return distance.reshape(*distance.shape[:2], *[1] * start, *distance.shape[2:], *[1] * after)


RULES: dict[str, Rule] = dict.fromkeys(
    (
        *_DATA, "cat", "stack", "flip", "roll", "repeat", "constant_pad_nd", "tril", "triu",
        "slice_backward", "select_backward", "slice_scatter", "select_scatter", "expand_copy",
        "view_copy", "split_copy", "unbind_copy", "diag_embed", "diagonal_backward",
        "diagonal_scatter", "reflection_pad1d", "replication_pad1d", "im2col", "rot90",
        "pixel_shuffle", "channel_shuffle",
    ),
    move,
)  # fmt: skip
