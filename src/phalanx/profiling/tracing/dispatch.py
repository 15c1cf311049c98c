"""The base of the modes that look at kernels one by one."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from phalanx.errors import PhalanxError
from phalanx.profiling.tracing.operators import Operator, describe


class KernelMode(TorchDispatchMode):
    """Sees every operator that runs a kernel or makes a view; composite ones are taken apart."""

    @abstractmethod
    def kernel(
        self, operator: Operator, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run ``func`` and note what is of interest; returns its result."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            raise PhalanxError(
                f"cannot look into {func}: it runs functions of its own, such as a loop or a "
                "branch that was traced. Measure the model without it."
            )
        operator = describe(func)
        if operator.decomposes(args):  # inference mode hands these over whole
            with self._again():
                return operator.take_apart(args, kwargs)
        return self.kernel(operator, func, args, kwargs)

    @contextmanager
    def _again(self) -> Iterator[None]:
        super().__enter__()
        try:
            yield
        finally:
            super().__exit__(None, None, None)
