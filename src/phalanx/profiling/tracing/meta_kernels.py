"""Shapes without the kernels that find them: most of torch's meta kernels are slow Python.

A kernel on the meta device computes shapes, strides and types from those of its inputs, and
nothing else; one on fake tensors, which are meta tensors that say that they are elsewhere, too. A
loop over positions asks for the same ones thousands of times, so the answers are kept, for as long
as one trace lasts.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

from phalanx.profiling.costs.cost import Cost
from phalanx.profiling.tracing.operators import Operator
from phalanx.profiling.tracing.shadow import covers_storage, storage_key

_MOST = 100_000  # answers kept
_TENSORS = (Tensor, nn.Parameter, FakeTensor)
_CPU = torch.device("cpu")


class Answer:
    """What an operator returns for inputs of some shapes, and what it costs.

    ``makes`` is None where results cannot be made from their shapes alone, and () where the
    operator writes in place; ``cost`` is empty until the tracer fills it in.
    """

    __slots__ = ("cost", "form", "makes")

    def __init__(self, makes: tuple[Any, ...] | None, form: type | None) -> None:
        self.makes = makes
        self.form = form
        self.cost: list[Cost | None] = []


class MetaKernels:
    """Runs operators, on the meta device from memory where it can."""

    def __init__(self) -> None:
        self._answers: dict[Any, Answer] = {}

    def run(
        self, func: Any, operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, Answer | None]:
        """The operator's result; and the answer, where one is kept."""
        if operator.view and not operator.lifts and _is_fake(args[0]):
            return _view(func, args, kwargs), None
        key = _key(func, args, kwargs) if operator.shape_only else None
        if key is None:
            return func(*args, **kwargs), None
        answer = self._answers.get(key)
        if answer is None:
            result = func(*args, **kwargs)
            if len(self._answers) >= _MOST:
                self._answers.clear()
            answer = self._answers[key] = _learn(operator, args, kwargs, result)
            if answer.makes is None:
                return result, answer
        elif answer.makes is None:
            return func(*args, **kwargs), answer
        if operator.in_place:
            return args[0], answer
        # The first time too: some meta kernels give one tensor twice where the real one gives two.
        made = [out and _made(*out) for out in answer.makes]
        return made[0] if answer.form is None else answer.form(made), answer


def _is_fake(value: Any) -> bool:
    # One whose number is known is left to torch, which computes with the number.
    fake = type(value) is FakeTensor and value.constant is None
    return fake and value.fake_device == _CPU and value.fake_mode.shape_env is None


def _view(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # Torch's own way for fake tensors, without the search in its cache, which takes longer.
    mode = args[0].fake_mode
    with in_kernel_invocation_manager(mode):
        result = func(*args, **kwargs)
    if type(result) in (tuple, list):
        return type(result)(FakeTensor(mode, out, _CPU) for out in result)
    return FakeTensor(mode, result, _CPU)


def _made(shape: Any, stride: Any, dtype: torch.dtype, mode: FakeTensorMode | None) -> Tensor:
    if mode is None:
        return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
    with in_kernel_invocation_manager(mode):
        inner = torch.empty_strided(shape, stride, dtype=dtype, device="meta")
    return FakeTensor(mode, inner, _CPU)


def _learn(
    operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> Answer:
    if operator.in_place:
        return Answer(() if result is args[0] else None, None)
    outs = list(result) if type(result) in (tuple, list) else [result]
    known = {storage_key(tensor) for tensor in operator.inputs(args, kwargs)}
    makes: list[tuple[Any, ...] | None] = []
    for out in outs:
        if out is None:
            makes.append(None)
            continue
        fake = _is_fake(out)
        plain = fake or (type(out) is Tensor and out.is_meta)
        if (
            not plain
            or out.layout is not torch.strided
            or out.storage_offset() != 0
            or storage_key(out) in known
        ):
            return Answer(None, None)
        if not covers_storage(out, out.untyped_storage().nbytes()):
            return Answer(None, None)
        makes.append((out.shape, out.stride(), out.dtype, out.fake_mode if fake else None))
    return Answer(tuple(makes), type(result) if type(result) in (tuple, list) else None)


def _key(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # None where results may hang on more than shapes, strides, types and plain arguments.
    parts: list[Any] = [func]
    dims: set[bool] = set()
    for value in (*args, *kwargs.items()) if kwargs else args:
        if not _describe(value, parts, dims):
            return None
    # A tensor of one number beside larger ones may stand for a Python number, of weaker type.
    return tuple(parts) if len(dims) == 1 else None


def _describe(value: Any, parts: list[Any], dims: set[bool]) -> bool:
    kind = type(value)
    if kind in _TENSORS:
        if not (value.is_meta or _is_fake(value)) or value.layout is not torch.strided:
            return False
        if value.is_neg() or value.is_conj():
            return False
        shape = value.shape
        dims.add(not shape)
        parts.append((shape, value.stride(), value.dtype))
        return True
    if kind is list or kind is tuple:
        parts.append(len(value))
        return all(_describe(item, parts, dims) for item in value)
    if isinstance(value, (Tensor, dict)):
        return False
    parts.append(kind)  # 1, 1.0 and True are equal and mean different types
    parts.append(value)
    return value.__hash__ is not None
