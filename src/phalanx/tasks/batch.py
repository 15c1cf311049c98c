"""What a trainer needs of a batch, whatever the task: its size, its parts, and where it lies."""

from collections.abc import Callable
from dataclasses import fields, replace
from operator import itemgetter
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from phalanx.shapes import PerRow


class Total(NamedTuple):
    """The summed loss of so many answers, both scalar tensors; totals of parts add up."""

    nats: Tensor
    answers: Tensor


class TrainingBatch(Protocol):
    """The inputs of a step, and the answers wanted of it."""

    @property
    def answers(self) -> int:
        """How many answers are wanted, each counting by its weight where they have one."""
        ...

    @property
    def tokens(self) -> int:
        """Real input tokens, padding left out."""
        ...

    @property
    def samples_B(self) -> PerRow | None:
        """int64, a number by which each row's sample is named; None: they have no names."""
        ...

    def split(self, rows: int) -> list[Self]:
        """The batch in parts of ``rows`` rows; the last one has what is left."""
        ...

    def to(self, device: torch.device) -> Self:
        """The batch on another device."""
        ...


class TensorBatch:
    """A frozen dataclass whose fields are tensors, rows first, or None."""

    def to(self, device: torch.device) -> Self:
        """The batch on another device."""
        return self._map(lambda tensor: tensor.to(device))

    def split(self, rows: int) -> list[Self]:
        """The batch in parts of ``rows`` rows; the last one has what is left."""
        starts = range(0, len(next(iter(self._tensors().values()))), rows)
        return [self._map(itemgetter(slice(start, start + rows))) for start in starts]

    def _tensors(self) -> dict[str, Tensor]:
        given = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: tensor for name, tensor in given.items() if tensor is not None}

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed = {name: change(tensor) for name, tensor in self._tensors().items()}
        return replace(self, **changed)  # type: ignore[type-var]
