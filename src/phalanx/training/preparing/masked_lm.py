"""A masked language model's run: the tokens of a text on disk, and windows of them with masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from phalanx.config import RunConfig, Task
from phalanx.data.batches import LanguageWindows
from phalanx.data.masking import chosen_at_most, mask_id
from phalanx.data.sources import load_corpus
from phalanx.data.store import TokenStore, open_store
from phalanx.data.tokenizers import SIZED
from phalanx.inference.passes import PASS_POSITIONS
from phalanx.models import Model
from phalanx.tasks import masked_lm
from phalanx.tasks.batch import Total, TrainingBatch
from phalanx.training.initial import initial_config
from phalanx.training.precision import choose_device
from phalanx.training.prepared import DataFacts, Prepared, StepShapes
from phalanx.training.probe import pass_seconds
from phalanx.training.resolving import resolve_model, resolved, wanted_tokenizer

DEFAULT_TOKENIZER = "wordpiece"


@dataclass(frozen=True, kw_only=True)
class MaskedLM(Prepared):
    """A masked language model's run.

    Args:
        store: the text's tokens on disk.
        hiding: what is hidden of them.
        windows: samples of the training side, whose order the seed decides.
        validation: the validation side, with the same tokens hidden at each validation.
    """

    task: ClassVar[Task] = "masked_lm"

    store: TokenStore
    hiding: masked_lm.Hiding
    windows: LanguageWindows
    validation: masked_lm.Text

    def batches(self) -> Callable[[int], TrainingBatch]:
        """See Prepared."""
        return masked_lm.batches(self.windows, self.config.train.batch_size, self.hiding)

    def total(self, model: Any, batch: masked_lm.Batch, label_smoothing: float) -> Total:
        """See Prepared."""
        return masked_lm.total(model, batch, label_smoothing)

    def validate(self, model: Any) -> Mapping[str, float]:
        """See Prepared: loss, accuracy and perplexity of the hidden tokens."""
        return masked_lm.evaluate(model, self.validation).as_dict()

    def validation_seconds(self, model: Model) -> float:
        """See Prepared: one pass, timed, for all."""
        batch = next(self.validation.passes()).to(model.embedding.weight.device)
        seconds = pass_seconds(model, batch, self.total)
        return seconds * self.validation.windows.positions / batch.tokens

    def shapes(self) -> StepShapes:
        """See Prepared."""
        length, rows = self.config.train.sequence_length, self.config.train.batch_size
        return StepShapes(
            total=self.total,
            rows=rows,
            step=self._zeros,
            validation=lambda: self._zeros(max(1, PASS_POSITIONS // length)),
            typical=lambda: (self._zeros(1), rows),
            tokens=rows * length,
            positions=rows * length,
            packed=self.hiding.separate,
        )

    def _zeros(self, rows: int) -> masked_lm.Batch:
        length = self.config.train.sequence_length
        ids_BT = torch.zeros(rows, length, dtype=torch.int64)
        chosen_BK = ids_BT[:, : chosen_at_most(length, self.hiding.fraction)]
        segments_BT = ids_BT if self.hiding.separate else None
        return masked_lm.Batch(ids_BT, chosen_BK, chosen_BK, segments_BT)

    @property
    def epoch_tokens(self) -> int:
        """See Prepared."""
        return len(self.store.train)

    def described(self) -> list[str]:
        """See Prepared."""
        facts, tokenizer, side = self.facts, self.tokenizer, self.store.validation_facts
        lines = [
            f"text: {facts.origin}, {facts.bytes:,} bytes, split {facts.split}; "
            f"{self.epoch_tokens:,} tokens to train on, "
            f"{self.validation.windows.positions:,} to validate on ({tokenizer.kind}, vocabulary "
            f"{tokenizer.vocabulary}), {self.hiding.fraction:.0%} of them hidden; "
            f"sha256 {facts.digest[:12]}"
        ]
        if side.unknown:
            lines.append(
                f"warning: {side.unknown:,} of {side.tokens:,} tokens of the validation text are "
                "unknown to the tokenizer and never hidden; --data.vocabulary knows more"
            )
        return lines

    def data_summary(self) -> dict[str, Any]:
        """See Prepared."""
        validation = {"validation_tokens": self.validation.windows.positions}
        return {**super().data_summary(), **validation}

    def extras(self) -> dict[str, bytes]:
        """See Prepared."""
        unigram = masked_lm.Unigram.fit(self.tokenizer, self.store.train)
        return {masked_lm.FILE_NAME: unigram.to_json()}

    def next_command(self, path: Path) -> str:
        """See Prepared."""
        return f"phalanx train --task classification --init {path} DATA"


def prepare(config: RunConfig) -> MaskedLM:
    """Read the text, make the tokenizer and the tokens, and resolve the configuration.

    The tokens come from the cache where it holds them. Memory does not grow with the text.

    Raises:
        UsageError: the text or the tokenizer cannot be read, the text is too short, the tokenizer
            has no mask, or the model cannot be built.
        PhalanxError: the text changed meanwhile, or the cache cannot be written.
    """
    choose_device(config.device)  # a wrong one is said before anything is read
    data, train = config.data, config.train
    tokenizer = wanted_tokenizer(config, DEFAULT_TOKENIZER)
    if not isinstance(tokenizer, str):
        mask_id(tokenizer)
    corpus = load_corpus(
        data.paths,
        data.validation_fraction,
        validation_paths=data.validation_paths,
        text_column=data.text_column,
        encoding_errors=data.encoding_errors,
    )
    vocabulary = data.vocabulary if tokenizer in SIZED else None
    store = open_store(corpus, tokenizer, vocabulary, lowercase=data.lowercase, mask=True)
    model_config = resolve_model(
        config, store.tokenizer.vocabulary, kind="encoder", outputs=None, **_defaults(config)
    )
    hiding = masked_lm.Hiding(store.tokenizer, train.mask_fraction, data.documents == "separate")
    length = train.sequence_length
    return MaskedLM(
        config=resolved(config, model_config, DEFAULT_TOKENIZER),
        model_config=model_config,
        tokenizer=store.tokenizer,
        facts=DataFacts.of(corpus),
        store=store,
        hiding=hiding,
        windows=LanguageWindows(store.train, hiding.length(length), config.seed),
        validation=masked_lm.Text.over(hiding, store.validation, length, data.validation_tokens),
    )


def _defaults(config: RunConfig) -> dict[str, object]:
    """Fields of the model for this task, under the overrides."""
    if config.init is not None and initial_config(Path(config.init)).head == "masked":
        return {"pooling": None}
    return {"pooling": None, "head": "masked", "output_bias": True}
