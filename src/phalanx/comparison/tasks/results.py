"""What a comparison on a task found: plain data, as in phalanx.comparison.results."""

from dataclasses import dataclass, field
from typing import Any

from phalanx.comparison.results import CurvePoint, Verdict

FORMAT = 1


@dataclass(frozen=True)
class Latency:
    """Time of one pass over one text of so many tokens: median over turns, with its interval."""

    length: int
    seconds: float
    low: float
    high: float


@dataclass(frozen=True)
class Inference:
    """How one model answers (claim C9).

    Args:
        model: its name.
        calls_per_sequence: dependent model calls to answer for one text, traced.
        span_slope: dependent kernels that one more position adds to the pass, traced.
        structure: the verdict on that slope.
        machine: the verdict on measured speed: a long row against as many positions in short rows.
        latency: by length, one text at a time; empty where nothing was measured.
        batch: rows and positions of the batch that ``tokens_per_second`` is of; all are real.
        tokens_per_second, low, high: of such batches; None where nothing was measured.
    """

    model: str
    calls_per_sequence: int
    span_slope: float
    structure: Verdict
    machine: Verdict
    latency: list[Latency] = field(default_factory=list)
    batch: tuple[int, int] = (0, 0)
    tokens_per_second: float | None = None
    tokens_per_second_low: float | None = None
    tokens_per_second_high: float | None = None


@dataclass(frozen=True)
class Baseline:
    """What needs no model: always the commonest answer, naive Bayes, each word's commonest tag."""

    name: str
    scores: dict[str, float]


@dataclass(frozen=True)
class TaskTrained:
    """One model after its share of the budget; scores are those of a run's best validation."""

    name: str
    parameters: int
    non_embedding_parameters: int
    config: dict[str, Any]
    schedules: dict[str, str]  # mixer -> schedule (kernel) used
    optimizer: str
    tuning_trials: int
    steps: int
    tokens: int  # without padding
    seconds: float
    flops: float  # of training, padding included; 2 FLOPs a multiply-add
    tokens_per_second: float  # without padding
    tokens_per_second_low: float
    tokens_per_second_high: float
    peak_memory_bytes: int | None
    equal_tokens: dict[str, float]  # loss and scores
    equal_seconds: dict[str, float] | None
    curve: list[CurvePoint]
    timed_curve: list[CurvePoint]  # of the run of equal seconds; empty where there was none


@dataclass(frozen=True)
class TaskStudy:
    """Everything that a comparison on a task found, in the order in which the page shows it."""

    format: int
    task: str
    created: str  # ISO 8601
    command: str
    language: str  # "en" or "zh"
    data: dict[str, Any]
    machine: dict[str, Any]
    budget_seconds: float
    elapsed_seconds: float
    primary: str  # the score by which models are told apart
    models: list[TaskTrained]
    baselines: list[Baseline]
    inference: list[Inference]
    contract: dict[str, Any]  # fairness contract: term -> value or {model: value}
    notes: list[str] = field(default_factory=list)
