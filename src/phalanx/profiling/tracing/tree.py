"""A trace by module: the tree of modules, each with the figures of what ran in it."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from phalanx.profiling.results import Figures, ModuleNode
from phalanx.profiling.tracing.attribution import OUTSIDE, ROOT
from phalanx.profiling.tracing.critical import critical_path as critical_path
from phalanx.profiling.tracing.graph import Facts
from phalanx.profiling.tracing.trace import Tracer

_BLOCK = 128  # modules followed at once: chains take 8 bytes a kernel and module


def module_tree(tracer: Tracer, root: nn.Module) -> ModuleNode:
    """The modules of ``root``, which the tracer was told of, each with what ran in it.

    The span of a module is the most kernels of its subtree on any chain of the whole trace.
    """
    attribution, graph = tracer.attribution, tracer.graph
    above = _ancestors(attribution.paths)
    totals = np.zeros((len(above), 5), np.int64)
    for facts in graph.facts:
        if facts is not None and facts.module != OUTSIDE:
            cost = facts.cost
            matmul = cost.matmul if cost else 0
            work = matmul + (cost.other if cost else 0)
            totals[above[facts.module]] += (1, work, matmul, facts.bytes_moved, facts.host)
    used = [number for number in range(ROOT, len(above)) if totals[number, 0]]
    spans = _spans(tracer, above, used or [ROOT])
    on_path = np.zeros(len(above), np.int64)
    for node in graph.longest(graph.deepest(range(len(graph.depth)))):
        step = graph.facts[node]
        if step is not None and step.module != OUTSIDE:
            on_path[above[step.module]] += step.chain
    modules = dict(root.named_modules())
    children: dict[int, list[int]] = defaultdict(list)
    for number in used:
        if number != ROOT:
            children[above[number][-2]].append(number)

    def build(number: int) -> ModuleNode:
        path = attribution.paths[number]
        kernels, work, matmul, moved, syncs = totals[number].tolist()
        span, scalar = spans.get(number, (0, 0))
        return ModuleNode(
            name=path.rpartition(".")[2],
            kind=attribution.kinds[number],
            parameters=sum(parameter.numel() for parameter in modules[path].parameters()),
            figures=Figures(kernels, span, scalar, 0, work, matmul, moved, 0, syncs),
            on_path=int(on_path[number]),
            calls=attribution.called[number],
            children=tuple(build(child) for child in children[number]),
        )

    return build(ROOT)


def _ancestors(paths: Sequence[str]) -> list[list[int]]:
    # For each module the numbers from the root down to itself.
    numbers = {path: number for number, path in enumerate(paths) if number != OUTSIDE}
    above: list[list[int]] = [[]]
    for path in paths[ROOT:]:
        parts = path.split(".") if path else []
        up = [ROOT, *(numbers.get(".".join(parts[: i + 1]), 0) for i in range(len(parts)))]
        above.append([number for number in up if number])
    return above


def _spans(
    tracer: Tracer, above: Sequence[Sequence[int]], modules: Sequence[int]
) -> dict[int, tuple[int, int]]:
    # For each module: kernels, and scalar operations, of its subtree on the longest chain.
    kernels = [(facts, reads) for _, facts, reads in tracer.graph.edges()]
    found: dict[int, tuple[int, int]] = {}
    for start in range(0, len(modules), _BLOCK):
        block = modules[start : start + _BLOCK]
        inside = np.zeros((len(above), len(block)), np.int32)
        for column, number in enumerate(block):
            for lower, up in enumerate(above):
                inside[lower, column] = number in up
        longest = _chains(kernels, inside)
        for column, number in enumerate(block):
            found[number] = int(longest[0, column]), int(longest[1, column])
    return found


def _chains(
    kernels: Sequence[tuple[Facts, tuple[int, ...]]], inside: NDArray[np.int32]
) -> NDArray[np.int32]:
    # chains[k, :, m]: weight inside module m on the heaviest chain that ends in kernel k.
    chains = np.zeros((len(kernels) + 1, 2, inside.shape[1]), np.int32)
    gains: dict[tuple[int, int, int], NDArray[np.int32]] = {}
    for index, (facts, reads) in enumerate(kernels):
        here = chains[index]
        if len(reads) == 1:
            here[...] = chains[reads[0]]
        elif len(reads) == 2:
            np.maximum(chains[reads[0]], chains[reads[1]], out=here)
        elif reads:
            chains[list(reads)].max(0, out=here)
        key = facts.module, facts.chain, facts.scalar
        gain = gains.get(key)
        if gain is None:
            row = inside[facts.module]
            gain = gains[key] = np.stack([row * facts.chain, row * facts.scalar])
        here += gain
    longest: NDArray[np.int32] = chains.max(0)
    return longest
