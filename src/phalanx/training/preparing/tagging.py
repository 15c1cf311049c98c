"""A tagger's run: sentences whose words have tags, batched with others of about their length."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.config import RunConfig, Task
from phalanx.data.labelled import Labelled, Sentence, load_sentences
from phalanx.data.length_batches import LengthBatches
from phalanx.data.masking import hiding_id
from phalanx.data.tag_schemes import detect, problems
from phalanx.data.tokenizers import Tokenizer, tokenizer_for
from phalanx.inference.tagging import encode, tokenizer_text
from phalanx.tasks import tagging
from phalanx.tasks.batch import Total
from phalanx.tasks.classification import Weights, balanced
from phalanx.tasks.tagging import Batch, Side
from phalanx.tasks.tagging_baselines import FILE_NAME, Baselines
from phalanx.training.initial import initial_config
from phalanx.training.precision import choose_device
from phalanx.training.prepared import DataFacts
from phalanx.training.preparing.rows import RowsPrepared
from phalanx.training.resolving import resolve_model, resolved, wanted_tokenizer

DEFAULT_TOKENIZER = "bpe"
_SHOWN_LABELS = 8


@dataclass(frozen=True, kw_only=True)
class TaggingRun(RowsPrepared):
    """A tagger's run.

    Args:
        train, validation: the sentences of both sides.
        counts: training words of each tag.
        baselines: what the model is compared with, fitted on the training side.
        weights_L: by which a word of each tag counts in training; None: all alike.
    """

    task: ClassVar[Task] = "tagging"

    train: Side
    validation: Side
    counts: Mapping[str, int]
    baselines: Baselines
    weights_L: Weights | None

    def batch(self, samples_B: NDArray[np.int64], epoch: int) -> Batch:
        """See RowsPrepared; ``token_dropout`` hides whole words, others in each epoch."""
        batch = self.train.batch(samples_B)
        share = self.config.train.token_dropout
        if not share:
            return batch
        hidden_BT = torch.from_numpy(
            self.train.hidden(samples_B, share, seed=self.config.seed, epoch=epoch)
        )
        inputs_BT = torch.where(hidden_BT, hiding_id(self.tokenizer), batch.inputs_BT)
        return replace(batch, inputs_BT=inputs_BT)

    def zeros(self, rows: int, *lengths: int) -> Batch:
        """See RowsPrepared."""
        ids_BT = torch.zeros(rows, lengths[0], dtype=torch.int64)
        return Batch(ids_BT, ids_BT, torch.full((rows,), lengths[0]))

    def total(self, model: Any, batch: Batch, label_smoothing: float) -> Total:
        """See Prepared."""
        return tagging.total(model, batch, label_smoothing, self.weights_L)

    def validate(self, model: Any) -> Mapping[str, float]:
        """See Prepared: loss and accuracy; strict F1 where tags mark entities."""
        assert self.labels is not None
        assert self.scheme is not None
        return tagging.validation_scores(model, self.validation, self.labels, self.scheme)

    def criterion(self, scores: Mapping[str, float]) -> float:
        """The best has the highest F1 where tags mark entities, else the highest accuracy."""
        return -scores["accuracy" if self.scheme == "none" else "f1"]

    def described(self) -> list[str]:
        """See Prepared."""
        facts, tokenizer, counts = self.facts, self.tokenizer, self.counts
        train, validation = self.train, self.validation
        order = sorted(counts, key=lambda tag: (-counts[tag], tag))
        shown = ", ".join(f"{tag} {counts[tag]:,}" for tag in order[:_SHOWN_LABELS])
        few = f" ... {order[-1]} {counts[order[-1]]:,}" if len(order) > _SHOWN_LABELS else ""
        lines = [
            f"sentences: {facts.origin}, split {facts.split}; "
            f"{len(train.sentences):,} to train on, {len(validation.sentences):,} to validate on; "
            f"{sum(counts.values()):,} words, {self.epoch_tokens:,} tokens ({tokenizer.kind}, "
            f"vocabulary {tokenizer.vocabulary}); sha256 {facts.digest[:12]}",
            f"tags: scheme {self.scheme}, {len(counts)}: {shown}{few}",
        ]
        return [*lines, *self._warnings()]

    def _warnings(self) -> list[str]:
        sides = (self.train.inputs, self.validation.inputs)
        longest = self.config.train.sequence_length
        divided, cut = sum(side.divided for side in sides), sum(side.cut for side in sides)
        found = []
        if divided:
            found.append(
                f"warning: {divided:,} sentences have more than {longest} tokens and are divided; "
                "--train.sequence_length reads more at once"
            )
        if cut:
            found.append(f"warning: {cut:,} words have more tokens than that and lose their end")
        if self.validation.inputs.unknown:
            found.append(
                f"warning: the tokenizer does not know {self.validation.inputs.unknown:,} words "
                "of the validation side, or a part of them; --tokenizer bpe knows all text"
            )
        return found

    def data_summary(self) -> dict[str, Any]:
        """See Prepared."""
        return {
            **super().data_summary(),
            "training_sentences": len(self.train.sentences),
            "validation_sentences": len(self.validation.sentences),
            "scheme": self.scheme,
            "labels": dict(self.counts),
        }

    def extras(self) -> dict[str, bytes]:
        """See Prepared."""
        return {FILE_NAME: self.baselines.to_json()}

    def next_command(self, path: Path) -> str:
        """See Prepared."""
        return f'phalanx predict {path} --text "..."'


def prepare(config: RunConfig) -> TaggingRun:
    """Read tagged sentences, make the tokenizer, and resolve the configuration.

    Raises:
        UsageError: the files or the tokenizer cannot be read, tags are of mixed schemes or all
            alike, or the model cannot be built.
    """
    choose_device(config.device)  # a wrong one is said before anything is read
    train = config.train
    wanted = wanted_tokenizer(config, DEFAULT_TOKENIZER)
    found = load_sentences(config.data)
    counts = Counter(tag for sentence in found.train for tag in sentence.tags)
    labels, scheme = tuple(sorted(counts)), _scheme(config, found)
    kind = wanted.kind if isinstance(wanted, Tokenizer) else wanted
    texts = (tokenizer_text(kind, sentence.words) for sentence in found.train)
    tokenizer = tokenizer_for(config.data, wanted, texts, mask=True)
    model_config = resolve_model(
        config, tokenizer.vocabulary, kind="encoder", outputs=len(labels), **_defaults(config)
    )
    learned, judged = (
        Side.of(
            encode(tokenizer, [each.words for each in side], train.sequence_length), side, labels
        )
        for side in (found.train, found.validation)
    )
    lengths = learned.inputs.lengths_N
    return TaggingRun(
        config=resolved(config, model_config, DEFAULT_TOKENIZER),
        model_config=model_config,
        tokenizer=tokenizer,
        facts=_facts(found, scheme),
        labels=labels,
        scheme=scheme,
        lengths=lengths,
        validation_lengths=judged.inputs.lengths_N,
        order=LengthBatches(
            lengths, batch_size=train.batch_size, batch_tokens=train.batch_tokens, seed=config.seed
        ),
        train=learned,
        validation=judged,
        counts=counts,
        baselines=Baselines.fit(found.train),
        weights_L=(
            balanced([counts[label] for label in labels])
            if train.class_weights == "balanced"
            else None
        ),
    )


def _scheme(config: RunConfig, found: Labelled[Sentence]) -> str:
    if config.data.scheme != "auto":
        return config.data.scheme
    sentences = (*found.train, *found.validation)
    return detect([each.tags for each in sentences], [each.place for each in sentences])


def _facts(found: Labelled[Sentence], scheme: str) -> DataFacts:
    sides = (*found.train, *found.validation)
    faults = [
        (sentence.place, *fault) for sentence in sides for fault in problems(sentence.tags, scheme)
    ]
    notes = list(found.notes)
    if faults:
        place, _, message = faults[0]
        notes.append(
            f"{len(faults):,} tags break the rules of their scheme, which make no entity there: "
            f"sentence {place}: {message}"
        )
    return replace(DataFacts.of(found), notes=tuple(notes))


def _defaults(config: RunConfig) -> dict[str, object]:
    """Fields of the model for this task, under the overrides."""
    start = None if config.init is None else initial_config(Path(config.init))
    found: dict[str, object] = {"pooling": None, "tied": False, "output_bias": True}
    if start is not None and start.head != "linear":
        found["head"] = "linear"
    return found
