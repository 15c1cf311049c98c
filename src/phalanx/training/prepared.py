"""A configuration with its data read: everything that training needs but a model in memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from phalanx.config import ModelConfig, RunConfig, Task
from phalanx.data.tokenizers import Tokenizer
from phalanx.tasks.batch import Total, TrainingBatch


@dataclass(frozen=True)
class DataFacts:
    """What was read.

    Args:
        name: what was asked for, in short.
        digest: sha256 of the content and of its split; not of file names.
        files: their number.
        bytes: length of the text in UTF-8.
        split: how it was divided into a training and a validation side.
        notes: what was read otherwise than it stands in the files, a sentence each.
    """

    name: str
    digest: str
    files: int
    bytes: int
    split: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, read: "WasRead") -> Self:
        """The facts of a corpus, or of labelled data."""
        return cls(read.name, read.digest, read.files, read.bytes, read.split, read.notes)

    @property
    def origin(self) -> str:
        """What was read, and of how many files, in words."""
        return f"{self.name}, " + ("1 file" if self.files == 1 else f"{self.files} files")


class WasRead(Protocol):
    """Data that knows where it came from; see DataFacts."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def files(self) -> int: ...  # noqa: D102
    @property
    def bytes(self) -> int: ...  # noqa: D102
    @property
    def split(self) -> str: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class StepShapes:
    """The shapes of a run's largest batches: what its memory is estimated by.

    Args:
        total: the summed loss of a batch, given the model and the label smoothing.
        rows: the most sequences of a step.
        step: a batch of zeros with so many sequences of the greatest length, or as many of them as
            a step takes; made on the default device.
        validation: a batch of zeros as large as any of a validation.
        typical: a batch like those of most steps, and how many of them make a step.
        tokens: input tokens of a step, on average.
        positions: positions of a step, padding included, at most.
        packed: documents are kept apart, so that attention has masks and recurrences no kernel.
    """

    total: Callable[[Any, Any, float], Total]
    rows: int
    step: Callable[[int], TrainingBatch]
    validation: Callable[[], TrainingBatch]
    typical: Callable[[], tuple[TrainingBatch, int]]
    tokens: int
    positions: int
    packed: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared(ABC):
    """What is trained, and by what it is judged; each task has its own.

    Args:
        config: resolved: the model in full, precision and device named.
        model_config: the model's architecture.
        tokenizer: made from the training side, or given.
        facts: what was read.
        labels: names of the model's outputs, where they have names.
        scheme: how a tagger's labels mark entities.
    """

    task: ClassVar[Task]

    config: RunConfig
    model_config: ModelConfig
    tokenizer: Tokenizer
    facts: DataFacts
    labels: tuple[str, ...] | None = None
    scheme: str | None = None

    @abstractmethod
    def batches(self) -> Callable[[int], TrainingBatch]:
        """The batch of each step, counted from 0: a pure function, so that a run can go on."""

    @abstractmethod
    def total(self, model: Any, batch: Any, label_smoothing: float) -> Total:
        """The summed loss, in nats, of a batch, and how many answers it is of."""

    @abstractmethod
    def validate(self, model: Any) -> Mapping[str, float]:
        """Scores of the model on the validation side, ``loss`` (nats an answer) among them."""

    def criterion(self, scores: Mapping[str, float]) -> float:
        """What is lowest at the best validation."""
        return scores["loss"]

    @abstractmethod
    def validation_seconds(self, model: Any) -> float:
        """How long ``validate`` will take, about; leaves the model as it was."""

    @abstractmethod
    def shapes(self) -> StepShapes:
        """The shapes of the largest batches."""

    @property
    @abstractmethod
    def epoch_tokens(self) -> int:
        """Input tokens of the training side."""

    @abstractmethod
    def described(self) -> list[str]:
        """What a person should know of the data before training, a line each."""

    def data_summary(self) -> dict[str, Any]:
        """The data as JSON values."""
        facts = self.facts
        return {
            "name": facts.name,
            "sha256": facts.digest,
            "files": facts.files,
            "bytes": facts.bytes,
            "split": facts.split,
            "training_tokens": self.epoch_tokens,
        }

    def extras(self) -> dict[str, bytes]:
        """Files that are kept beside the model, such as the baselines it is compared with."""
        return {}

    @abstractmethod
    def next_command(self, path: Path) -> str:
        """What to do with the run when it is trained: a command line."""
