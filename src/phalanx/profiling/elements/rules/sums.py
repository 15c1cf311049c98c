"""Sums into places chosen by an index: scatter_add, index_add, the gradient of a pick."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.elements.distances import Reading
from phalanx.profiling.elements.elements import FAR, Distances, Elements
from phalanx.profiling.elements.rules.call import Call, Rule, own_place, tensors
from phalanx.profiling.elements.rules.moves import index_reading, move

_MOST = 64  # sources of one result element that are told apart; more: it reads all


def _into(
    call: Call, base: Elements | None, source: Distances, shape: Sequence[int], places: Tensor
) -> list[Elements]:
    # ``places``: which element of the flat result each element of the source, cut to as many,
    # goes into.
    out = call.outs[0]
    lead, rank = call.counting.lead, out.dim()
    cut = (slice(None), slice(None), *(slice(n) for n in places.shape))
    flat = np.broadcast_to(source, (*lead, *shape))[cut].reshape(*lead, -1, 1)
    read = _gathered(flat, places, out.numel())
    wide = out.shape if read.shape[2] > 1 else [1] * rank
    readings = [] if base is None else [own_place(base, rank)]
    readings += [Reading(read.reshape(*lead, *wide, -1)), *_by_index(call, out)]
    return [call.result(out, readings) for out in call.outs]


def _gathered(flat: Distances, places: Tensor, count: int) -> Distances:
    # (C, S, sources, W) -> (C, S, count, W, R): what goes into each of ``count`` places.
    order_of, numbers = places.reshape(-1).numpy(), flat.shape[2]
    times = np.bincount(order_of, minlength=count)
    most = int(times.max(initial=0))
    if most > _MOST:
        return np.moveaxis(flat, 2, -1)[:, :, None]
    order = np.argsort(order_of, kind="stable")
    turn = np.arange(numbers) - np.repeat(np.cumsum(times) - times, times)
    came: NDArray[np.int64] = np.full((count, max(most, 1)), numbers)
    came[order_of[order], turn] = order
    nothing = np.full((*flat.shape[:2], 1, flat.shape[3]), FAR, np.int16)
    return np.moveaxis(np.concatenate([flat, nothing], 2)[:, :, came], 3, -1)


def _by_index(call: Call, out: Tensor) -> list[Reading]:
    known = [call.before.get(id(t)) for t in tensors(call.args) if not t.is_floating_point()]
    return [index_reading(call, item, out) for item in known if item is not None and item.reached]


def _numbers(shape: Sequence[int]) -> Tensor:
    return torch.arange(int(np.prod(shape))).reshape(tuple(shape))


def _scatter_add(call: Call) -> list[Elements]:
    _, dim, index, source = call.args[:4]
    base = call.elements(0) if call.argument("include_self") is not False else None
    places = _numbers(call.outs[0].shape).gather(dim, index)
    given = call.before[id(source)]
    return _into(call, base, given.distance, given.shape, places)


def _index_add(call: Call) -> list[Elements]:
    _, dim, index, source = call.args[:4]
    places = _numbers(call.outs[0].shape).index_select(dim, index)
    given = call.before[id(source)]
    return _into(call, call.elements(0), given.distance, given.shape, places)


def _index_put(call: Call) -> list[Elements]:
    if not call.argument("accumulate"):
        return move(call)
    places = torch.ops.aten.index.Tensor(_numbers(call.outs[0].shape), call.args[1])
    return _into(call, call.elements(0), call.elements(2).distance, places.shape, places)


def _embedding_backward(call: Call) -> list[Elements]:
    # Rows of the table sum up the gradients of the positions that showed them.
    gradient, indices, out = call.elements(0), call.args[1], call.outs[0]
    lead, width = call.counting.lead, gradient.distance.shape[-1]
    flat = np.broadcast_to(gradient.distance, (*lead, *indices.shape, width))
    read = _gathered(flat.reshape(*lead, -1, width), indices, out.shape[0])
    index = call.before[id(indices)]
    readings = [Reading(read), Reading(index.distance.reshape(*lead, 1, 1, -1))]
    return [call.result(out, readings)]


def _unfold_backward(call: Call) -> list[Elements]:
    # Overlapping windows are added up where they came from.
    _, sizes, dim, size, step = call.args
    places = _numbers(sizes).unfold(dim, size, step)
    return _into(call, None, call.elements(0).distance, places.shape, places)


def _col2im(call: Call) -> list[Elements]:
    gradient, out = call.elements(0), call.outs[0]
    lead, shape = call.counting.lead, out.shape[-2:]
    kernel, dilation, padding, stride = call.args[2:6]
    # A window's places by channel: number 0 is the padding's, which goes nowhere.
    ids = (_numbers(out.shape[-3:]) + 1).double()[None]
    places = F.unfold(ids, kernel, dilation, padding, stride)[0].long()
    flat = np.broadcast_to(gradient.distance, (*lead, *gradient.shape))
    flat = np.moveaxis(flat.reshape(*lead, -1, places.numel()), 3, 2)  # one column for each row
    read = _gathered(flat, places, int(np.prod(out.shape[-3:])) + 1)
    read = np.moveaxis(read[:, :, 1:], 3, 2)
    wide = (*out.shape[:-2], *shape)
    return [call.result(out, [Reading(read.reshape(*lead, *wide, -1))])]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("scatter_add", "scatter_reduce"), _scatter_add),
    **dict.fromkeys(("index_add", "index_reduce"), _index_add),
    **dict.fromkeys(("index_put", "_index_put_impl", "_unsafe_index_put"), _index_put),
    "unfold_backward": _unfold_backward,
    "col2im": _col2im,
    "embedding_dense_backward": _embedding_backward,
}
