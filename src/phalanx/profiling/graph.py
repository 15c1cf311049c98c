"""The dependence graph of a trace: one node a kernel, in the order in which they ran."""

from collections.abc import Iterable

GIVEN = 0  # the node of everything that exists beforehand, at depth 0
_NO_CALL = -1


class Graph:
    """Kernels and the longest chains that end in them, kept as columns.

    ``depth`` counts kernels, ``scalar`` dependent scalar operations, ``calls`` the calls of a
    model that a chain passes through, ``marks`` (a bit set) the named sources that a node
    depends on. All are maxima or unions over what the node reads.
    """

    def __init__(self) -> None:
        self.name = ["given"]
        self.depth = [0]
        self.scalar = [0]
        self.calls = [0]
        self.marks = [0]
        self._before = [GIVEN]  # the predecessor on one longest chain
        self._call = [_NO_CALL]  # the last call on the chain that passes through most calls

    def add(self, name: str, reads: Iterable[int], chain: int, scalar: int, call: int) -> int:
        """A kernel that needs the nodes in ``reads``; returns its number."""
        before, depth, scalars, marks = GIVEN, 0, 0, 0
        calls, last = 0, _NO_CALL
        for node in reads:
            if self.depth[node] > depth:
                before, depth = node, self.depth[node]
            scalars = max(scalars, self.scalar[node])
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
        self.depth.append(depth + chain)
        self.scalar.append(scalars + scalar)
        self.calls.append(calls)
        self.marks.append(marks)
        self._before.append(before)
        self._call.append(last)
        return len(self.name) - 1

    def mark(self, nodes: Iterable[int], marks: int) -> int:
        """The same value as ``nodes`` wrote, known from here on by ``marks``; no kernel."""
        node = self.add("", nodes, 0, 0, _NO_CALL)
        self.marks[node] |= marks
        return node

    def join(self, name: str) -> int:
        """A node that may depend on everything before it."""
        return self.add(name, range(len(self.name)), 0, 0, _NO_CALL)

    def deepest(self, nodes: Iterable[int]) -> int:
        """The node with the longest chain, the first of equals."""
        return max(nodes, key=self.depth.__getitem__, default=GIVEN)

    def path(self, node: int) -> list[str]:
        """Names of the kernels on one longest chain that ends in ``node``, first to last."""
        names = []
        while node != GIVEN:
            before = self._before[node]
            if self.depth[node] > self.depth[before]:
                names.append(self.name[node])
            node = before
        return names[::-1]
