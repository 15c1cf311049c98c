"""Data that leaves torch for the host, or comes from it, unseen by the dispatcher."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

_READS = {
    getattr(Tensor, name): name
    for name in ("tolist", "numpy", "__array__", "__dlpack__", "data_ptr")
}
_MAKES = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}
_INDEXES = {Tensor.__getitem__, Tensor.__setitem__}


class HostReads(TorchFunctionMode):
    """Tells ``report(tensor, name)`` of each read, while entered.

    And ``made(tensor)`` of what ``torch.tensor`` and its like, or a list as an index, makes on
    meta: no kernel runs for that.
    """

    def __init__(
        self,
        report: Callable[[Tensor, str], None],
        made: Callable[[Tensor], None] = lambda tensor: None,
    ) -> None:
        super().__init__()
        self._report, self._made = report, made

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _READS:
            self._report(args[0], _READS[func])
        if func in _INDEXES and args[0].is_meta:
            args = (args[0], self._without_lists(args[1]), *args[2:])
        result = func(*args, **kwargs) if kwargs else func(*args)
        if func in _MAKES and result.is_meta:
            self._made(result)
        return result

    def _without_lists(self, index: Any) -> Any:
        # On meta a list becomes a tensor that the dispatcher never sees made.
        if isinstance(index, tuple):
            return tuple(map(self._without_lists, index))
        if isinstance(index, list) and index and all(type(place) is int for place in index):
            places = torch.tensor(index, device="meta")
            self._made(places)
            return places
        return index


_WITH_FAST_PATH = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)


@contextmanager
def fast_paths_kept() -> Iterator[None]:
    """Inside, encoder layers are not watched by a function mode: they go slow ways where one is.

    What the host reads inside one of them stays unseen.
    """
    unwatched: list[Any] = []

    def enter(module: nn.Module, args: Any) -> None:
        if isinstance(module, _WITH_FAST_PATH):
            unwatched.append(torch._C.DisableTorchFunction())
            unwatched[-1].__enter__()

    def leave(module: nn.Module, args: Any, result: Any) -> None:
        if isinstance(module, _WITH_FAST_PATH):
            unwatched.pop().__exit__(None, None, None)

    with ExitStack() as stack:
        stack.callback(register_module_forward_pre_hook(enter).remove)
        stack.callback(register_module_forward_hook(leave, always_call=True).remove)
        yield
