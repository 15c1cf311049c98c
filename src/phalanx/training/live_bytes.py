"""Counting the bytes of the tensors that are alive, operation by operation.

Under torch's FakeTensorMode nothing is allocated and nothing computed, while every operation still
says what it would return: a training step of 124 million parameters is counted in a second.
"""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# The C library's allocator (glibc) maps larger blocks one by one and gives them back when they are
# freed; smaller ones share a heap, and what lies free between blocks in use stays with the process.
# FRAGMENTED is about what the heap holds for each byte in use, after three steps: 1.2 to 2.0 were
# measured, the most for the plain RNN and for bfloat16, whose blocks have the most sizes.
LARGEST_IN_HEAP = 32 * 2**20
FRAGMENTED = 1.5

_LSTM, _LSTM_BACKWARD = "aten::mkldnn_rnn_layer", "aten::mkldnn_rnn_layer_backward"


class _Needs(NamedTuple):
    """Memory of the CPU's LSTM kernel (oneDNN), whose description leaves it out.

    In float32 copies of the outputs (B, T, D) and of the two weights (4 D, D), measured as resident
    memory with torch 2.13 at several B, T and D.
    """

    kept: float  # outputs, from the forward pass to the backward pass
    forward: tuple[float, float]  # at most in the kernel, results included: outputs, weights
    backward: tuple[float, float]
    inference: tuple[float, float]


_LSTM_NEEDS = {
    torch.float32: _Needs(5.0, (10.0, 1.0), (10.25, 3.0), (2.0, 1.0)),
    torch.bfloat16: _Needs(2.5, (3.0, 0.5), (6.7, 2.4), (1.0, 0.5)),
}


class LiveBytes(TorchDispatchMode):
    """Counts, while it is entered, the storages that operations return, until each is freed.

    For fake and meta tensors alone: operations that write where they were told to (in place, or
    ``out=``) make nothing, and are not called.

    Attributes:
        live: bytes of the storages that are alive.
        peak: the most there ever were.
        held: the most that a process would have held for them, what its heap wastes included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak, self.held = 0, 0, 0
        self._in_heap, self._settled = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if "out" in kwargs:
            return kwargs["out"]
        name = func._schema.name
        if name.endswith("_") and not name.endswith("__"):
            return args[0] if func._schema.returns else None
        found = func(*args, **kwargs)
        if name in (_LSTM, _LSTM_BACKWARD):
            found = self._lstm(name, args, found)
        for tensor in found if isinstance(found, (list, tuple)) else (found,):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return found

    def settle(self) -> None:
        """What is alive now stays where it is: no gap will open beside it."""
        self._settled = self._in_heap

    def scratch(self, size: int) -> None:
        """Memory that a kernel takes and gives back."""
        self._take(size)
        self._give(size)

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._take(size)
        weakref.finalize(storage, self._forget, key, size).atexit = False

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._give(size)

    def _take(self, size: int) -> None:
        self.live += size
        self._in_heap += size if size <= LARGEST_IN_HEAP else 0
        self.peak = max(self.peak, self.live)
        gaps = (FRAGMENTED - 1.0) * (self._in_heap - self._settled)
        self.held = max(self.held, self.live + round(gaps))

    def _give(self, size: int) -> None:
        self.live -= size
        self._in_heap -= size if size <= LARGEST_IN_HEAP else 0

    def _lstm(self, name: str, args: Sequence[Any], found: Any) -> Any:
        x_TBD, weight = args[0], args[1]
        positions, width = x_TBD.shape[0] * x_TBD.shape[1], weight.shape[0] // 4
        units, weights = 4 * positions * width, 4 * 2 * weight.numel()
        backward = name == _LSTM_BACKWARD
        training = backward or args[15]
        needs = _LSTM_NEEDS[x_TBD.dtype]
        of_units, of_weights = (
            needs.backward if backward else (needs.forward if training else needs.inference)
        )
        self.scratch(int(of_units * units + of_weights * weights))
        if backward or not training:
            return found
        return (*found[:3], x_TBD.new_empty(int(needs.kept * units), dtype=torch.uint8))
