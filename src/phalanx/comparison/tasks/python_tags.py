"""Tagging Python source: a task whose labels cost nothing, for comparisons without a corpus.

Python's own tokenizer says what each byte is, and a model learns to say the same.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from phalanx.config import DataConfig, RunConfig, Task, TrainingConfig
from phalanx.data.documents import Document
from phalanx.data.python_tags import LABELS, TaggedWindows, tagged_windows
from phalanx.data.splits import split_by_file
from phalanx.data.stdlib import stdlib_documents
from phalanx.data.tokenizers import train_tokenizer
from phalanx.models import Model, preset
from phalanx.profiling.machine.hardware import synchronise
from phalanx.tasks import positions
from phalanx.tasks.batch import Total, TrainingBatch
from phalanx.tasks.python_tagging import batches, evaluate, majority_accuracy
from phalanx.training.prepared import DataFacts, Prepared, StepShapes

BATCH, LENGTH = 16, 64
_BYTES = (300_000, 40_000)  # of the training and the validation side: labels take time
_SHARE = 0.1  # of the files to validate on


@dataclass(frozen=True, kw_only=True)
class PythonTags(Prepared):
    """Windows of Python source with a label for each byte.

    Args:
        train, validation: both sides.
    """

    task: ClassVar[Task] = "tagging"

    train: TaggedWindows
    validation: TaggedWindows

    def batches(self) -> Callable[[int], TrainingBatch]:
        """See Prepared."""
        return batches(self.train, BATCH, self.config.seed)

    def total(self, model: Any, batch: positions.Batch, label_smoothing: float) -> Total:
        """See Prepared."""
        return positions.total(model, batch, label_smoothing)

    def validate(self, model: Any) -> Mapping[str, float]:
        """See Prepared."""
        return evaluate(model, self.validation).as_dict()

    def criterion(self, scores: Mapping[str, float]) -> float:
        """See Prepared."""
        return -scores["accuracy"]

    def validation_seconds(self, model: Model) -> float:
        """See Prepared."""
        device = model.embedding.weight.device
        rows = self.validation.inputs_NT[:128].to(device)
        taken = []
        with torch.no_grad():
            for _ in range(2):
                start = time.perf_counter()
                model(rows)
                synchronise(str(device))
                taken.append(time.perf_counter() - start)
        return min(taken) * len(self.validation.inputs_NT) / len(rows)

    def shapes(self) -> StepShapes:
        """See Prepared."""

        def step(rows: int) -> positions.Batch:
            zeros = torch.zeros(min(rows, BATCH), LENGTH, dtype=torch.int64)
            return positions.Batch(zeros, zeros)

        tokens = BATCH * LENGTH
        return StepShapes(
            total=positions.total,
            rows=BATCH,
            step=step,
            validation=lambda: step(BATCH),
            typical=lambda: (step(BATCH), 1),
            tokens=tokens,
            positions=tokens,
        )

    @property
    def epoch_tokens(self) -> int:
        """See Prepared."""
        return int(self.train.lengths_N.sum())

    @property
    def majority(self) -> float:
        """Accuracy of always giving the commonest label."""
        return majority_accuracy(self.train, self.validation)

    def described(self) -> list[str]:
        """See Prepared."""
        return [
            f"text: {self.facts.name}, {self.facts.files} files, {self.epoch_tokens:,} bytes to "
            f"train on, {int(self.validation.lengths_N.sum()):,} to validate on; what Python's own "
            f"tokenizer calls each byte: {', '.join(LABELS)}"
        ]

    def data_summary(self) -> dict[str, Any]:
        """See Prepared."""
        validation = {"validation_tokens": int(self.validation.lengths_N.sum())}
        return {**super().data_summary(), **validation}

    def next_command(self, path: Path) -> str:
        """See Prepared."""
        return f"phalanx evaluate {path}"


def prepare_python_tags(seed: int, documents: Sequence[Document] | None = None) -> PythonTags:
    """Label some Python source.

    Args:
        seed: of the order.
        documents: Python files; None: some of the standard library.
    """
    tokenizer = train_tokenizer("bytes", ())
    chosen = list(stdlib_documents() if documents is None else documents)
    whole = split_by_file(chosen, _SHARE)
    sides = [_first(side, limit) for side, limit in zip(whole, _BYTES, strict=True)]
    train, validation = (tagged_windows(side, tokenizer, LENGTH) for side in sides)
    texts = [document.text for side in sides for document in side]
    model = preset(
        "transformer", tokenizer.vocabulary, LENGTH, kind="encoder", outputs=len(LABELS), width=16
    )
    return PythonTags(
        config=RunConfig(
            task="tagging",
            data=DataConfig(tokenizer="bytes"),
            train=TrainingConfig(batch_size=BATCH, sequence_length=LENGTH, precision="float32"),
            seed=seed,
        ),
        model_config=model,
        tokenizer=tokenizer,
        facts=DataFacts(
            name="Python's standard library" if documents is None else "Python source",
            digest=hashlib.sha256("\0".join(texts).encode()).hexdigest(),
            files=len(texts),
            bytes=sum(len(text.encode()) for text in texts),
            split=f"by file, {_SHARE:.0%} to validate on",
        ),
        labels=LABELS,
        scheme="none",
        train=train,
        validation=validation,
    )


def _first(side: Sequence[Document], limit: int) -> list[Document]:
    """Documents from the front, cut off where they reach ``limit`` characters."""
    chosen, total = [], 0
    for document in side:
        chosen.append(document)
        total += len(document.text)
        if total >= limit:
            break
    return chosen
