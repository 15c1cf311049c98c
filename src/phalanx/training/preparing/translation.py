"""A translator's run: pairs of sentences, one tokenizer for both sides, batches by tokens."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.config import RunConfig, Task
from phalanx.data.labelled import Pair, load_pairs
from phalanx.data.length_batches import LengthBatches
from phalanx.data.tokenizers import Tokenizer, tokenizer_for
from phalanx.errors import UsageError
from phalanx.tasks import translation
from phalanx.tasks.batch import Total
from phalanx.tasks.translation import Batch, TokenPairs
from phalanx.tasks.word_translation import FILE_NAME, WordTranslation
from phalanx.training.precision import choose_device
from phalanx.training.prepared import DataFacts
from phalanx.training.preparing.rows import RowsPrepared
from phalanx.training.resolving import resolve_model, resolved, wanted_tokenizer

DEFAULT_TOKENIZER = "bpe"
DEFAULT_BATCH_TOKENS = 2048
"""Where neither train.batch_tokens nor train.batch_size is given."""


@dataclass(frozen=True, kw_only=True)
class TranslationRun(RowsPrepared):
    """A translator's run.

    Args:
        train, validation: the pairs of both sides.
        left_out: training pairs too long to be learned from.
        unknown: share of the validation side's tokens that the tokenizer does not know.
        baseline: what the model is compared with, fitted on the training side.
    """

    task: ClassVar[Task] = "translation"

    train: TokenPairs
    validation: TokenPairs
    left_out: int
    unknown: float
    baseline: WordTranslation

    def batch(self, samples_B: NDArray[np.int64], epoch: int) -> Batch:
        """See RowsPrepared; the same in every epoch."""
        return self.train.batch(samples_B, self.tokenizer.end_id)

    def zeros(self, rows: int, *lengths: int) -> Batch:
        """See RowsPrepared."""
        source, target = lengths
        ids_BT = torch.zeros(rows, target, dtype=torch.int64)
        return Batch(
            torch.zeros(rows, source, dtype=torch.int64),
            ids_BT,
            ids_BT,
            torch.full((rows,), source),
            torch.full((rows,), target),
        )

    def total(self, model: Any, batch: Batch, label_smoothing: float) -> Total:
        """See Prepared."""
        return translation.total(model, batch, label_smoothing)

    def validate(self, model: Any) -> Mapping[str, float]:
        """See Prepared: the loss alone; to translate takes a pass for each token."""
        return {"loss": translation.mean_loss(model, self.validation, self.tokenizer.end_id)}

    def described(self) -> list[str]:
        """See Prepared."""
        facts, tokenizer = self.facts, self.tokenizer
        source, target = (round(float(mean), 1) for mean in self.lengths.mean(0))
        lines = [
            f"pairs: {facts.origin}, split {facts.split}; {len(self.lengths):,} to train "
            f"on, {len(self.validation_lengths):,} to validate on; {source} and {target} tokens "
            f"each ({tokenizer.kind}, vocabulary {tokenizer.vocabulary}); padding "
            f"{self.order.padding:.1%}; sha256 {facts.digest[:12]}"
        ]
        longest = self.config.train.sequence_length
        if self.left_out:
            lines.append(
                f"warning: {self.left_out:,} pairs are longer than {longest} tokens and are not "
                "learned from; --train.sequence_length takes longer ones"
            )
        if self.unknown >= 0.001:
            lines.append(
                f"warning: {self.unknown:.1%} of the validation tokens stand for what the "
                "tokenizer does not know; --tokenizer bpe knows all text"
            )
        return lines

    def data_summary(self) -> dict[str, Any]:
        """See Prepared."""
        return {
            **super().data_summary(),
            "training_pairs": len(self.lengths),
            "validation_pairs": len(self.validation_lengths),
            "left_out": self.left_out,
        }

    def extras(self) -> dict[str, bytes]:
        """See Prepared."""
        return {FILE_NAME: self.baseline.to_json()}

    def next_command(self, path: Path) -> str:
        """See Prepared."""
        return f'echo "..." | phalanx translate {path}'


def prepare(config: RunConfig) -> TranslationRun:
    """Read pairs, make the tokenizer of both sides, and resolve the configuration.

    Raises:
        UsageError: the files or the tokenizer cannot be read, every pair is too long, or the model
            cannot be built.
    """
    choose_device(config.device)  # a wrong one is said before anything is read
    config = _batched(config)
    train = config.train
    wanted = wanted_tokenizer(config, DEFAULT_TOKENIZER)
    found = load_pairs(config.data)
    tokenizer = tokenizer_for(config.data, wanted, _texts(found.train))
    model_config = resolve_model(config, tokenizer.vocabulary, kind="encoder_decoder")
    longest = train.sequence_length
    learned = _short(tokenizer, found.train, longest)
    validation = TokenPairs.of(tokenizer, found.validation, longest).within(
        config.data.validation_tokens
    )
    lengths = learned.lengths_N2
    return TranslationRun(
        config=resolved(config, model_config, DEFAULT_TOKENIZER),
        model_config=model_config,
        tokenizer=tokenizer,
        facts=DataFacts.of(found),
        lengths=lengths,
        validation_lengths=validation.lengths_N2,
        order=LengthBatches(
            lengths, batch_size=train.batch_size, batch_tokens=train.batch_tokens, seed=config.seed
        ),
        train=learned,
        validation=validation,
        left_out=len(found.train) - len(lengths),
        unknown=_unknown(tokenizer, validation),
        baseline=WordTranslation.fit(learned.sources, learned.targets, tokenizer.end_id),
    )


def _batched(config: RunConfig) -> RunConfig:
    """Batches by tokens, unless something else is asked for."""
    train = config.train
    if train.batch_tokens is not None or "batch_size" in train.model_fields_set:
        return config
    by_tokens = train.model_copy(update={"batch_tokens": DEFAULT_BATCH_TOKENS})
    return config.model_copy(update={"train": by_tokens})


def _texts(pairs: Sequence[Pair]) -> Iterator[str]:
    for pair in pairs:
        yield pair.source
        yield pair.target


def _short(tokenizer: Tokenizer, pairs: Sequence[Pair], longest: int) -> TokenPairs:
    """The pairs that need not be cut: a target without its end would teach to go on."""
    every = TokenPairs.of(tokenizer, pairs, longest + 1)
    kept = [row for row, lengths in enumerate(every.lengths_N2) if lengths.max() <= longest]
    if not kept:
        raise UsageError(
            f"All {len(pairs):,} pairs to learn from are longer than {longest} tokens "
            "(train.sequence_length). Expected some that fit. Set a longer sequence."
        )
    return TokenPairs(
        tuple(every.sources[row] for row in kept), tuple(every.targets[row] for row in kept)
    )


def _unknown(tokenizer: Tokenizer, pairs: TokenPairs) -> float:
    ids = np.concatenate([*pairs.sources, *pairs.targets])
    return float((ids == tokenizer.unknown_id).mean()) if tokenizer.unknown_id is not None else 0.0
