"""A language model trained from a configuration: what `phalanx train` does, for Python too."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phalanx.config import ModelConfig, RunConfig
from phalanx.data.batches import LanguageWindows
from phalanx.data.sources import Corpus, load_corpus
from phalanx.data.store import TokenStore, open_store
from phalanx.data.tokenizers import KINDS, Tokenizer, load_tokenizer
from phalanx.errors import UsageError, did_you_mean
from phalanx.models import build, preset
from phalanx.models.presets import count
from phalanx.tasks import language_modelling
from phalanx.training.estimate import check_size, choose_micro_batch
from phalanx.training.memory import available_bytes
from phalanx.training.precision import choose_device, choose_precision
from phalanx.training.trainer import Trainer


@dataclass(frozen=True)
class Prepared:
    """A configuration with its text read: everything that training needs but a model in memory.

    Args:
        config: resolved: the model in full, precision and device named.
        model_config: the model's architecture.
        corpus: the text.
        store: its tokens on disk.
        windows: samples of the training side, whose order the seed decides.
        validation: the validation side, cut into windows.
    """

    config: RunConfig
    model_config: ModelConfig
    corpus: Corpus
    store: TokenStore
    windows: LanguageWindows
    validation: language_modelling.Text

    @property
    def tokenizer(self) -> Tokenizer:
        """Made from the training side, or given."""
        return self.store.tokenizer

    @property
    def tokens(self) -> NDArray[np.integer[Any]]:
        """The training side, mapped from disk."""
        return self.store.train


def prepare(config: RunConfig) -> Prepared:
    """Read the text, make the tokenizer and the tokens, and resolve the configuration.

    The tokens come from the cache where it holds them. Memory does not grow with the text.

    Raises:
        UsageError: the text or the tokenizer cannot be read, the text is too short, or the model
            cannot be built.
        PhalanxError: the text changed meanwhile, or the cache cannot be written.
    """
    device = choose_device(config.device)
    data, train = config.data, config.train
    tokenizer = _wanted_tokenizer(data.tokenizer)
    corpus = load_corpus(
        data.paths,
        data.validation_fraction,
        validation_paths=data.validation_paths,
        text_column=data.text_column,
        encoding_errors=data.encoding_errors,
    )
    store = open_store(corpus, tokenizer, data.vocabulary if tokenizer == "bpe" else None)
    model_config = resolve_model(config, store.tokenizer.vocabulary)
    end_id = store.tokenizer.end_id if data.documents == "separate" else None
    windows = LanguageWindows(store.train, train.sequence_length, config.seed, end_id)
    validation = language_modelling.Text.over(
        store.tokenizer, store.validation, model_config.context, data.validation_tokens, end_id
    )
    precision = choose_precision(train.precision, model_config, device)
    resolved = config.model_copy(
        update={
            "size": None,
            "model": model_config.model_dump(mode="json", exclude={"vocabulary"}),
            "train": train.model_copy(update={"precision": precision}),
            "device": device.type,
        }
    )
    return Prepared(resolved, model_config, corpus, store, windows, validation)


def _wanted_tokenizer(name: str) -> Tokenizer | str:
    """The tokenizer at a path, or the kind to train."""
    if name in KINDS:
        return name
    if Path(name).exists() or len(Path(name).parts) > 1:
        return load_tokenizer(name)
    raise UsageError(
        f"data.tokenizer is {name!r}. Expected a kind to train, or the path of a tokenizer that "
        f"exists.{did_you_mean(name, KINDS)}"
    )


def resolve_model(config: RunConfig, vocabulary: int) -> ModelConfig:
    """The model of a run: the preset, with the overrides of ``config.model``.

    Its context is the length that it is trained on, unless an override says otherwise.

    Raises:
        UsageError: an unknown key, a value that does not fit, or a model that is no language model.
    """
    changes = dict(config.model)
    for key in changes:
        if key not in ModelConfig.model_fields:
            known = ModelConfig.model_fields
            raise UsageError(f"model.{key}: unknown key.{did_you_mean(key, known)}")
    length = config.train.sequence_length
    context = changes.pop("context", None)
    context = length if context is None else context
    given = changes.pop("vocabulary", vocabulary)
    if given != vocabulary:
        raise UsageError(
            f"model.vocabulary is {given}, and the tokenizer has {vocabulary} tokens. Expected as "
            "many. Leave it out."
        )
    if config.size is not None and "width" in changes:
        raise UsageError(
            "size and model.width are both given, and each decides how wide the model is. Expected "
            "one of them. Leave one out."
        )
    try:
        model = preset(config.preset, vocabulary, context, config.size, **changes)
        check_size(model, available_bytes(choose_device(config.device)))
        count(model)  # builds it without memory, so that a width that heads do not divide shows
    except ValueError as error:
        raise UsageError(f"model: {error}.") from None
    if model.kind != "decoder" or model.outputs not in (None, vocabulary):
        raise UsageError(
            f"model: a language model needs kind: decoder and {vocabulary} outputs; given "
            f"{model.kind} and {model.outputs}. Leave both out."
        )
    if model.context < length:
        raise UsageError(
            f"train.sequence_length is {length}, more than model.context {model.context}. Expected "
            "at most that. Set a longer context or a shorter sequence."
        )
    return model


def make_trainer(prepared: Prepared, say: Callable[[str], object] = warnings.warn) -> Trainer:
    """A trainer over a fresh model, whose weights the seed decides.

    Args:
        prepared: what is trained.
        say: takes what a person should know: that memory is short, and what is done about it.

    Raises:
        UsageError: not even one sequence at a time fits into memory.
    """
    config = prepared.config
    device = choose_device(config.device)
    packed = config.data.documents == "separate"
    wanted = config.train.micro_batch_size or config.train.batch_size
    fitting = choose_micro_batch(prepared.model_config, config.train, device, packed=packed)
    if fitting < wanted:
        say(
            f"warning: {wanted} sequences at a time need more memory than there is; taking "
            f"{fitting} at a time. The batch and its gradient stay the same."
        )
    trainer = Trainer(
        build(prepared.model_config, config.seed).to(device),
        config.train,
        language_modelling.batches(prepared.windows, config.train.batch_size),
        validate=lambda model: language_modelling.evaluate(model, prepared.validation).as_dict(),
        seed=config.seed,
        say=say,
    )
    trainer.micro_batch = fitting
    return trainer
