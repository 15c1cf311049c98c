"""Which elements of its inputs each element of an operator's result reads; one rule a family.

An operator without a rule raises: a path that was not followed would make a wrong figure.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phalanx.errors import PhalanxError
from phalanx.profiling.costs import operator_name
from phalanx.profiling.elements import FAR, Distances, Elements, Flags, aligned, combine, without


class UnfollowedOperatorError(PhalanxError):
    """An operator whose element-to-element dependence is not known."""

    def __init__(self, name: str, why: str = "there is no rule for it") -> None:
        super().__init__(
            f"cannot follow paths through {name}: {why}. Add a rule to profiling/path_rules.py, "
            "or measure the model's layers without this operator."
        )


@dataclass(frozen=True)
class Call:
    """One run of an operator, with what was known of its inputs before it ran.

    Args:
        func, args, kwargs: the call itself.
        before: id of each tensor that it reads -> its elements.
        outs: the results, or the targets of an operator in place.
        sources: the number of source positions.
    """

    func: torch._ops.OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    before: dict[int, Elements]
    outs: Sequence[Tensor]
    sources: int

    @property
    def name(self) -> str:
        """The operator's name, without the underscore of its in-place form."""
        return operator_name(self.func).rstrip("_") or operator_name(self.func)

    @property
    def inputs(self) -> list[Elements]:
        """The elements of every tensor that it reads, in order."""
        return [
            self.before[id(t)] for t in _tensors(self.args, self.kwargs) if id(t) in self.before
        ]

    def elements(self, position: int) -> Elements:
        """The elements of the tensor at an argument's position."""
        return self.before[id(self.args[position])]

    def argument(self, name: str) -> Any:
        """An argument by its name in the schema; its default, or None where it has neither."""
        for i, declared in enumerate(self.func._schema.arguments):
            if declared.name == name:
                if i < len(self.args):
                    return self.args[i]
                return self.kwargs.get(name, declared.default_value)
        return None


Rule = Callable[[Call], list[Elements]]


def _tensors(*values: object) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(*value)
        elif isinstance(value, dict):
            yield from _tensors(*value.values())


# -- each result element reads its own place ---------------------------------------------------


def _pointwise(call: Call) -> list[Elements]:
    shape = tuple(call.outs[0].shape)
    parts, fixed = [], np.ones(shape, bool)
    for item, closed in zip(call.inputs, _closed(call, shape), strict=True):
        fixed &= item.fixed | closed
        if item.reached:
            parts.append(without(aligned(item.distance, len(shape)), closed)[..., None])
    return [Elements(combine(parts, shape, call.sources), fixed)] * len(call.outs)


def _closed(call: Call, shape: tuple[int, ...]) -> list[Flags]:
    # For each input: where the result does not depend on it, whatever its value.
    inputs = call.inputs
    closed = [np.zeros(shape, bool) for _ in inputs]
    if call.name in ("where", "masked_fill"):
        # where(condition, a, b); masked_fill(a, condition[, b]): a constant condition chooses.
        condition, if_true, if_false = (0, 1, 2) if call.name == "where" else (1, 2, 0)
        known, truth = inputs[condition].fixed, inputs[condition].value
        if truth is not None:
            for position, unused in ((if_true, truth == 0), (if_false, truth != 0)):
                if position < len(inputs):
                    closed[position] |= known & unused
        return closed
    for i in range(len(inputs)):
        for j, other in enumerate(inputs):
            if i == j:
                continue
            if call.name in ("mul", "bitwise_and", "logical_and") or (call.name == "div" and not j):
                closed[i] |= other.fixed_zero()
            elif call.name in ("add", "sub"):
                closed[i] |= other.fixed_infinite()
    return closed


# -- reductions, softmax, norms, scans: along some axes ----------------------------------------


def _along(call: Call) -> list[Elements]:
    x = call.elements(0)
    rank = len(x.shape)
    dims = _dims(call, rank)
    kept = [axis for axis in range(rank) if axis not in dims]
    distance = x.distance.transpose(0, 1, *(2 + axis for axis in (*kept, *dims)))
    shape = tuple(x.shape[axis] for axis in kept)
    row = combine([distance.reshape(*distance.shape[:2], *shape, -1)], shape, call.sources)
    fixed = x.fixed.transpose(*kept, *dims).reshape(*shape, -1).all(-1)
    wide = tuple(1 if axis in dims else x.shape[axis] for axis in range(rank))
    results = []
    for out in call.outs:
        if out.numel() == fixed.size:
            size = tuple(out.shape)
            results.append(Elements(row.reshape(3, -1, *size), fixed.reshape(size)))
        else:  # as wide as the input: softmax, a norm, a sort
            to = np.broadcast_to(row.reshape(3, -1, *wide), (3, call.sources, *out.shape))
            flat = np.broadcast_to(fixed.reshape(wide), tuple(out.shape))
            if "softmax" in call.name:  # the weight of a constant -inf is a constant 0
                to = without(to, x.fixed_infinite())
                flat = flat | x.fixed_infinite()
            results.append(Elements(to, flat))
    return results


def _dims(call: Call, rank: int) -> tuple[int, ...]:
    over = call.argument("normalized_shape")
    if over is not None:
        return tuple(range(rank - len(over), rank))
    dim = call.argument("dim")
    if dim is None or dim == []:
        return tuple(range(rank))
    return tuple(d % rank for d in ([dim] if isinstance(dim, int) else dim)) if rank else ()


def _scan(call: Call) -> list[Elements]:
    x = call.elements(0)
    axis = call.argument("dim") % len(x.shape)
    distance = np.moveaxis(x.distance, 2 + axis, -1)[..., None, :]  # (..., result, read)
    length = x.shape[axis]
    later = np.triu(np.ones((length, length), bool), 1)
    shape = tuple(np.moveaxis(x.fixed, axis, -1).shape)
    found = combine([without(distance, later)], shape, call.sources)
    fixed = np.logical_and.accumulate(x.fixed, axis)
    return [Elements(np.moveaxis(found, -1, 2 + axis), fixed)] * len(call.outs)


# -- matrix products ---------------------------------------------------------------------------


def _product(first: int) -> Rule:
    # out[.., m, n] = [c +] sum over k of a[.., m, k] b[.., k, n]; a is argument ``first``.
    def rule(call: Call) -> list[Elements]:
        a, b = call.elements(first), call.elements(first + 1)
        shape = tuple(call.outs[0].shape)
        vector_a, vector_b = len(a.shape) == 1, len(b.shape) == 1
        full = (*shape[: len(shape)], *([1] if vector_b else []))
        full = (*full[:-1], 1, full[-1]) if vector_a else full
        left = _axis(a.distance, -2) if vector_a else a.distance
        right = _axis(b.distance, -1) if vector_b else b.distance
        zero_a = _axis(a.fixed_zero(), -2) if vector_a else a.fixed_zero()
        zero_b = _axis(b.fixed_zero(), -1) if vector_b else b.fixed_zero()
        # (.., m, 1, k) and (.., 1, n, k)
        left, zero_a = left[..., :, None, :], zero_a[..., :, None, :]
        right, zero_b = _transposed(right)[..., None, :, :], _transposed(zero_b)[..., None, :, :]
        parts = []
        if a.reached:
            parts.append(without(left, zero_b))
        if b.reached:
            parts.append(without(right, zero_a))
        fixed = bool(a.fixed.all() and b.fixed.all()) or bool(zero_a.all()) or bool(zero_b.all())
        flags = np.full(full, fixed)
        if first:
            added = call.elements(0)
            flags &= added.fixed
            if added.reached:
                parts.append(aligned(added.distance, len(full))[..., None])
        found = combine(parts, full, call.sources).reshape(3, call.sources, *shape)
        return [Elements(found, flags.reshape(shape))]

    return rule


def _axis(array: Any, position: int) -> Any:
    return np.expand_dims(array, position)


def _transposed(array: Any) -> Any:
    return np.swapaxes(array, -1, -2)


def _convolution(call: Call) -> list[Elements]:
    x, weight = call.elements(0), call.args[1]
    transposed, groups = call.argument("transposed"), call.argument("groups")
    if transposed or len(x.shape) != 3 or call.elements(1).reached:
        raise UnfollowedOperatorError("convolution", "only along one axis, with given weights")
    (stride,), (pad,), (dilation,) = (
        call.argument(name) for name in ("stride", "padding", "dilation")
    )
    rows, channels, length = x.shape
    outs, kernel, result = weight.shape[0], weight.shape[2], call.outs[0].shape[2]
    places = np.arange(result)[:, None] * stride - pad + np.arange(kernel) * dilation
    inside = (places >= 0) & (places < length)
    read = without(x.distance[..., places.clip(0, length - 1)], ~inside)  # (3, S, B, C, T, k)
    read = read.reshape(3, -1, rows, groups, channels // groups, result, kernel)
    read = np.moveaxis(read, 4, -1).reshape(
        3, -1, rows, groups, 1, result, kernel * channels // groups
    )
    shape = (rows, groups, outs // groups, result)
    found = combine([read], shape, call.sources).reshape(3, -1, rows, outs, result)
    return [Elements(found, np.zeros((rows, outs, result), bool))]


# -- moves: each result element is one input element, found by moving numbers instead -----------

_FIRST_NUMBER = 2**40  # far from any fill value, and exact in float64 with what is added to it
# Argument positions of the data; every other tensor is an index.
_DATA = {
    "gather": (0,), "index": (0,), "_unsafe_index": (0,), "index_select": (0,), "embedding": (0,),
    "take": (0,), "index_put": (0, 2), "_index_put_impl": (0, 2), "_unsafe_index_put": (0, 2),
    "scatter": (0, 3), "index_copy": (0, 3), "index_fill": (0,),
}  # fmt: skip


def _move(call: Call) -> list[Elements]:
    places = _DATA.get(call.name, tuple(range(len(call.args))))
    args, flat_distance, flat_fixed, number = list(call.args), [], [], _FIRST_NUMBER
    for place in places:
        if place >= len(args):
            continue
        numbered = []
        for tensor in _tensors(args[place]):
            item = call.before[id(tensor)]
            flat_distance.append(item.distance.reshape(3, call.sources, -1))
            flat_fixed.append(item.fixed.reshape(-1))
            ids = torch.arange(number, number + tensor.numel(), dtype=torch.float64)
            numbered.append(ids.reshape(tensor.shape))
            number += tensor.numel()
        if numbered:
            args[place] = numbered[0] if isinstance(args[place], Tensor) else numbered
    moved = call.func(*args, **call.kwargs).numpy()
    came = np.where(np.isfinite(moved) & (moved >= _FIRST_NUMBER), moved - _FIRST_NUMBER, -1)
    from_where = came.astype(np.int64)
    nowhere = np.full((3, call.sources, 1), FAR, np.int16)  # index -1: a constant of the operator
    distance = np.concatenate([*flat_distance, nowhere], -1)[..., from_where]
    fixed = np.concatenate([*flat_fixed, [True]])[from_where]
    parts = [distance[..., None]]
    for index in _indices(call):
        parts.append(index[..., None])
        fixed = fixed & False
    return [Elements(combine(parts, moved.shape, call.sources), fixed)]


def _indices(call: Call) -> Iterator[Distances]:
    # An index that itself depends on a source carries that dependence into what it picks.
    data = _DATA.get(call.name)
    if data is None:
        return
    for place, value in enumerate(call.args):
        if place in data:
            continue
        for tensor in _tensors(value):
            item = call.before[id(tensor)]
            if not item.reached:
                continue
            if call.name == "embedding":
                yield item.distance[..., None]
            elif call.name == "gather":
                yield item.distance
            else:
                raise UnfollowedOperatorError(call.name, "its index depends on the input")


_COPIES = ("clone", "_to_copy", "copy", "contiguous")
_MOVES = (
    *_DATA, "cat", "stack", "flip", "roll", "repeat", "constant_pad_nd", "tril", "triu",
    "slice_backward", "select_backward", "slice_scatter", "select_scatter", "expand_copy",
    "view_copy", "split_copy", "unbind_copy", "repeat_interleave", "diag_embed",
)  # fmt: skip
_ALONG = (
    "sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "any", "all", "prod",
    "logsumexp", "var", "std", "var_mean", "linalg_vector_norm", "norm", "topk", "sort",
    "_softmax", "_log_softmax", "_safe_softmax", "native_layer_norm", "_fused_rms_norm",
)  # fmt: skip
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_COPIES, _pointwise),
    **dict.fromkeys(_MOVES, _move),
    **dict.fromkeys(_ALONG, _along),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"), _scan),
    **dict.fromkeys(("mm", "bmm", "mv", "dot"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _product(1)),
    "convolution": _convolution,
    "rsub": _pointwise,
    "bucketize": _pointwise,
}


def follow(call: Call) -> list[Elements]:
    """The elements of each result of ``call``.

    Raises:
        UnfollowedOperatorError: no rule is known for the operator.
    """
    rule = _RULES.get(call.name)
    if rule is None and torch.Tag.pointwise in call.func.tags:
        rule = _pointwise
    if rule is None:
        if any(item.reached for item in call.inputs):
            raise UnfollowedOperatorError(str(call.func))
        rule = _constant
    return rule(call)


def _constant(call: Call) -> list[Elements]:
    # Whatever it does, nothing that it reads depends on a source.
    known = all(bool(item.fixed.all()) for item in call.inputs)
    far = np.full((3, call.sources), FAR, np.int16)
    return [
        Elements(np.broadcast_to(far.reshape(3, -1, *[1] * out.dim()), (*far.shape, *out.shape)),
                 np.full(tuple(out.shape), known))
        for out in call.outs
    ]  # fmt: skip
