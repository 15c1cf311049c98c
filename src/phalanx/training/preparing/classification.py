"""A classifier's run: labelled texts, batched with others of about their length."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.config import RunConfig, Task
from phalanx.data.labelled import Example, load_examples
from phalanx.data.length_batches import LengthBatches
from phalanx.data.masking import drop_tokens
from phalanx.data.tokenizers import tokenizer_for
from phalanx.inference.classifying import Inputs, Text, encode, scores
from phalanx.tasks import classification
from phalanx.tasks.baselines import FILE_NAME, Baselines
from phalanx.tasks.batch import Total
from phalanx.tasks.classification_report import Numbers, numbers, validation_scores
from phalanx.training.initial import initial_config
from phalanx.training.precision import choose_device
from phalanx.training.prepared import DataFacts
from phalanx.training.preparing.rows import RowsPrepared
from phalanx.training.resolving import resolve_model, resolved, wanted_tokenizer

DEFAULT_TOKENIZER = "wordpiece"
_SHOWN_LABELS = 5


@dataclass(frozen=True)
class Side:
    """One side of the data, as the model reads it.

    Args:
        inputs: the texts.
        labels_N: the number of each one's label.
    """

    inputs: Inputs
    labels_N: Numbers


@dataclass(frozen=True, kw_only=True)
class Classification(RowsPrepared):
    """A classifier's run.

    Args:
        train, validation: both sides.
        weights_C: of the labels, whose mean over the training side is 1; None: all count alike.
        counts: training rows of each label.
        baselines: what the model is compared with, fitted on the training side.
    """

    task: ClassVar[Task] = "classification"

    train: Side
    validation: Side
    weights_C: classification.Weights | None
    counts: Mapping[str, int]
    baselines: Baselines

    def batch(self, samples_B: NDArray[np.int64], epoch: int) -> classification.Batch:
        """See RowsPrepared."""
        ids_BT, lengths_B, types_BT = self.train.inputs.batch(samples_B)
        numbers_B = torch.from_numpy(samples_B)
        share = self.config.train.token_dropout
        if share:
            ids_BT = drop_tokens(
                ids_BT,
                lengths_B,
                self.tokenizer,
                share,
                seed=self.config.seed,
                epoch=epoch,
                samples_B=numbers_B,
            )
        labels_B = torch.from_numpy(self.train.labels_N[samples_B])
        return classification.Batch(ids_BT, labels_B, lengths_B, types_BT, numbers_B)

    def zeros(self, rows: int, *lengths: int) -> classification.Batch:
        """See RowsPrepared."""
        [length] = lengths
        ids_BT = torch.zeros(rows, length, dtype=torch.int64)
        types_BT = None if self.train.inputs.types is None else ids_BT
        labels_B = torch.zeros(rows, dtype=torch.int64)
        return classification.Batch(ids_BT, labels_B, torch.full((rows,), length), types_BT)

    def total(self, model: Any, batch: classification.Batch, label_smoothing: float) -> Total:
        """See Prepared."""
        return classification.total(model, batch, label_smoothing, self.weights_C)

    def validate(self, model: Any) -> Mapping[str, float]:
        """See Prepared: loss (unweighted), accuracy and macro F1."""
        return validation_scores(scores(model, self.validation.inputs), self.validation.labels_N)

    def criterion(self, scores: Mapping[str, float]) -> float:
        """The best has the highest accuracy; macro F1, where every label is to count alike."""
        return -scores["accuracy" if self.weights_C is None else "macro_f1"]

    def described(self) -> list[str]:
        """See Prepared."""
        facts, tokenizer, counts = self.facts, self.tokenizer, self.counts
        order = sorted(counts, key=lambda label: (-counts[label], label))
        shown = ", ".join(f"{label} {counts[label]:,}" for label in order[:_SHOWN_LABELS])
        few = f" ... {order[-1]} {counts[order[-1]]:,}" if len(order) > _SHOWN_LABELS else ""
        train, validation = self.train, self.validation
        lines = [
            f"rows: {facts.origin}, split {facts.split}; {len(train.labels_N):,} to train "
            f"on, {len(validation.labels_N):,} to validate on; {self.epoch_tokens:,} tokens "
            f"({tokenizer.kind}, vocabulary {tokenizer.vocabulary}); sha256 {facts.digest[:12]}",
            f"labels: {len(counts)}: {shown}{few}",
        ]
        cut = train.inputs.cut + validation.inputs.cut
        if cut:
            texts = len(train.labels_N) + len(validation.labels_N)
            lines.append(
                f"warning: {cut:,} of {texts:,} texts are longer than "
                f"{self.config.train.sequence_length} tokens and lose "
                "their end; --train.sequence_length reads more"
            )
        return lines

    def data_summary(self) -> dict[str, Any]:
        """See Prepared."""
        return {
            **super().data_summary(),
            "training_rows": len(self.train.labels_N),
            "validation_rows": len(self.validation.labels_N),
            "labels": dict(self.counts),
        }

    def extras(self) -> dict[str, bytes]:
        """See Prepared."""
        return {FILE_NAME: self.baselines.to_json()}

    def next_command(self, path: Path) -> str:
        """See Prepared."""
        return f'phalanx predict {path} --text "..."'


def prepare(config: RunConfig) -> Classification:
    """Read labelled texts, make the tokenizer, and resolve the configuration.

    Raises:
        UsageError: the files or the tokenizer cannot be read (see ``load_examples``), or the model
            cannot be built.
    """
    choose_device(config.device)  # a wrong one is said before anything is read
    train = config.train
    wanted = wanted_tokenizer(config, DEFAULT_TOKENIZER)
    found = load_examples(config.data)
    counts = Counter(example.label for example in found.train)
    labels = tuple(sorted(counts))
    texts = [_text(example) for example in found.train]
    pairs = any(not isinstance(text, str) for text in texts)
    flat = (part for text in texts for part in ([text] if isinstance(text, str) else text))
    tokenizer = tokenizer_for(config.data, wanted, flat, mask=True)
    model_config = resolve_model(
        config,
        tokenizer.vocabulary,
        kind="encoder",
        outputs=len(labels),
        **_defaults(config, pairs=pairs),
    )
    sides = [
        Side(
            encode(tokenizer, [_text(e) for e in side], train.sequence_length),
            numbers(side, labels),
        )
        for side in (found.train, found.validation)
    ]
    return Classification(
        config=resolved(config, model_config, DEFAULT_TOKENIZER),
        model_config=model_config,
        tokenizer=tokenizer,
        facts=DataFacts.of(found),
        labels=labels,
        lengths=sides[0].inputs.lengths_N,
        validation_lengths=sides[1].inputs.lengths_N,
        train=sides[0],
        validation=sides[1],
        order=LengthBatches(
            sides[0].inputs.lengths_N,
            batch_size=train.batch_size,
            batch_tokens=train.batch_tokens,
            seed=config.seed,
        ),
        weights_C=(
            classification.balanced([counts[label] for label in labels])
            if train.class_weights == "balanced"
            else None
        ),
        counts=counts,
        baselines=Baselines.fit(found.train),
    )


def _text(example: Example) -> Text:
    return example.text if example.pair is None else (example.text, example.pair)


def _defaults(config: RunConfig, *, pairs: bool) -> dict[str, object]:
    """Fields of the model for this task, under the overrides."""
    start = None if config.init is None else initial_config(Path(config.init))
    pooling = (start and start.pooling) or "mean"
    found: dict[str, object] = {"pooling": pooling, "tied": False, "output_bias": True}
    if start is not None and start.head == "masked":
        found["head"] = "linear"
    if pairs and start is None:
        found["token_types"] = 2
    return found
