"""A language model's run: text, its tokens on disk, and windows of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from phalanx.config import RunConfig, Task
from phalanx.data.batches import LanguageWindows
from phalanx.data.sources import Corpus, load_corpus
from phalanx.data.store import TokenStore, open_store
from phalanx.data.tokenizers import SIZED
from phalanx.tasks import language_modelling, positions
from phalanx.tasks.batch import Total, TrainingBatch
from phalanx.training.estimate import language_shapes
from phalanx.training.precision import choose_device
from phalanx.training.prepared import DataFacts, Prepared, StepShapes
from phalanx.training.probe import validation_seconds
from phalanx.training.resolving import resolve_model, resolved, wanted_tokenizer

DEFAULT_TOKENIZER = "characters"
_WORDS = ("wordpiece", "words")


@dataclass(frozen=True, kw_only=True)
class LanguageModelling(Prepared):
    """A language model's run.

    Args:
        corpus: the text.
        store: its tokens on disk.
        windows: samples of the training side, whose order the seed decides.
        validation: the validation side, cut into windows.
    """

    task: ClassVar[Task] = "language_modelling"

    corpus: Corpus
    store: TokenStore
    windows: LanguageWindows
    validation: language_modelling.Text

    @property
    def tokens(self) -> NDArray[np.integer[Any]]:
        """The training side, mapped from disk."""
        return self.store.train

    def batches(self) -> Callable[[int], TrainingBatch]:
        """See Prepared."""
        return language_modelling.batches(self.windows, self.config.train.batch_size)

    def total(self, model: Any, batch: positions.Batch, label_smoothing: float) -> Total:
        """See Prepared."""
        return positions.total(model, batch, label_smoothing)

    def validate(self, model: Any) -> Mapping[str, float]:
        """See Prepared."""
        return language_modelling.evaluate(model, self.validation).as_dict()

    def validation_seconds(self, model: Any) -> float:
        """See Prepared."""
        return validation_seconds(model, self.validation)

    def shapes(self) -> StepShapes:
        """See Prepared."""
        packed = self.config.data.documents == "separate"
        return language_shapes(self.model_config, self.config.train, packed=packed)

    @property
    def epoch_tokens(self) -> int:
        """See Prepared."""
        return len(self.tokens)

    def described(self) -> list[str]:
        """See Prepared."""
        facts, tokenizer, unknown = self.facts, self.tokenizer, self.validation.unknown
        lines = [
            f"text: {facts.origin}, {facts.bytes:,} bytes, split {facts.split}; "
            f"{len(self.tokens):,} tokens to train on, "
            f"{self.validation.windows.positions:,} to validate on "
            f"({tokenizer.kind}, vocabulary {tokenizer.vocabulary}); sha256 {facts.digest[:12]}"
        ]
        if unknown:
            what = "words" if tokenizer.kind in _WORDS else "characters"
            lines.append(
                f"warning: {unknown:,} {what} of the validation text are unknown to the tokenizer; "
                "--tokenizer bytes knows all text"
            )
        return lines

    def data_summary(self) -> dict[str, Any]:
        """See Prepared."""
        validation = {"validation_tokens": self.validation.windows.positions}
        return {**super().data_summary(), **validation}

    def next_command(self, path: Path) -> str:
        """See Prepared."""
        return f'phalanx generate {path} --prompt "..."'


def prepare(config: RunConfig) -> LanguageModelling:
    """Read the text, make the tokenizer and the tokens, and resolve the configuration.

    The tokens come from the cache where it holds them. Memory does not grow with the text.

    Raises:
        UsageError: the text or the tokenizer cannot be read, the text is too short, or the model
            cannot be built.
        PhalanxError: the text changed meanwhile, or the cache cannot be written.
    """
    choose_device(config.device)  # a wrong one is said before anything is read
    data, train = config.data, config.train
    tokenizer = wanted_tokenizer(config, DEFAULT_TOKENIZER)
    corpus = load_corpus(
        data.paths,
        data.validation_fraction,
        validation_paths=data.validation_paths,
        text_column=data.text_column,
        encoding_errors=data.encoding_errors,
    )
    vocabulary = data.vocabulary if tokenizer in SIZED else None
    store = open_store(corpus, tokenizer, vocabulary, lowercase=data.lowercase)
    model_config = resolve_model(config, store.tokenizer.vocabulary)
    end_id = store.tokenizer.end_id if data.documents == "separate" else None
    return LanguageModelling(
        config=resolved(config, model_config, DEFAULT_TOKENIZER),
        model_config=model_config,
        tokenizer=store.tokenizer,
        facts=DataFacts.of(corpus),
        corpus=corpus,
        store=store,
        windows=LanguageWindows(store.train, train.sequence_length, config.seed, end_id),
        validation=language_modelling.Text.over(
            store.tokenizer, store.validation, model_config.context, data.validation_tokens, end_id
        ),
    )
