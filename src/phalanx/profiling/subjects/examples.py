"""Example inputs of a user's module, made longer, shorter, wider, or put on another device."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from phalanx.errors import UsageError
from phalanx.profiling.subjects.subject import Inputs


@dataclass(frozen=True)
class Example:
    """Inputs as a user gave them, and what their axes mean.

    Args:
        given: the arguments.
        seq_dim: the axis of positions, 0 or 1; the batch is the other one of the two.
        main: name of the tensor that the length is read from: a keyword or an argument's number.
        length: its size along ``seq_dim``.
        batch: its size along the other; 1 where it has no such axis.
        batched: whether it has one.
    """

    given: Inputs
    seq_dim: int
    main: str | int
    length: int
    batch: int
    batched: bool

    @classmethod
    def of(cls, example_inputs: object, seq_dim: int) -> "Example":
        """Read example inputs: a tensor, a tuple of arguments or a dict of keyword arguments.

        Raises:
            UsageError: they are something else, or no tensor among them has an axis ``seq_dim``.
        """
        given = _arguments(example_inputs)
        for name, tensor in _tensors(given):
            if tensor.dim() > seq_dim:
                ids = not tensor.is_floating_point()
                batched = tensor.dim() >= (2 if ids or seq_dim else 3)
                batch = tensor.shape[1 - seq_dim] if batched else 1
                return cls(given, seq_dim, name, tensor.shape[seq_dim], batch, batched)
        shapes = ", ".join(str(tuple(tensor.shape)) for _, tensor in _tensors(given))
        raise UsageError(
            f"example_inputs: no tensor has an axis {seq_dim} for positions (shapes {shapes}). "
            "Expected (B, T, ...), or say which axis it is: seq_dim=0 for (T, B, ...)."
        )

    @property
    def tensor(self) -> Tensor:
        """The tensor that the length is read from."""
        return self.main_of(self.given)

    @property
    def is_ids(self) -> bool:
        """Whether the main input is made of whole numbers."""
        return not (self.tensor.is_floating_point() or self.tensor.dtype == torch.bool)

    def ids_like(self, given: Inputs, shape: torch.Size) -> Tensor | None:
        """The last of the inputs that are ids of just this (B, T), or None."""
        found = [
            tensor
            for _, tensor in _tensors(given)
            if tensor.dtype == torch.int64 and tensor.shape == shape
        ]
        return found[-1] if found else None

    def resized(self, batch: int, length: int, device: str) -> Inputs:
        """The inputs at another batch size and length: the same values, repeated or cut.

        Every tensor whose axis ``seq_dim`` has the example's length follows; masks follow along
        each of their axes that has it.
        """

        made: dict[int, Tensor] = {}  # one tensor given twice (queries and keys) stays one

        def fit(name: str | int, value: Any) -> Any:
            if not _is(value):
                return value
            if id(value) not in made:
                given = value.detach()
                fitted = self._fit(name, given, batch, length).to(device)
                # A pass may write its input.
                made[id(value)] = fitted.clone() if fitted is given else fitted
            return made[id(value)]

        args = tuple(fit(i, value) for i, value in enumerate(self.given.args))
        return Inputs(args, {name: fit(name, v) for name, v in self.given.kwargs.items()})

    def _fit(self, name: str | int, tensor: Tensor, batch: int, length: int) -> Tensor:
        mask = tensor.dtype == torch.bool or "mask" in str(name)
        square = mask and tensor.shape[-2:] == (self.length, self.length)
        for axis, size in enumerate(tensor.shape):
            of_positions = axis == self.seq_dim or (square and axis >= tensor.dim() - 2)
            if of_positions and size == self.length:
                tensor = _repeated(tensor, axis, length)
            elif self.batched and axis == 1 - self.seq_dim and size == self.batch and not square:
                tensor = _repeated(tensor, axis, batch)
        return tensor

    def main_of(self, given: Inputs) -> Tensor:
        """The main input among ``given``."""
        x: Tensor = dict(_tensors(given))[self.main]
        return x

    def replaced(self, given: Inputs, x: Tensor) -> Inputs:
        """``given`` with ``x`` in place of the main input, wherever the example gives it (queries,
        keys and values may be one tensor)."""

        main, theirs = self.tensor, self.given
        pairs = zip(given.args, theirs.args, strict=True)
        args = tuple(x if example is main else value for value, example in pairs)
        kwargs = {k: x if theirs.kwargs[k] is main else v for k, v in given.kwargs.items()}
        return Inputs(args, kwargs)


def sequence_axis(module: nn.Module) -> int:
    """The axis of positions in what a module takes: 1, or 0 where a layer of torch says so."""
    attention = getattr(module, "self_attn", None)
    if isinstance(module, nn.TransformerEncoder | nn.TransformerDecoder):
        attention = module.layers[0].self_attn
    for layer in (module, attention):
        if isinstance(layer, nn.RNNBase | nn.MultiheadAttention | nn.Transformer):
            return 1 if layer.batch_first else 0
    return 1


def _arguments(example_inputs: object) -> Inputs:
    if isinstance(example_inputs, Tensor):
        given = Inputs((example_inputs,))
    elif isinstance(example_inputs, Mapping):
        given = Inputs((), {str(name): value for name, value in example_inputs.items()})
    elif isinstance(example_inputs, (tuple, list)):
        given = Inputs(tuple(example_inputs))
    else:
        raise UsageError(
            f"example_inputs: given {type(example_inputs).__name__}. Expected a tensor, a tuple of "
            "arguments, or a dict of keyword arguments; such as torch.randint(100, (1, 64))."
        )
    for name, value in _named(given):
        if hasattr(value, "__array__") and not isinstance(value, Tensor):
            raise UsageError(
                f"example_inputs: {name} is a {type(value).__name__}. Expected a tensor: "
                "torch.from_numpy makes one."
            )
    if not any(True for _ in _tensors(given)):
        kinds = ", ".join(type(value).__name__ for _, value in _named(given)) or "nothing"
        raise UsageError(
            f"example_inputs: no tensor among them (given {kinds}). Expected what the module is "
            "called with, such as torch.randint(100, (1, 64)) or torch.randn(1, 64, 512)."
        )
    return given


def _named(given: Inputs) -> Iterator[tuple[str | int, Any]]:
    yield from enumerate(given.args)
    yield from given.kwargs.items()


def _tensors(given: Inputs) -> Iterator[tuple[str | int, Tensor]]:
    return ((name, value) for name, value in _named(given) if _is(value))


def _is(value: object) -> bool:
    return isinstance(value, Tensor)


def _repeated(tensor: Tensor, axis: int, size: int) -> Tensor:
    if tensor.shape[axis] == size or tensor.shape[axis] == 0:
        return tensor
    index = torch.arange(size, device=tensor.device) % tensor.shape[axis]
    return tensor.index_select(axis, index)
