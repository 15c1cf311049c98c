"""A dispatch mode that follows real tensors kernel by kernel, element by element."""

from abc import abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.distances import Counting, nowhere
from phalanx.profiling.elements.elements import Distances, Elements, ElementShadow
from phalanx.profiling.elements.path_rules import Call
from phalanx.profiling.elements.rules.pointwise import RANDOM
from phalanx.profiling.tracing.algorithm import as_algorithm, without_compiling
from phalanx.profiling.tracing.dispatch import KernelMode
from phalanx.profiling.tracing.host import HostReads
from phalanx.profiling.tracing.operators import Operator, tensors_of
from phalanx.profiling.tracing.shadow import storage_key

_SWEEP = 256  # shadows made between two searches for storages that are gone


class ElementMode(KernelMode):
    """Keeps the elements of every storage that a kernel reads or writes."""

    def __init__(self, counting: Counting) -> None:
        super().__init__()
        self.counting = counting
        self._shadows: dict[int, ElementShadow] = {}
        self._new = 0
        self._stack = ExitStack()

    # -- what the two uses differ in -----------------------------------------------------------

    @abstractmethod
    def given(self, tensor: Tensor) -> tuple[Distances, bool]:
        """Distances (C, S) to a tensor that existed beforehand, and whether it is a constant."""

    @abstractmethod
    def results(self, call: Call) -> list[Elements]:
        """The elements of the results of a kernel."""

    @abstractmethod
    def host_read(self, read: list[Elements], name: str) -> None:
        """The host waits for what a kernel read."""

    # -- the mode ------------------------------------------------------------------------------

    def elements(self, tensor: Tensor) -> Elements:
        """What is known of a tensor's elements."""
        return self.shadow(tensor).read(tensor)

    def shadow(self, tensor: Tensor) -> ElementShadow:
        """The shadow of a tensor's storage; made at first sight."""
        key = storage_key(tensor)
        shadow = self._shadows.get(key)
        if shadow is None:
            if not key or tensor.device.type != "cpu":
                raise PhalanxError(
                    "elements are followed through dense tensors on the CPU, got one of layout "
                    f"{tensor.layout} on {tensor.device}. Move the model and its input there."
                )
            shadow = self._shadows[key] = ElementShadow(tensor, *self.given(tensor))
        return shadow

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(without_compiling())
            stack.enter_context(as_algorithm())
            stack.enter_context(HostReads(self._read_by_host, self._made_on_meta))
            super().__enter__()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._stack.close()

    def kernel(
        self, operator: Operator, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a kernel or make a view, and follow it."""
        with torch._C.DisableTorchFunction():  # what the rules read is no read of the model's
            return self._follow(operator, func, args, kwargs)

    def _read_by_host(self, tensor: Tensor, name: str) -> None:
        with torch._C.DisableTorchFunction():
            self.host_read([self.elements(tensor)], name)

    def _made_on_meta(self, tensor: Tensor) -> None:
        self.shadow(tensor)  # refuses it

    def _follow(
        self, operator: Operator, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        inputs = operator.inputs(args, kwargs)
        targets = operator.targets(args, kwargs)
        before = {id(tensor): self.elements(tensor) for tensor in inputs}
        if targets:  # what a constant was, before it is overwritten
            before = {key: _kept(item) for key, item in before.items()}
        result = func(*args, **kwargs)
        if operator.host_waits(args, kwargs):
            self.host_read(list(before.values()), operator.name)
        outs = [out for out in tensors_of(result) if storage_key(out) not in self._shadows]
        outs = outs or targets
        if not outs:
            return result  # a view
        call = Call(func, args, kwargs, before, outs, self.counting)
        if operator.lifts or not inputs:
            fixed = call.name not in RANDOM and not call.name.startswith(("rand", "uniform"))
            found = [call.constant(out, fixed) for out in outs]
        else:
            found = self.results(call)
        for out, item in zip(outs, found, strict=True):
            self.shadow(out).write(out, item)
        self._sweep(len(outs))
        return result

    def _sweep(self, made: int) -> None:
        self._new += made
        if self._new > _SWEEP:
            self._new = 0
            self._shadows = {k: shadow for k, shadow in self._shadows.items() if not shadow.dead}

    def nothing(self) -> Distances:
        """The distances (C, S) of what depends on nothing."""
        return nowhere(self.counting.lead, 0)


def _kept(item: Elements) -> Elements:
    if item.value is None:
        return item
    return Elements(item.shape, item.distance, item.fixed, item.value.clone())
