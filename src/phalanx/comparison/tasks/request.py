"""What a comparison on a task was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from phalanx.comparison.record import DEFAULT_BUDGET, DEFAULT_SIZE, check_numbers
from phalanx.config import DataConfig, RunConfig, Task, override, parse, put
from phalanx.errors import UsageError, did_you_mean

TASKS: tuple[Task, ...] = ("tagging", "classification")
DECIDED = frozenset(
    {
        *("steps", "seconds", "optimizer", "learning_rate", "embedding_learning_rate"),
        *("muon_learning_rate", "precision", "evaluate_every", "patience", "compile"),
    }
)
"""Settings of the training that a comparison chooses itself."""


@dataclass(frozen=True)
class TaskRequest:
    """What is to be compared on which task.

    Args:
        task: one of TASKS.
        models: presets, YAML files, run directories.
        data: what is read; None: the tags of Python's own source (tagging alone).
        train: settings of the training that are the same for all, such as ``batch_size``.
        size: parameters of a preset outside its tables.
        budget: seconds of wall time in all.
        repeats: turns of every measured figure, at least 3.
        seed: of weights and order.
        device: ``auto``, ``cpu`` or ``cuda``.
        only_structure: stop after the structure verdicts.
        language: of the report.
        command: as it was typed, for the record.
    """

    task: Task
    models: tuple[str, ...]
    data: DataConfig | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    size: int = DEFAULT_SIZE
    budget: float = DEFAULT_BUDGET
    repeats: int = 3
    seed: int = 0
    device: str = "auto"
    only_structure: bool = False
    language: str = "en"
    command: str = ""


def settings(
    corpus: str | None, reading: Mapping[str, Any], overrides: Sequence[tuple[str, str]] = ()
) -> tuple[DataConfig | None, dict[str, Any]]:
    """How data is read, and what all are trained with, from what was given.

    Args:
        corpus: the file with labels; None: the tags of Python's own source.
        reading: settings of DataConfig.
        overrides: dotted, of ``data`` and ``train`` alone.

    Raises:
        UsageError: an unknown or unfit setting, one that the comparison decides, or settings of
            the data where no file is read.
    """
    values = override({}, overrides)
    for key in values:
        if key not in ("data", "train"):
            raise UsageError(
                f"--{key}.*: expected --data.KEY or --train.KEY. What the models are is said by "
                "their names or files."
            )
    for key, value in reading.items():
        put(values, f"data.{key}", value)
    train: dict[str, Any] = values.get("train", {})
    for key in train:
        if key in DECIDED:
            raise UsageError(
                f"--train.{key}: the comparison decides it, for all models alike. Leave it out; "
                "--budget says how long it lasts."
            )
    if corpus is None:
        if values:
            raise UsageError(
                "settings of data or training were given without --corpus, and the tags of Python "
                "source have their own. Give a file with labels: --corpus FILE."
            )
        return None, {}
    put(values, "data.paths", [corpus])
    config = parse(RunConfig, values, "the command line")
    return config.data, train


def check(request: TaskRequest) -> None:
    """Refuse what cannot be compared, before anything is read.

    Raises:
        UsageError: a task of another kind, a task without data, a number out of range.
    """
    if request.task not in TASKS:
        raise UsageError(
            f"--task {request.task}: expected one of {', '.join(TASKS)}, or no --task to compare "
            f"language models.{did_you_mean(request.task, TASKS)}"
        )
    if request.data is None and request.task != "tagging":
        raise UsageError(
            f"--task {request.task} without --corpus: there is no text with labels to learn from. "
            "Give a file with a text and a label a row, such as --corpus train.csv."
        )
    check_numbers(request.repeats, request.seed)
