"""The storages that a trace knows: their shadows, and the bytes of those that are alive."""

import weakref
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from phalanx.profiling.tracing.graph import GIVEN, Graph
from phalanx.profiling.tracing.shadow import StorageShadow, size_of, storage_key
from phalanx.profiling.tracing.traffic import Known, dtype_name


class _Watch(weakref.ref[Any]):
    __slots__ = ("key", "made", "nbytes")

    key: int
    made: bool
    nbytes: int


class Storages:
    """Shadows of storages, by storage, each until its storage is freed.

    Attributes:
        peak: the most bytes there ever were alive of those made under the trace.
        orphans: tensors of unknown origin, "operator(shape dtype)": count.
    """

    def __init__(self, graph: Graph) -> None:
        self._live = self.peak = 0
        self.orphans: Counter[str] = Counter()
        self._graph = graph
        self._shadows: dict[int, StorageShadow] = {}
        self._watches: dict[int, _Watch] = {}
        # Freed, and not yet noted. The callback of a weak reference must run no Python: Ctrl-C
        # that arrives in one is printed as ignored, and lost.
        self._freed: deque[_Watch] = deque()

    @property
    def live(self) -> int:
        """Bytes of the storages that were made under the trace and are alive."""
        self._sweep()
        return self._live

    def find(self, tensor: Tensor) -> StorageShadow | None:
        """The shadow of the tensor's storage, or None where it was never met."""
        self._sweep()
        return self._shadows.get(storage_key(tensor) or -id(tensor))

    def known(self, tensors: Iterable[Tensor], reader: str) -> list[tuple[Tensor, StorageShadow]]:
        """Each tensor with its shadow; one that nobody knows depends on everything before it."""
        return [(tensor, self.find(tensor) or self._orphan(tensor, reader)) for tensor in tensors]

    def add(self, tensor: Tensor, node: int, made: bool = True) -> StorageShadow:
        """A storage met for the first time, all of it written by ``node``.

        ``made``: by what is traced, so that its bytes count.
        """
        self._sweep()
        key = storage_key(tensor)
        holder: Any = tensor.untyped_storage() if key else tensor
        nbytes: int = holder.nbytes() if key else size_of(tensor)
        opaque = not key or tensor.is_nested
        key = key or -id(tensor)  # a sparse or opaque tensor has no storage
        watch = self._watches[key] = _Watch(holder, self._freed.append)
        watch.key, watch.made, watch.nbytes = key, made, nbytes if made else 0
        if made:
            self._live += nbytes
            self.peak = max(self.peak, self._live)
        shadow = self._shadows[key] = StorageShadow(
            nbytes, node, self._graph.schedule[node], opaque
        )
        return shadow

    def resized(self, tensor: Tensor) -> None:
        """The storage may have another size now."""
        self._sweep()
        watch = self._watches.get(storage_key(tensor))
        if watch is not None and watch.made:
            nbytes = tensor.untyped_storage().nbytes()
            self._live += nbytes - watch.nbytes
            self.peak = max(self.peak, self._live)
            watch.nbytes = nbytes

    def _orphan(self, tensor: Tensor, reader: str) -> StorageShadow:
        if isinstance(tensor, nn.Parameter) or not tensor.numel():  # nothing in it to depend on
            return self.add(tensor, GIVEN, made=False)
        shape = ", ".join(str(size) for size in tensor.shape)
        self.orphans[f"{reader}({shape}) {dtype_name(tensor.dtype)}"] += 1
        return self.add(tensor, self._graph.join("unknown origin"), made=False)

    def _sweep(self) -> None:
        while self._freed:
            watch = self._freed.popleft()
            if self._watches.get(watch.key) is watch:
                del self._watches[watch.key], self._shadows[watch.key]
                self._live -= watch.nbytes


def nodes_of(known: Known) -> list[int]:
    """The nodes that wrote what the tensors show."""
    return [node for tensor, shadow in known for node in shadow.read(tensor)]
