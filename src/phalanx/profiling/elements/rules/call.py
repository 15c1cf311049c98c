"""One run of an operator, as the rules see it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phalanx.errors import PhalanxError
from phalanx.profiling.costs.families import MOVES
from phalanx.profiling.elements.distances import Counting, Reading, nowhere
from phalanx.profiling.elements.elements import Distances, Elements, Flags, aligned
from phalanx.profiling.tracing.operators import describe


class UnfollowedOperatorError(PhalanxError):
    """An operator whose element-to-element dependence is not known."""

    def __init__(self, name: str, why: str = "there is no rule for it") -> None:
        super().__init__(
            f"cannot follow paths through {name}: {why}. Add a rule to profiling/rules, or "
            "measure the model's layers without this operator."
        )


@dataclass(frozen=True)
class Call:
    """One run of an operator, with what was known of its inputs before it ran.

    Args:
        func, args, kwargs: the call itself.
        before: id of each tensor that it reads -> its elements.
        outs: the results, or the targets of an operator in place.
        counting: how distances are combined.
    """

    func: torch._ops.OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    before: dict[int, Elements]
    outs: Sequence[Tensor]
    counting: Counting

    @property
    def name(self) -> str:
        """The operator's name, without the underscore of its in-place form."""
        name = describe(self.func).name
        return name.rstrip("_") or name

    @property
    def inputs(self) -> list[Elements]:
        """The elements of every tensor that it reads, in order."""
        return [self.before[id(t)] for t in tensors(self.args, self.kwargs) if id(t) in self.before]

    def elements(self, position: int) -> Elements:
        """The elements of the tensor at an argument's position."""
        return self.before[id(self.args[position])]

    def named(self, name: str) -> Elements | None:
        """The elements of the tensor given for an argument; None where none was given."""
        given = self.argument(name)
        return self.before.get(id(given)) if isinstance(given, Tensor) else None

    def argument(self, name: str) -> Any:
        """An argument by its name in the schema; its default, or None where it has neither."""
        for i, declared in enumerate(self.func._schema.arguments):
            if declared.name == name:
                if i < len(self.args):
                    return self.args[i]
                return self.kwargs.get(name, declared.default_value)
        return None

    @property
    def step(self) -> int:
        """Kernels that it adds to a chain: a pure move of data is none, as in scalar depth."""
        return int(self.name not in MOVES or bool(self.argument("accumulate")))

    def combine(self, readings: Sequence[Reading], rank: int) -> Distances:
        """Distances to a result of ``rank`` axes from what its elements read."""
        return self.counting.combine(readings, rank, self.step)

    def result(
        self, out: Tensor, readings: Sequence[Reading], fixed: Flags | bool = False
    ) -> Elements:
        """The elements of one result from what it reads."""
        rank = out.dim()
        flags = aligned(np.asarray(fixed), rank, 0)
        return Elements(tuple(out.shape), self.combine(readings, rank), flags)

    def constant(self, out: Tensor, fixed: bool = True) -> Elements:
        """The elements of a result that depends on no source."""
        rank = out.dim()
        return Elements(
            tuple(out.shape), nowhere(self.counting.lead, rank), np.full((1,) * rank, fixed)
        )

    def everything(self) -> list[Elements]:
        """Every result element reads every element of every input: an upper bound."""
        return [
            self.result(out, [whole(item, out.dim()) for item in self.inputs if item.reached])
            for out in self.outs
        ]


Rule = Callable[[Call], list[Elements]]


def tensors(*values: object) -> Iterator[Tensor]:
    """The tensors in arguments, in order."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(*value)
        elif isinstance(value, dict):
            yield from tensors(*value.values())


def own_place(item: Elements, rank: int) -> Reading:
    """A result element reads the element at its own place, by torch's broadcasting."""
    return Reading(aligned(item.distance, rank)[..., None])


def whole(item: Elements, rank: int) -> Reading:
    """A result element reads all of an operand."""
    lead = item.distance.shape[:2]
    return Reading(item.distance.reshape(*lead, *[1] * rank, -1))
