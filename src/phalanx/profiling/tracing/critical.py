"""The critical path of a trace by module, folded where it repeats, as a person would tell it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from phalanx.profiling.results import PathStep
from phalanx.profiling.tracing.folding import Loop, fold_items
from phalanx.profiling.tracing.graph import Facts, Graph, Phase
from phalanx.profiling.tracing.trace import Tracer

_LONGEST_ROUND = 256  # dependent kernels of a layer, forward or backward
_SUMS = frozenset({"add", "add_", "_foreach_add", "_foreach_add_"})
_FEWEST_SUMS = 3  # four terms: a tree adds them in two rounds


class _Step(NamedTuple):
    """One kernel of the path; in modules whose paths differ in a number alone they are equal."""

    pattern: str  # the module's path with * for each number
    kind: str
    phase: Phase
    name: str
    adds: bool


@dataclass
class _Slot:
    """A place in a loop's body: the kernels of all rounds that stand there."""

    step: _Step
    paths: set[str] = field(default_factory=set)
    kernels: int = 0

    def __str__(self) -> str:
        return self.step.name

    @property
    def place(self) -> tuple[str, str, Phase, bool]:
        """What kernels must have in common to be told as one step."""
        parts = zip(*(path.split(".") for path in self.paths), strict=True)
        module = ".".join(p[0] if len(set(p)) == 1 else "*" for p in parts)
        return module, self.step.kind, self.step.phase, self.step.adds


@dataclass
class _Rounds:
    times: int
    body: "list[_Slot | _Rounds]"

    def __str__(self) -> str:
        return f"(x{self.times}: {' -> '.join(map(str, self.body))})"

    def slots(self) -> Iterator[_Slot]:
        for part in self.body:
            yield from part.slots() if isinstance(part, _Rounds) else (part,)


def critical_path(tracer: Tracer, root: nn.Module) -> tuple[PathStep, ...]:
    """One longest chain of the trace, folded where it repeats in a module or over equal ones.

    Rounds that lead through several modules are told module by module: each step says how often
    its part comes, and the steps of one loop stand one after another.
    """
    graph, attribution = tracer.graph, tracer.attribution
    nodes = graph.longest(graph.deepest(range(len(graph.depth))))
    steps, places = [], []
    for node, adds in zip(nodes, _sums(graph, nodes), strict=True):
        facts = _facts(graph, node)
        path = attribution.paths[facts.module]
        pattern = ".".join("*" if part.isdigit() else part for part in path.split("."))
        phase: Phase = "backward" if facts.backward else "forward"
        kind = attribution.kinds[facts.module]
        steps.append(_Step(pattern, kind, phase, graph.name[node], adds))
        places.append((path, facts.chain))
    told = _Rounds(1, [_slots(item) for item in fold_items(steps, _LONGEST_ROUND)])
    _fill(told, iter(places))
    return tuple(_tell(told.body, 1))


def _facts(graph: Graph, node: int) -> Facts:
    facts = graph.facts[node]
    assert facts is not None, "a longest chain holds kernels alone"
    return facts


def _sums(graph: Graph, path: Sequence[int]) -> list[bool]:
    # Whether each kernel of the path is one of several additions in turn to one sum. The other
    # operand cannot depend on the sum so far: the longest chain would lead through it.
    joined = [
        before in graph.reads(node) and _adds_to(graph, node, before)
        for before, node in pairwise(path)
    ]
    marked = [False] * len(path)
    start = 0
    while start < len(path):
        end = start
        while end < len(joined) and joined[end]:
            end += 1
        if end + 1 - start >= _FEWEST_SUMS:
            marked[start : end + 1] = [True] * (end + 1 - start)
        start = end + 1
    return marked


def _adds_to(graph: Graph, node: int, total: int) -> bool:
    def is_sum(other: int) -> bool:
        facts = graph.facts[other]
        same = facts is not None and facts.written == _facts(graph, node).written
        return same and graph.name[other] in _SUMS

    others = [other for other in graph.reads(node) if other != total]
    # Two sums as deep as each other are a tree already; one alone may be added to a view of itself.
    tree = any(is_sum(o) and graph.depth[o] == graph.depth[total] for o in others)
    return is_sum(node) and is_sum(total) and bool(others) and not tree


def _slots(item: "_Step | Loop[_Step]") -> _Slot | _Rounds:
    if isinstance(item, Loop):
        return _Rounds(item.times, [_slots(part) for part in item.body])
    return _Slot(item)


def _fill(told: _Rounds, places: Iterator[tuple[str, int]]) -> None:
    for _ in range(told.times):
        for part in told.body:
            if isinstance(part, _Rounds):
                _fill(part, places)
            else:
                path, kernels = next(places)
                part.paths.add(path)
                part.kernels += kernels


def _tell(parts: Sequence[_Slot | _Rounds], times: int) -> Iterator[PathStep]:
    together: list[_Slot] = []
    for part in parts:
        slots = list(part.slots()) if isinstance(part, _Rounds) else [part]
        if together and (isinstance(part, _Rounds) or part.place != together[0].place):
            yield _step(together, together, times)
            together = []
        if not isinstance(part, _Rounds):
            together.append(part)
        elif len({slot.place for slot in slots}) == 1:
            yield _step(part.body, slots, times * part.times)
        else:
            yield from _tell(part.body, times * part.times)
    if together:
        yield _step(together, together, times)


def _step(chain: Sequence[_Slot | _Rounds], slots: Sequence[_Slot], times: int) -> PathStep:
    module, kind, phase, adds = slots[0].place
    return PathStep(
        times=times,
        module=module,
        kind=kind,
        phase=phase,
        chain=tuple(map(str, chain)),
        kernels=sum(slot.kernels for slot in slots),
        reassociable=adds,
    )
