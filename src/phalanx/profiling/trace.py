"""Follow the data: which kernel needs which other one's result, and how long the chain is.

A dispatch mode sees every kernel, the backward pass too, on meta tensors (no memory, no
arithmetic) or on real ones. Each kernel becomes a node whose predecessors are the nodes that
last wrote what it reads (read after write; that memory is reused orders nothing). The span is
the longest chain: the time with as many workers as one likes and a unit of time a kernel. Views
run no kernel, constants and given tensors stand at depth 0, and ``.item()`` makes everything
later wait.

Source: work and span as in Blelloch 1996 and Cilkview (He, Leiserson, Leiserson 2010).
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from phalanx.profiling.algorithm import as_algorithm
from phalanx.profiling.families import GATHERS
from phalanx.profiling.folding import fold
from phalanx.profiling.graph import GIVEN, Graph
from phalanx.profiling.operators import Operator, describe, tensors_of
from phalanx.profiling.origins import tensors_in, tensors_known_to
from phalanx.profiling.shadow import StorageShadow, storage_key


class TraceWarning(UserWarning):
    """A trace met something that it cannot follow, and made a cautious assumption."""


@dataclass(frozen=True)
class Trace:
    """What one run of a computation consisted of. FLOPs: one multiply-add is 2.

    Args:
        span: kernels on the longest chain of read-after-write dependence.
        scalar_span: dependent scalar operations on the longest such chain (see costs.py).
        call_span: calls (``Tracer.call``) on the longest chain through them; 0 without calls.
        kernels: kernels launched.
        work: FLOPs, of which ``matmul_work`` inside matrix products.
        bytes_moved: bytes read and written by all kernels, without caches.
        path: the kernels of one longest chain, folded where they repeat ("x512: addmm -> tanh").
        syncs: reads of a value by the host (``.item()``, ``.tolist()``, ``.numpy()``).
        fused: fused recurrent kernels, each counted in the span by the chain inside it.
        orphans: tensors of unknown origin, "operator(shape dtype)": count.
        unknown: operators without a cost formula, counted as one kernel of depth 1: count.
        coverage: share of kernels with a known cost.
    """

    span: int
    scalar_span: int
    call_span: int
    kernels: int
    work: int
    matmul_work: int
    bytes_moved: int
    path: tuple[str, ...]
    syncs: int
    fused: dict[str, int] = field(default_factory=dict)
    orphans: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Share of kernels whose cost formula is known, 0 to 1."""
        return 1 - sum(self.unknown.values()) / self.kernels if self.kernels else 1.0

    @property
    def matmul_share(self) -> float:
        """Share of the work inside matrix products, 0 to 1."""
        return self.matmul_work / self.work if self.work else 0.0

    @property
    def parallelism(self) -> float:
        """Kernels per dependent kernel: how many could run side by side on average."""
        return self.kernels / self.span if self.span else 0.0


class Tracer(TorchDispatchMode):
    """Trace whatever runs inside ``with Tracer(model, inputs) as tracer:``.

    Args:
        known: modules, tensors and containers of them that exist before; they are given, at
            depth 0. A tensor found later that neither these nor the traced code made is an
            orphan: it warns and counts as depending on everything before it.
        algorithm: decompose the fused kernels that hide a chain (recurrent layers, attention);
            otherwise trace as executed.
    """

    def __init__(self, *known: object, algorithm: bool = True) -> None:
        super().__init__()
        self._graph = Graph()
        self._algorithm = algorithm
        self._shadows: dict[int, StorageShadow] = {}
        self._control = GIVEN
        self._call, self._calls = -1, 0
        self._kernels = self._syncs = self._work = self._matmul = self._bytes = 0
        self._fused: Counter[str] = Counter()
        self._orphans: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._sources: list[str] = []
        self._stack = ExitStack()
        for tensor in tensors_known_to(known):
            self._give(tensor)

    # -- what a caller asks -------------------------------------------------------------------

    @contextmanager
    def call(self) -> Iterator[int]:
        """Everything inside is one call of a model; yields its number, from 0."""
        if self._call != -1:
            raise ValueError("calls cannot be nested: leave the first before entering another.")
        self._call, self._calls = self._calls, self._calls + 1
        try:
            yield self._call
        finally:
            self._call = -1

    def source(self, tensor: Tensor, name: str) -> None:
        """Name what ``tensor`` holds now, to ask later which results depend on it."""
        if name not in self._sources:
            self._sources.append(name)
        mark = 1 << self._sources.index(name)
        node = self._graph.mark(self._read(tensor, "source"), mark)
        self._shadows[storage_key(tensor)].write(tensor, node)

    def sources_of(self, value: object) -> frozenset[str]:
        """Names of the sources that the tensors in ``value`` depend on, through data or host."""
        marks = 0
        for tensor in tensors_in(value):
            for node in self._read(tensor, "sources_of"):
                marks |= self._graph.marks[node]
        return frozenset(name for bit, name in enumerate(self._sources) if marks >> bit & 1)

    def depth_of(self, value: object) -> int:
        """Kernels on the longest chain that ends in a tensor of ``value``."""
        nodes = [n for tensor in tensors_in(value) for n in self._read(tensor, "depth_of")]
        return max((self._graph.depth[node] for node in nodes), default=0)

    def path_to(self, value: object) -> tuple[str, ...]:
        """The longest chain that ends in a tensor of ``value``, folded where it repeats."""
        nodes = [n for tensor in tensors_in(value) for n in self._read(tensor, "path_to")]
        return fold(self._graph.path(self._graph.deepest(nodes)))

    def result(self) -> Trace:
        """What has been traced so far."""
        graph = self._graph
        return Trace(
            span=max(graph.depth),
            scalar_span=max(graph.scalar),
            call_span=max(graph.calls),
            kernels=self._kernels,
            work=self._work,
            matmul_work=self._matmul,
            bytes_moved=self._bytes,
            path=fold(graph.path(graph.deepest(range(len(graph.depth))))),
            syncs=self._syncs,
            fused=dict(self._fused),
            orphans=dict(self._orphans),
            unknown=dict(self._unknown),
        )

    # -- the mode -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._algorithm:
                stack.enter_context(as_algorithm())
            stack.enter_context(_HostReads(self))
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
        if kind is None and self._orphans:
            names = ", ".join(sorted(self._orphans))
            warnings.warn(
                f"{sum(self._orphans.values())} tensors of unknown origin ({names}) count as "
                "depending on everything before them; pass what exists beforehand to the tracer.",
                TraceWarning,
                stacklevel=2,
            )
        if kind is None and self._unknown:
            warnings.warn(
                f"operators without a cost formula: {', '.join(sorted(self._unknown))}; each "
                "counts as one kernel of depth 1 and no FLOPs.",
                TraceWarning,
                stacklevel=2,
            )

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        operator = describe(func)
        if operator.composite:  # inference mode hands these over whole
            with self._again():
                return func.decompose(*args, **kwargs)
        with torch._C.DisableTorchFunction():  # meta kernels are Python; what they read is no data
            result = func(*args, **kwargs)
        if operator.lifts:  # torch.tensor([1, 2]); a value read from a tensor was a host read
            self._give(result)
        else:
            self._record(operator, args, kwargs, result)
        return result

    @contextmanager
    def _again(self) -> Iterator[None]:
        super().__enter__()
        try:
            yield
        finally:
            super().__exit__(None, None, None)

    def _record(
        self, operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        inputs = operator.inputs(args, kwargs)
        targets = operator.targets(args, kwargs)
        outs = tensors_of(result)
        # Every input is looked up, so that a view of a given tensor is known as one.
        reads = [node for tensor in inputs for node in self._read(tensor, operator.name)]
        fresh = [out for out in outs if storage_key(out) not in self._shadows]
        host = operator.host_waits(args, kwargs)
        if not (fresh or targets or host):
            return  # a view
        if operator.allocates:
            for tensor in fresh:
                self._give(tensor)
            return
        if self._control != GIVEN:
            reads.append(self._control)
        written = fresh or targets
        cost = operator.cost(args, written)
        if cost is None:
            self._unknown[operator.name] += 1
            chain, scalar = 1, 1
        else:
            chain, scalar = cost.chain, cost.depth
            self._matmul += cost.matmul
            self._work += cost.matmul + cost.other
            if chain > 1:
                self._fused[operator.name] += 1
        if not inputs:  # a constant is there before it is asked for
            chain = scalar = 0
        self._kernels += 1
        self._bytes += _bytes(operator.name, inputs, written)
        node = self._graph.add(operator.name, reads, chain, scalar, self._call)
        for tensor in targets:
            self._shadow(tensor, operator.name).write(tensor, node)
        for tensor in fresh:
            self._shadows[storage_key(tensor)] = StorageShadow(tensor, node)
        if host:
            self._syncs += 1
            self._control = node

    def host_read(self, tensor: Tensor, name: str) -> None:
        """The host reads ``tensor``: everything later depends on it."""
        reads = [*self._read(tensor, name), self._control]
        self._kernels += 1
        self._syncs += 1
        self._control = self._graph.add(name, reads, 1, 0, self._call)

    def _give(self, tensor: Tensor) -> None:
        self._shadows[storage_key(tensor)] = StorageShadow(tensor, self._control)

    def _read(self, tensor: Tensor, reader: str) -> list[int]:
        return list(self._shadow(tensor, reader).read(tensor))

    def _shadow(self, tensor: Tensor, reader: str) -> StorageShadow:
        key = storage_key(tensor)
        shadow = self._shadows.get(key)
        if shadow is None:
            node = GIVEN
            if not isinstance(tensor, torch.nn.Parameter):
                shape = ", ".join(str(size) for size in tensor.shape)
                self._orphans[f"{reader}({shape}) {str(tensor.dtype).removeprefix('torch.')}"] += 1
                node = self._graph.join("unknown origin")
            shadow = self._shadows[key] = StorageShadow(tensor, node)
        return shadow


def trace(fn: Callable[..., object], *args: Any, **kwargs: Any) -> Trace:
    """Trace ``fn(*args, **kwargs)``; what ``fn``, its closure and arguments hold is given.

    For a training step let ``fn`` run forward, loss and ``backward()``: the span covers all.
    """
    with Tracer(fn, args, kwargs) as tracer:
        fn(*args, **kwargs)
    return tracer.result()


class _HostReads(TorchFunctionMode):
    """Catches the ways in which data leaves torch unseen by dispatch."""

    _NAMES = frozenset({"tolist", "numpy", "__array__", "__dlpack__", "data_ptr"})

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") in self._NAMES and args and isinstance(args[0], Tensor):
            self._tracer.host_read(args[0], func.__name__)
        return func(*args, **(kwargs or {}))


def _bytes(name: str, inputs: list[Tensor], written: list[Tensor]) -> int:
    moved = sum(out.numel() * out.element_size() for out in written)
    if name in GATHERS:
        table, *indices = inputs
        picked = written[0].numel() * table.element_size()
        return moved + picked + sum(i.numel() * i.element_size() for i in indices)
    for tensor in inputs:  # an expanded tensor is no larger than its storage
        size = tensor.numel() * tensor.element_size()
        moved += min(size, tensor.untyped_storage().nbytes())
    return moved
