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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from phalanx.profiling.costs.cost import Cost
from phalanx.profiling.tracing.algorithm import as_algorithm, without_compiling
from phalanx.profiling.tracing.attribution import Attribution
from phalanx.profiling.tracing.folding import fold
from phalanx.profiling.tracing.graph import GIVEN, Facts, Graph, Kernel
from phalanx.profiling.tracing.host import HostReads, fast_paths_kept
from phalanx.profiling.tracing.live import Storages, nodes_of
from phalanx.profiling.tracing.meta_kernels import Answer, MetaKernels
from phalanx.profiling.tracing.operators import Operator, describe, tensors_of
from phalanx.profiling.tracing.origins import tensors_in, tensors_known_to
from phalanx.profiling.tracing.traced import Trace as Trace
from phalanx.profiling.tracing.traced import TraceWarning as TraceWarning
from phalanx.profiling.tracing.traffic import Known, bytes_moved, dtype_name


class Tracer(TorchDispatchMode):
    """Trace whatever runs inside ``with Tracer(model, inputs) as tracer:``.

    Args:
        known: modules, tensors and containers of them that exist before; they are given, at
            depth 0. A tensor found later that neither these nor the traced code made is an
            orphan: it warns and counts as depending on everything before it.
        algorithm: decompose the fused kernels that hide a chain (recurrent layers, attention);
            otherwise trace as executed.
        root: attribute kernels to the submodules of this module; it is known too.

    Attributes:
        graph: the kernels and what each waits for.
        attribution: which module each belongs to.
    """

    supports_higher_order_operators = True

    def __init__(
        self, *known: object, algorithm: bool = True, root: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.graph = Graph()
        self.attribution = Attribution(root)
        self._algorithm = algorithm
        self._storages = Storages(self.graph)
        self._kernels = MetaKernels()
        self._control = GIVEN
        self._call, self._calls = -1, 0
        self._sources: list[str] = []
        self._stack = ExitStack()
        for tensor in tensors_known_to((known, root)):
            self._give(tensor, made=False)

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
        ((_, shadow),) = self._storages.known([tensor], "source")
        shadow.name(tensor, self.graph.mark(shadow.read(tensor), mark))

    def sources_of(self, value: object) -> frozenset[str]:
        """Names of the sources that the tensors in ``value`` depend on, through data or host."""
        marks = 0
        for node in self._nodes(value, "sources_of"):
            marks |= self.graph.marks[node]
        return frozenset(name for bit, name in enumerate(self._sources) if marks >> bit & 1)

    def depth_of(self, value: object) -> int:
        """Kernels on the longest chain that ends in a tensor of ``value``."""
        return max((self.graph.depth[n] for n in self._nodes(value, "depth_of")), default=0)

    def path_to(self, value: object) -> tuple[str, ...]:
        """The longest chain that ends in a tensor of ``value``, folded where it repeats."""
        return fold(self.graph.path(self.graph.deepest(self._nodes(value, "path_to"))))

    def result(self) -> Trace:
        """What has been traced so far."""
        return Trace.of(self.graph, self._storages.orphans, self._storages.peak)

    def kernels(self) -> list[Kernel]:
        """All kernels in order, each with those that it waits for."""
        names, paths = self.graph.name, self.attribution.paths
        return [
            Kernel(
                names[node],
                paths[facts.module],
                "backward" if facts.backward else "forward",
                facts.cost,
                facts.bytes_moved,
                facts.written,
                facts.dtype,
                reads,
            )
            for node, facts, reads in self.graph.edges()
        ]

    # -- the mode -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(as_algorithm() if self._algorithm else fast_paths_kept())
            stack.enter_context(without_compiling())
            stack.enter_context(self.attribution.watch())
            stack.enter_context(HostReads(self._host_read, self._give))
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
        if kind is None:
            found = self.result()
            for message in (found.about_orphans, found.about_unknown):
                if message:
                    warnings.warn(message, TraceWarning, stacklevel=2)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True would import the compiler and wrap each dispatch; nothing is compiled in here.
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if any(map(_wraps, types)):
            return NotImplemented  # a wrapper: what it does with the tensors inside comes here too
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return self._run_whole(func, args, kwargs)
        operator = describe(func)
        if operator.decomposes(args):  # inference mode hands these over whole
            with self._again():
                return operator.take_apart(args, kwargs)
        with torch._C.DisableTorchFunction():  # meta kernels are Python; what they read is no data
            result, answer = self._kernels.run(func, operator, args, kwargs)
            if operator.lifts:  # torch.tensor([1, 2]); a value read before was a host read
                self._give(result)
            elif operator.view:
                self._record_view(operator, args, kwargs, result)
            elif not operator.asks:
                self._record(operator, args, kwargs, result, answer)
        return result

    def _run_whole(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # An operator that takes functions, such as flex_attention: a kernel of unknown cost.
        with torch._C.DisableTorchFunction():
            result = func(*args, **kwargs)
            inputs = self._storages.known(tensors_in((args, kwargs)), func.name())
            outs = [t for t in tensors_in(result) if self._storages.find(t) is None]
            node = self._add(func.name(), inputs, outs, None, host=False)
            for tensor in outs:
                self._storages.add(tensor, node)
        return result

    @contextmanager
    def _again(self) -> Iterator[None]:
        super().__enter__()
        try:
            yield
        finally:
            super().__exit__(None, None, None)

    def _record(
        self,
        operator: Operator,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        answer: Answer | None,
    ) -> None:
        name, storages = operator.name, self._storages
        inputs = self._storages.known(operator.inputs(args, kwargs), name)
        targets = self._storages.known(operator.targets(args, kwargs), name)
        if operator.allocates:
            for tensor in tensors_of(result):
                storages.resized(tensor)
                self._give(tensor)
            return
        fresh = [out for out in tensors_of(result) if storages.find(out) is None]
        host = operator.host_waits(args, kwargs)
        if not (fresh or targets or host):
            return  # nothing was computed
        written = fresh or [tensor for tensor, _ in targets]
        if answer is None:
            cost = operator.cost(args, written)
        else:
            if not answer.cost:
                answer.cost.append(operator.cost(args, written))
            cost = answer.cost[0]
        waits = 0
        for tensor, shadow in targets:
            waits = max(waits, shadow.waits(tensor))
        node = self._add(name, inputs, written, cost, host, waits)
        schedule = self.graph.schedule[node]
        for tensor, shadow in inputs:
            shadow.was_read(tensor, schedule)
        for tensor, shadow in targets:
            shadow.write(tensor, node, schedule)
        for tensor in fresh:
            storages.add(tensor, node)

    def _add(
        self,
        name: str,
        inputs: Known,
        written: Sequence[Tensor],
        cost: Cost | None,
        host: bool,
        waits: int = 0,
    ) -> int:
        reads = nodes_of(inputs)
        if self._control != GIVEN:
            reads.append(self._control)
        chain, scalar = (1, 1) if cost is None else (cost.chain, cost.depth)
        if not inputs:  # a constant is there before it is asked for
            chain = scalar = 0
        module, backward = self.attribution.place()
        elements = 0
        for tensor in written:
            elements += tensor.numel()
        dtype = dtype_name((written[0] if written else inputs[0][0]).dtype)
        moved = bytes_moved(name, inputs, written)
        facts = Facts(module, backward, cost, chain, scalar, moved, elements, dtype, host)
        node = self.graph.add(name, reads, facts, self._call, waits)
        if host:
            self._control = node
        return node

    def _record_view(
        self, operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        # An input is looked up so that its views are known; a result that shows other memory, such
        # as the values of a sparse tensor, was written by what wrote the input.
        inputs = self._storages.known(operator.inputs(args, kwargs), operator.name)
        for out in tensors_of(result):
            if self._storages.find(out) is None:
                self._storages.add(out, self.graph.mark(nodes_of(inputs), 0), made=False)

    def _host_read(self, tensor: Tensor, name: str) -> None:
        inputs = self._storages.known([tensor], name)
        with torch._C.DisableTorchFunction():
            node = self._add(name, inputs, [], Cost(), host=True)
        inputs[0][1].was_read(tensor, self.graph.schedule[node])

    def _give(self, tensor: Tensor, made: bool = True) -> None:
        if self._storages.find(tensor) is None:
            self._storages.add(tensor, self._control, made)

    def _nodes(self, value: object, reader: str) -> list[int]:
        return nodes_of(self._storages.known(tensors_in(value), reader))


def trace(fn: Callable[..., object], *args: Any, **kwargs: Any) -> Trace:
    """Trace ``fn(*args, **kwargs)``; what ``fn``, its closure and arguments hold is given.

    For a training step let ``fn`` run forward, loss and ``backward()``: the span covers all.
    """
    with Tracer(fn, args, kwargs) as tracer:
        fn(*args, **kwargs)
    return tracer.result()


@cache
def _wraps(kind: type[Tensor]) -> bool:
    own = kind.__torch_dispatch__ is not Tensor.__torch_dispatch__
    return own and not issubclass(kind, FakeTensor)
