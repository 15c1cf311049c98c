"""Find the tensors that exist before a trace begins: those that its caller can reach."""

import types
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

_DEPTH = 8
_LONG = 1000  # a list of so many plain values is data, and is not searched


def tensors_in(value: object) -> Iterator[Tensor]:
    """Tensors in nested tuples, lists, mappings and objects' attributes, each object once."""
    return _walk(value, set(), _DEPTH, follow=False)


def tensors_known_to(value: object) -> Iterator[Tensor]:
    """As ``tensors_in``; also what functions hold: closures, defaults, globals that they name."""
    return _walk(value, set(), _DEPTH, follow=True)


def _walk(value: object, seen: set[int], depth: int, follow: bool) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if is_traceable_wrapper_subclass(value):  # what it holds is what kernels see
            names, _ = value.__tensor_flatten__()
            yield from (part for n in names for part in _walk(getattr(value, n), seen, 1, follow))
            return
        yield value
        if value.is_leaf and value.grad is not None:
            yield value.grad
        return
    if depth == 0 or id(value) in seen or isinstance(value, _PLAIN):
        return
    seen.add(id(value))
    for part in _parts(value, follow):
        yield from _walk(part, seen, depth - 1, follow)


_PLAIN = (type(None), bool, int, float, complex, str, bytes, type, types.ModuleType, torch.dtype)


def _parts(value: object, follow: bool) -> Iterator[object]:
    if isinstance(value, torch.nn.Module):
        yield from value.parameters()
        yield from value.buffers()
        for module in value.modules():
            yield from vars(module).values()
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        if len(value) <= _LONG or not isinstance(next(iter(value)), _PLAIN):
            yield from value
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, types.BuiltinMethodType):  # x.sum
        yield value.__self__
    elif isinstance(value, types.FunctionType):
        if follow:
            yield from _held_by(value)
    else:
        if hasattr(value, "__dict__"):
            yield from vars(value).values()
        for kind in type(value).__mro__:
            slots = getattr(kind, "__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name):
                    yield getattr(value, name)


def _held_by(function: types.FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that is not assigned yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        yield from (function.__globals__[n] for n in code.co_names if n in function.__globals__)
