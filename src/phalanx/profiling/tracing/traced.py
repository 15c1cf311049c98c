"""What a trace found, and the warning for what it could not follow."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from phalanx.profiling.tracing.folding import fold
from phalanx.profiling.tracing.graph import Graph

if TYPE_CHECKING:
    from phalanx.profiling.results import Figures


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
        schedule_span: kernels on the longest chain where memory that is used again orders too
            (write after read, write after write).
        peak_bytes: the most bytes that lived at once in storages made by what was traced.
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
    schedule_span: int = 0
    peak_bytes: int = 0
    fused: dict[str, int] = field(default_factory=dict)
    orphans: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, orphans: Mapping[str, int], peak_bytes: int) -> "Trace":
        """The totals over all kernels of a graph."""
        kernels = syncs = work = matmul = moved = 0
        fused: Counter[str] = Counter()
        unknown: Counter[str] = Counter()
        for name, facts in zip(graph.name, graph.facts, strict=True):
            if facts is None:
                continue
            kernels += 1
            syncs += facts.host
            moved += facts.bytes_moved
            if facts.cost is None:
                unknown[name] += 1
            else:
                matmul += facts.cost.matmul
                work += facts.cost.matmul + facts.cost.other
                if facts.chain > 1:
                    fused[name] += 1
        return cls(
            span=max(graph.depth),
            scalar_span=max(graph.scalar),
            call_span=max(graph.calls),
            kernels=kernels,
            work=work,
            matmul_work=matmul,
            bytes_moved=moved,
            path=fold(graph.path(graph.deepest(range(len(graph.depth))))),
            syncs=syncs,
            schedule_span=max(graph.schedule),
            peak_bytes=peak_bytes,
            fused=dict(fused),
            orphans=dict(orphans),
            unknown=dict(unknown),
        )

    @property
    def figures(self) -> "Figures":
        """The same as a report shows it."""
        from phalanx.profiling.results import Figures  # results.py needs laws, and they traces

        return Figures(
            kernels=self.kernels,
            span=self.span,
            scalar_span=self.scalar_span,
            schedule_span=self.schedule_span,
            work=self.work,
            matmul_work=self.matmul_work,
            bytes_moved=self.bytes_moved,
            peak_bytes=self.peak_bytes,
            syncs=self.syncs,
        )

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

    @property
    def about_orphans(self) -> str:
        """What was assumed of tensors of unknown origin; "" where there are none."""
        if not self.orphans:
            return ""
        names = ", ".join(sorted(self.orphans))
        return (
            f"{sum(self.orphans.values())} tensors of unknown origin ({names}) count as "
            "depending on everything before them; pass what exists beforehand to the tracer."
        )

    @property
    def about_unknown(self) -> str:
        """What was assumed of operators without a cost formula; "" where there are none."""
        if not self.unknown:
            return ""
        return (
            f"operators without a cost formula: {', '.join(sorted(self.unknown))}; each call "
            "counts as one kernel of depth 1 and no FLOPs, so the work found is a lower bound."
        )
