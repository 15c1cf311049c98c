"""The dependence graph of a trace: one node a kernel, in the order in which they ran."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from phalanx.profiling.costs.cost import Cost

GIVEN = 0  # the node of everything that exists beforehand, at depth 0
_NO_CALL = -1

Phase = Literal["forward", "backward"]


class Kernel(NamedTuple):
    """One kernel of a trace.

    Args:
        name: the operator.
        module: dotted path of the module in which it ran or, in the backward pass, whose forward
            it differentiates; "" for the root itself and for what ran outside.
        phase: ``forward`` or ``backward``.
        cost: None where no formula is known.
        bytes_moved: read and written, without caches.
        written: elements written.
        dtype: of what is written ("float32").
        reads: indices of the earlier kernels that it waits for: those whose results it reads,
            and the last read of a value by the host before it.
    """

    name: str
    module: str
    phase: Phase
    cost: Cost | None
    bytes_moved: int
    written: int
    dtype: str
    reads: tuple[int, ...]


class Facts(NamedTuple):
    """What is known of a kernel beside its place in the graph.

    ``chain`` and ``scalar`` are what it adds to the longest chains, ``host`` says whether the host
    waits for it, ``module`` is a number of attribution.py.
    """

    module: int
    backward: bool
    cost: Cost | None
    chain: int
    scalar: int
    bytes_moved: int
    written: int
    dtype: str
    host: bool


class Graph:
    """Kernels and the longest chains that end in them, kept as columns.

    ``depth`` counts kernels, ``scalar`` dependent scalar operations, ``schedule`` kernels where
    memory that is used again orders too, ``calls`` the calls of a model that a chain passes
    through, ``marks`` (a bit set) the named sources that a node depends on. All are maxima or
    unions over what the node reads. ``facts`` is None for a node that is no kernel.
    """

    def __init__(self) -> None:
        self.name = ["given"]
        self.depth = [0]
        self.scalar = [0]
        self.schedule = [0]
        self.calls = [0]
        self.marks = [0]
        self.facts: list[Facts | None] = [None]
        self._before = [GIVEN]  # the predecessor on one longest chain
        self._call = [_NO_CALL]  # the last call on the chain that passes through most calls
        self._reads, self._ends = array("i"), array("q", [0])  # all predecessors, end to end
        self._joined = 0  # nodes that the last join stands behind

    def add(
        self, name: str, reads: Sequence[int], facts: Facts | None, call: int, waits: int = 0
    ) -> int:
        """A node that needs the nodes in ``reads``; returns its number.

        ``waits`` is the schedule depth of what used the memory that it overwrites.
        """
        before, depth, scalars, marks = GIVEN, 0, 0, 0
        calls, last, schedule = 0, _NO_CALL, waits
        for node in reads:
            if self.depth[node] > depth:
                before, depth = node, self.depth[node]
            scalars = max(scalars, self.scalar[node])
            schedule = max(schedule, self.schedule[node])
            marks |= self.marks[node]
            # Inside a call, a chain that comes from elsewhere passes through one call more.
            # Outside, of two chains as long the one from the earlier call may yet gain more.
            here = self.calls[node]
            if call != _NO_CALL:
                calls = max(calls, here + (self._call[node] != call))
            elif here > calls or (here == calls and self._call[node] < last):
                calls, last = here, self._call[node]
        if call != _NO_CALL:
            calls, last = max(calls, 1), call
        self.name.append(name)
        if facts is None:
            self.depth.append(depth)
            self.scalar.append(scalars)
            self.schedule.append(schedule)
        else:
            self.depth.append(depth + facts.chain)
            self.scalar.append(scalars + facts.scalar)
            # A constant is there before it is asked for, unless it has to wait for its memory.
            self.schedule.append(schedule + (facts.chain or min(waits, 1)))
        self.calls.append(calls)
        self.marks.append(marks)
        self.facts.append(facts)
        self._before.append(before)
        self._call.append(last)
        self._reads.extend(reads)
        self._ends.append(len(self._reads))
        return len(self.name) - 1

    def mark(self, nodes: Sequence[int], marks: int) -> int:
        """The same value as ``nodes`` wrote, known from here on by ``marks``; no kernel."""
        node = self.add("", nodes, None, _NO_CALL)
        self.marks[node] |= marks
        return node

    def join(self, name: str) -> int:
        """A node that may depend on everything before it; no kernel."""
        # All that no other node reads; what stood behind the last join still does.
        since = self._joined
        followed = set(self._reads[self._ends[since] :])
        last = [node for node in range(since, len(self.name)) if node not in followed]
        node = self.add(name, last, None, _NO_CALL)
        self._joined = node
        return node

    def deepest(self, nodes: Iterable[int]) -> int:
        """The node with the longest chain, the first of equals."""
        return max(nodes, key=self.depth.__getitem__, default=GIVEN)

    def longest(self, node: int) -> list[int]:
        """Kernels on one longest chain that ends in ``node``, first to last."""
        chain = []
        while node != GIVEN:
            before = self._before[node]
            if self.depth[node] > self.depth[before]:
                chain.append(node)
            node = before
        return chain[::-1]

    def path(self, node: int) -> list[str]:
        """Names of the kernels on one longest chain that ends in ``node``, first to last."""
        return [self.name[kernel] for kernel in self.longest(node)]

    def reads(self, node: int) -> list[int]:
        """The nodes that ``node`` needs, each once."""
        start = self._ends[node - 1] if node else 0
        return list(dict.fromkeys(self._reads[start : self._ends[node]]))

    def edges(self) -> Iterator[tuple[int, Facts, tuple[int, ...]]]:
        """Each kernel in turn: its node, its facts and the indices of the kernels it waits for.

        Indices count kernels alone; a node that is no kernel stands for those that it reads.
        """
        stands_for: list[tuple[int, ...]] = []
        count = 0
        for node, facts in enumerate(self.facts):
            reads: dict[int, None] = {}
            for earlier in self.reads(node):
                reads.update(dict.fromkeys(stands_for[earlier]))
            if facts is None:
                stands_for.append(tuple(reads))
            else:
                yield node, facts, tuple(reads)
                stands_for.append((count,))
                count += 1
