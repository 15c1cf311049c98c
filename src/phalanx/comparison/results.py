"""What a comparison found: plain data between the measurements, the table, the JSON and the page.

Every class is a frozen dataclass of JSON values, so that ``dataclasses.asdict`` is the ``--json``
output, the page's data and the record that a test reads; nothing here computes.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

FORMAT = 1

Basis = Literal["structure", "machine"]


@dataclass(frozen=True)
class Verdict:
    """One judgement with the figure that it rests on.

    Args:
        verdict: a key of the message catalogue, such as ``serial``, ``parallel``, ``logarithmic``,
            ``yes``, ``no``, ``inconclusive``, ``not_measured``.
        figure: the statistic, in ``unit``; None when nothing was measured.
        unit: what the figure counts, as a key of the message catalogue (``kernels_per_position``).
        threshold: the rule in words and numbers (``> 0.5 serial, < 0.05 parallel``).
        low, high: the interval over repeats; None for an exact (traced) figure.
        how: one sentence: how the figure was obtained, or why it is inconclusive.
    """

    verdict: str
    figure: float | None
    unit: str
    threshold: str
    low: float | None = None
    high: float | None = None
    how: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of the table: what the traced dependence says, and what this machine says."""

    structure: Verdict
    machine: Verdict


@dataclass(frozen=True)
class Row:
    """A row of the five: ``core_dependency``, ``parallel_training``, ``parallel_inference``,
    ``long_range_dependency`` or ``hardware_friendliness``; one list of cells per model, because
    parallel inference has two (``autoregressive`` and ``one_pass``); others have one (``""``)."""

    key: str
    cells: dict[str, dict[str, Cell]]  # model -> part ("" or autoregressive / one_pass) -> cell


@dataclass(frozen=True)
class Level:
    """One level made serial: same function, results compared, times compared.

    Args:
        key: ``positions``, ``heads``, ``feed_forward_positions`` or ``batch_rows``.
        model: the model whose layer was ablated.
        parallel_seconds, serial_seconds: medians over repeats.
        ratio, ratio_low, ratio_high: serial / parallel, pair by pair.
        max_difference: greatest absolute difference of the two results.
        tolerance: the largest difference that counts as equal.
        equal: whether the results agree; when False no time is reported.
    """

    key: str
    model: str
    parallel_seconds: float | None
    serial_seconds: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    max_difference: float
    tolerance: float
    equal: bool


@dataclass(frozen=True)
class Claim:
    """The verdict on one numbered claim of docs/claims.md for one model."""

    id: str  # "C1" .. "C12", "B1"
    model: str
    structure: Verdict | None
    machine: Verdict | None


@dataclass(frozen=True)
class CurvePoint:
    """One validation of one model during its training."""

    step: int
    tokens: int
    flops: float
    seconds: float  # wall-clock of training alone, validation excluded
    loss: float  # nats per answer
    scores: dict[str, float]  # others, by name


@dataclass(frozen=True)
class Trained:
    """One model after its share of the budget."""

    name: str
    parameters: int
    non_embedding_parameters: int
    config: dict[str, Any]
    schedules: dict[str, str]  # mixer -> schedule (kernel) used
    learning_rate: float
    optimizer: str
    tuning_trials: int
    steps: int
    tokens: int
    seconds: float
    flops_per_token: float  # of a training step; 2 FLOPs a multiply-add
    tokens_per_second: float
    tokens_per_second_low: float
    tokens_per_second_high: float
    peak_memory_bytes: int | None
    curve: list[CurvePoint]
    loss_at_equal_tokens: float | None
    loss_at_equal_seconds: float | None
    bits_per_byte: float
    prompt: str
    sample: str


@dataclass(frozen=True)
class ScalingPoint:
    """One length T of one pass of one model.

    ``mode`` is ``train``, ``forward`` or ``decode``. Times are at batch 1; seconds is the median
    and low, high the extremes over repeats; span in dependent kernels; work in FLOPs.
    """

    model: str
    mode: str
    length: int
    span: float | None
    work: float | None
    seconds: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SizePoint:
    """A training step of one model's family at one size, rows and positions fixed (claim C12).

    ``parameters`` are those outside the tables; ``share`` is of this machine's measured peak, a
    median over turns with its interval.
    """

    model: str
    parameters: int
    flops_per_second: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class DistancePoint:
    """A figure against distance: ``gradient`` norm (fresh, trained or at a recurrent radius), path
    ``hops``, or ``recall`` accuracy (chance is in the study)."""

    model: str
    kind: str  # "gradient", "hops", "recall"
    variant: str  # "fresh", "trained", "radius 0.5", ...
    distance: int
    value: float


@dataclass(frozen=True)
class Tagger:
    """A token tagger trained on the labels of Python's own tokenizer (claim C9 on a real task)."""

    name: str
    parameters: int
    seconds: float
    accuracy: float
    majority_accuracy: float
    calls_per_sequence: int  # dependent model calls to label one sequence
    span_slope: float  # dependent kernels per added position of one pass
    milliseconds_by_length: dict[str, float]


@dataclass(frozen=True)
class Study:
    """Everything that a comparison found, in the order in which the page shows it."""

    format: int
    created: str  # ISO 8601
    command: str
    language: str  # "en" or "zh"
    corpus: dict[str, Any]  # name, hash, files, bytes, train_tokens, validation_tokens, tokenizer
    machine: dict[str, Any]  # processor, cores, threads, wait policy, dtype, peaks, versions, gpu
    budget_seconds: float
    elapsed_seconds: float
    models: list[Trained]
    rows: list[Row]
    levels: list[Level]
    claims: list[Claim]
    scaling: list[ScalingPoint]
    distances: list[DistancePoint]
    taggers: list[Tagger]
    contract: dict[str, Any]  # fairness contract: term -> value or {model: value}
    notes: list[str] = field(default_factory=list)  # crossover predicted, warnings, not measured
    recall_chance: float | None = None
    sizes: list[SizePoint] = field(default_factory=list)
