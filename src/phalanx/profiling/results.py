"""What a profile holds: plain values, made by profile.py, shown by report/, written as JSON.

FLOPs: one multiply-add is 2. Spans count dependent kernels or dependent scalar operations, bytes
are without caches, seconds are of this machine.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from phalanx.jsonable import finite
from phalanx.profiling.span import Law, WorkLaw

Mode = Literal["train", "forward", "decode", "run"]  # run: whatever ran inside a context
MODES: tuple[Mode, ...] = ("train", "forward", "decode")
MODE_NAMES: dict[Mode, str] = {
    "train": "training pass",
    "forward": "forward pass",
    "decode": "one token",
    "run": "what ran",
}


@dataclass(frozen=True)
class Figures:
    """One run of a computation, or the part of it that belongs to one module.

    Args:
        kernels: kernels launched.
        span: dependent kernels: the longest chain of read after write.
        scalar_span: dependent scalar operations on the longest such chain (see costs.py).
        schedule_span: as ``span``, where memory that is used again orders too (write after read,
            write after write): the chain of this schedule, not of the data. 0 for a module.
        work: FLOPs executed.
        matmul_work: of them, in matrix products and convolutions.
        bytes_moved: read and written by all kernels.
        peak_bytes: the most bytes that lived at once beyond what existed before (parameters,
            inputs). 0 for a module.
        syncs: reads of a value by the host (``.item()``), which everything later waits for.
    """

    kernels: int
    span: int
    scalar_span: int
    schedule_span: int
    work: int
    matmul_work: int
    bytes_moved: int
    peak_bytes: int
    syncs: int

    @property
    def parallelism(self) -> float:
        """Work over scalar span: FLOPs for each dependent scalar operation."""
        return self.work / self.scalar_span if self.scalar_span else 0.0

    @property
    def kernel_parallelism(self) -> float:
        """Kernels for each dependent kernel: how many could run side by side on average."""
        return self.kernels / self.span if self.span else 0.0

    @property
    def matmul_share(self) -> float:
        """Share of the work inside matrix products, 0 to 1."""
        return self.matmul_work / self.work if self.work else 0.0

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: FLOPs for each byte moved."""
        return self.work / self.bytes_moved if self.bytes_moved else 0.0


@dataclass(frozen=True)
class ModuleNode:
    """A module, what ran inside it (its children included), and its children.

    ``figures.span`` of a module: kernels of its own subtree on the longest chain among kernels of
    that subtree. ``on_path``: dependent kernels of it on the critical path of the whole.

    Args:
        name: attribute name in its parent ("" for the root); "backward" and "loss" never appear:
            kernels of the backward pass belong to the module whose forward they differentiate.
        kind: class name.
        parameters: of it and its children, shared ones once.
        figures: algorithm column.
        calls: times that it was called.
        children: in order of registration; children that ran no kernel are left out, and runs of
            children with equal figures are NOT folded here (the report folds).
    """

    name: str
    kind: str
    parameters: int
    figures: Figures
    on_path: int
    calls: int
    children: tuple["ModuleNode", ...] = ()

    def walk(self, path: str = "") -> Iterator[tuple[str, "ModuleNode"]]:
        """This node and all below it, each with its dotted path."""
        yield path, self
        for child in self.children:
            yield from child.walk(f"{path}.{child.name}" if path else child.name)


@dataclass(frozen=True)
class PathStep:
    """A part of the critical path: ``times`` rounds of the kernels ``chain``, all in ``module``.

    Args:
        times: rounds.
        module: dotted path of the module where they run ("" outside any); equal parts of several
            modules are folded with "*": "blocks.*.mixer".
        kind: class name of that module.
        phase: ``forward`` or ``backward``.
        chain: operators of a round in order ("addmm", "sigmoid"); a loop inside is one string,
            "(x3: mul -> add)".
        kernels: dependent kernels of all rounds.
        reassociable: the chain adds up terms in turn (a weight's gradient over T steps) that a
            tree could add in log2 of their number.
    """

    times: int
    module: str
    kind: str
    phase: Literal["forward", "backward"]
    chain: tuple[str, ...]
    kernels: int
    reassociable: bool = False


@dataclass(frozen=True)
class LengthPoint:
    """The figures at one length (decode: at one context), for laws and charts.

    ``element_depth`` is None where it was not followed (only small T are).
    """

    length: int
    algorithm: Figures
    useful_work: float
    element_depth: float | None = None
    predicted_seconds: float | None = None


@dataclass(frozen=True)
class Laws:
    """How a pass grows with T (decode: one token with its context); None where not found.

    ``useful`` is the work without what a causal mask throws away; equal to ``work`` where the
    model is not causal.
    """

    work: WorkLaw | None = None
    matmul: WorkLaw | None = None
    useful: WorkLaw | None = None
    span: Law | None = None
    scalar_span: Law | None = None
    element_depth: Law | None = None


@dataclass(frozen=True)
class Roofline:
    """Where a pass stands under this machine's roof.

    Args:
        intensity: FLOPs for each byte.
        ridge: intensity at which the machine's products begin to be the limit.
        verdict: what most of the predicted time goes to: ``compute``, ``memory`` or ``dispatch``
            (the launch of small kernels).
        attainable: FLOP/s that the roof allows at this intensity.
    """

    intensity: float
    ridge: float
    verdict: Literal["compute", "memory", "dispatch"]
    attainable: float


@dataclass(frozen=True)
class Prediction:
    """Seconds of one run, predicted from its kernels and this machine's measured speeds.

    ``low`` and ``high`` hold 80 % of the cases on which the model was checked.
    """

    seconds: float
    low: float
    high: float
    dispatch_share: float
    memory_share: float
    compute_share: float
    setting: str = ""  # "batch=64" of a what-if


@dataclass(frozen=True)
class Pass:
    """One mode of a model: training pass, full forward pass, or one step of decoding.

    Args:
        mode: which.
        batch, length: of ``algorithm``, ``executed`` and all below; decode: length is the context.
        algorithm: fused kernels decomposed, so that their chain shows.
        executed: as this machine runs it, fused kernels whole; None where it cannot be had.
        useful_work: FLOPs without what a causal mask throws away (algorithm column).
        fused: fused kernels in the executed column: name -> count.
        coverage: share of kernels whose cost is known, 0 to 1 (of the worse column).
        unknown: operators without a cost: name -> count.
        orphans: tensors of unknown origin: "operator(shape dtype)" -> count.
        element_depth, element_length: depth at the granularity of elements, at that small T;
            None where it was not followed.
        tree: per module.
        path: the critical path, folded.
        laws: growth with T.
        points: what the laws were found from, and more for the charts, by length.
        state_bytes: decode: bytes of the state carried at this context, per row; None otherwise.
        cached: decode: whether the state is carried; False: the whole prefix is run again.
        roofline: verdict for this machine; None where it was not measured.
        prediction: time on this machine, None where not asked.
        what_if: predictions for other settings.
        saturation: {"batch": B, "length": T} from which this machine's speed stops growing; a
            value is None where it does not within the range looked at.
        traced_on: ``meta``, ``cpu`` or ``cuda``; ``cpu`` after a fall-back says so in assumptions.
    """

    mode: Mode
    batch: int
    length: int
    algorithm: Figures
    executed: Figures | None
    useful_work: float
    fused: dict[str, int]
    coverage: float
    unknown: dict[str, int]
    orphans: dict[str, int]
    element_depth: float | None
    element_length: int | None
    tree: ModuleNode
    path: tuple[PathStep, ...]
    laws: Laws
    points: tuple[LengthPoint, ...]
    traced_on: str
    state_bytes: int | None = None
    cached: bool | None = None
    roofline: Roofline | None = None
    prediction: Prediction | None = None
    what_if: tuple[Prediction, ...] = ()
    saturation: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Positions:
    """How positions reach each other, traced on real numbers at a small length.

    Args:
        length: T of the matrices.
        hops_ij: kernels on the shortest path from input position i to output position j, moves of
            data not counted; None: no path. [i][j].
        exchanges_ij: of them, those where information passes from one position to another.
        causal_by_shadow: no path leads to an earlier position; None: not followed.
        causal_by_gradient: every gradient with respect to a later input is exactly zero.
        leak: the greatest such gradient, where it is not.
        receptive_field: the greatest distance at which positions are joined; equal to
            ``length - 1`` means at least that.
        gradient_by_distance: norm of d output_T / d input_(T-d), for d = 0, 1, ...; fresh weights.
        hops_law, exchanges_law: growth with the distance.
        why_not: why something above is missing, in a sentence; "" where nothing is.
    """

    length: int
    hops_ij: tuple[tuple[float | None, ...], ...]
    exchanges_ij: tuple[tuple[float | None, ...], ...]
    causal_by_shadow: bool | None
    causal_by_gradient: bool | None
    leak: float
    receptive_field: int | None
    gradient_by_distance: tuple[float, ...]
    hops_law: Law | None = None
    exchanges_law: Law | None = None
    why_not: str = ""


@dataclass(frozen=True)
class MeasuredPoint:
    """A time on this machine: the middle of ``repeats`` turns, their least and greatest."""

    mode: Mode
    axis: Literal["length", "batch", "threads"]
    value: int
    seconds: float
    low: float
    high: float
    predicted_seconds: float | None = None


@dataclass(frozen=True)
class SpeedUp:
    """Speed-up over one worker, predicted four ways and measured, for one pass."""

    mode: Mode
    workers: tuple[int, ...]
    perfect: tuple[float, ...]
    brent_low: tuple[float, ...]
    brent_high: tuple[float, ...]
    burdened: tuple[float, ...]
    realisable: tuple[float, ...]
    measured: dict[int, tuple[float, float, float]]  # workers -> median, low, high


@dataclass(frozen=True)
class Measured:
    """What ``--measure`` found.

    Args:
        points: times against length, batch and threads.
        speed_up: predicted curves and measured points.
        inconclusive: why no verdict may rest on the times, or None.
        control: spread of the control kernel: upper over lower quartile, by axis.
        sentences: what follows, for people ("reaches 1.6x with 2 threads; Brent allows 2.0x").
    """

    points: tuple[MeasuredPoint, ...]
    speed_up: tuple[SpeedUp, ...]
    inconclusive: str | None
    control: dict[str, float]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """Everything that was found out about one model.

    Args:
        name: as the user named it.
        kind: class name of the module.
        parameters, parameter_bytes: shared ones once.
        passes: by mode, in the order of MODES.
        positions: hops, causality, gradients; None where not asked or not possible (see notes).
        measured: ``--measure``; None where not asked.
        machine: facts and peaks that rooflines and predictions rest on; {} where none do.
        findings: what a user should know first, in sentences: which module and chain set the
            span, where this machine saturates, what to do.
        assumptions: every assumption made, in sentences.
    """

    name: str
    kind: str
    parameters: int
    parameter_bytes: int
    passes: dict[Mode, Pass]
    positions: Positions | None = None
    measured: Measured | None = None
    machine: dict[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    def to_json(self) -> str:
        """All of it as JSON text; a figure that is not finite is null, a fraction a string."""
        return json.dumps(finite(asdict(self)), ensure_ascii=False, indent=2, default=str)
