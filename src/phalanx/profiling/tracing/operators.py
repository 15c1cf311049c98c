"""What an operator reads and writes, from its schema; what it costs, from costs.py."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from phalanx.profiling.costs.cost import Cost
from phalanx.profiling.costs.families import ALLOCATES, CREATES, GATHERS, OVERWRITES
from phalanx.profiling.costs.formulas import formula, operator_name

_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_HOST_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
# Move a tensor's metadata, not its data, though their schema says that they write.
_VIEWS = frozenset({"set_", "swap_", "requires_grad_", "detach_", "lift", "lift_fresh"})


class Operator:
    """One overload of an operator, with what follows from its schema.

    ``constant``: computes nothing from tensors; ``allocates``: reserves memory and runs no
    kernel; ``composite``: to be decomposed first; ``view``: shows the same memory otherwise;
    ``asks``: returns a fact about a tensor, such as its device; ``lifts``: makes a tensor of a
    Python number or list; ``overwrites``: reads no target; ``in_place``: writes its first
    argument and returns it; ``shape_only``: what it returns has a shape that follows from shapes.
    """

    def __init__(self, func: torch._ops.OpOverload) -> None:
        self._func = func
        self.name = operator_name(func)
        self.asks = func.namespace == "prim"  # prim::device is no operator of the dispatcher
        # As the runtime takes them apart. OpOverload.decompose prefers decompositions in Python,
        # which were written for the compiler and run other kernels (a clone for a dropout that is
        # off, seven for a batch norm).
        self.composite = not self.asks and torch._C._dispatch_has_kernel_for_dispatch_key(
            func.name(), _COMPOSITE
        )
        self.constant = self.name in CREATES
        self.allocates = self.name in ALLOCATES
        self._host = bool(_HOST_TAGS & set(func.tags))
        self.lifts = self.name in {"lift", "lift_fresh"}
        self.pointwise = torch.Tag.pointwise in func.tags
        self._formula = formula(func)
        self._reads_nothing = self.constant or self.allocates
        self.view = func.is_view
        arguments = func._schema.arguments
        view = torch.Tag.inplace_view in func.tags or self.name in _VIEWS
        written = [
            a.alias_info is not None and a.alias_info.is_write and not view for a in arguments
        ]
        self._targets = [
            (i, a.name) for i, (a, w) in enumerate(zip(arguments, written, strict=True)) if w
        ]
        self.overwrites = self.name in OVERWRITES or any(
            a.is_out for a, w in zip(arguments, written, strict=True) if w
        )
        self._skipped = {i for i, _ in self._targets} if self.overwrites else set()
        self._skipped_names = {name for _, name in self._targets} if self.overwrites else set()

        returned = func._schema.returns
        self.in_place = (
            [i for i, _ in self._targets] == [0]
            and not view
            and len(returned) == 1
            and returned[0].alias_info is not None
        )
        fresh = not any(written) and all(r.alias_info is None for r in returned)
        self.shape_only = (
            (fresh or self.in_place)
            and bool(returned)
            and not (self._host or self._reads_nothing or self.view or self.asks or self.lifts)
        )

    def decomposes(self, args: Sequence[Any]) -> bool:
        """Whether the operator is to be taken apart; nested tensors have kernels of their own."""
        return self.composite and not _nested(args)

    def take_apart(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run the operators that a composite one consists of."""
        return self._func._op_dk(_COMPOSITE, *args, **kwargs)

    def host_waits(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Whether the host waits for the result: it is a number, or its shape depends on data."""
        if not self._host:
            return False
        if self.name in GATHERS:  # picking by a mask has a shape of its own, by numbers has not
            return any(i.dtype in (torch.bool, torch.uint8) for i in self.inputs(args[1:], kwargs))
        return kwargs.get("output_size") is None  # repeat_interleave may be told the size

    def inputs(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
        """The tensors whose data the kernel reads."""
        if self._reads_nothing:
            return []
        found: list[Tensor] = []
        for i, value in enumerate(args):
            if i not in self._skipped:
                _collect(value, found)
        for name, value in kwargs.items():
            if name not in self._skipped_names:
                _collect(value, found)
        return found

    def targets(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
        """The tensors that the kernel writes in place."""
        found: list[Tensor] = []
        for i, name in self._targets:
            _collect(args[i] if i < len(args) else kwargs.get(name), found)
        return found

    def cost(self, args: Sequence[Any], written: Sequence[Tensor]) -> Cost | None:
        """The kernel's cost, or None where no formula is known: of nested tensors there is none."""
        if self._formula is None or _nested(args):
            return None
        return self._formula(args, written) if written else Cost()


@cache
def describe(func: torch._ops.OpOverload) -> Operator:
    """The description of an operator overload, made once."""
    return Operator(func)


def tensors_of(result: object) -> Iterator[Tensor]:
    """The tensors that an operator returned: one, or a tuple or list of them."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, (tuple, list)):
        for item in result:
            if isinstance(item, Tensor):
                yield item


def _nested(args: Sequence[Any]) -> bool:
    return any(isinstance(a, Tensor) and a.is_nested for a in args)


def _collect(value: object, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, Tensor):
                found.append(item)
