"""A language model trained from a configuration: what `phalanx train` does, for Python too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.config import ModelConfig, RunConfig, to_yaml
from phalanx.data.batches import LanguageWindows
from phalanx.data.sources import Corpus, load_corpus
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import UsageError, did_you_mean
from phalanx.models import Decoder, build, preset
from phalanx.models.presets import count
from phalanx.tasks import language_modelling
from phalanx.training.metrics import MetricsLog
from phalanx.training.model_directory import Description, save_model
from phalanx.training.precision import choose_device, choose_precision
from phalanx.training.progress import Progress
from phalanx.training.trainer import Step, Trainer, Validation

CONFIG = "config.yaml"


@dataclass(frozen=True)
class Prepared:
    """A configuration with its text read: everything that training needs but a model in memory.

    Args:
        config: resolved: the model in full, precision and device named.
        model_config: the model's architecture.
        corpus: the text.
        tokenizer: made from its training side.
        tokens: the training side.
        validation: the validation side.
    """

    config: RunConfig
    model_config: ModelConfig
    corpus: Corpus
    tokenizer: Tokenizer
    tokens: NDArray[np.int32]
    validation: language_modelling.Text


def prepare(config: RunConfig) -> Prepared:
    """Read the text, make the tokenizer, and resolve the configuration.

    Raises:
        UsageError: the text cannot be read, is too short, or the model cannot be built.
    """
    device = choose_device(config.device)
    data, train = config.data, config.train
    corpus = load_corpus(data.paths, data.validation_fraction)
    texts = [document.text for document in corpus.train]
    vocabulary = data.vocabulary if data.tokenizer == "bpe" else None
    tokenizer = train_tokenizer(data.tokenizer, texts, vocabulary)
    model_config = resolve_model(config, tokenizer.vocabulary)
    tokens = tokenizer.encode_documents(texts)
    LanguageWindows(tokens, train.sequence_length, config.seed)  # says so if the text is too short
    validation = language_modelling.Text.of(
        tokenizer, [document.text for document in corpus.validation], model_config.context
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
    return Prepared(resolved, model_config, corpus, tokenizer, tokens, validation)


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


def make_trainer(prepared: Prepared) -> Trainer:
    """A trainer over a fresh model, whose weights the seed decides."""
    config = prepared.config
    model = build(prepared.model_config, config.seed).to(choose_device(config.device))
    windows = LanguageWindows(prepared.tokens, config.train.sequence_length, config.seed)
    return Trainer(
        model,
        config.train,
        language_modelling.batches(windows, config.train.batch_size),
        validate=lambda model: language_modelling.evaluate(model, prepared.validation).as_dict(),
    )


class RunDirectory:
    """A run on disk: ``config.yaml``, ``metrics.jsonl``, ``last/`` and ``best/``.

    Raises:
        UsageError: the directory exists and holds something, or cannot be made.
    """

    def __init__(self, path: Path, prepared: Prepared) -> None:
        check_free(path)
        self.path = path
        self._prepared = prepared
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / CONFIG).write_text(to_yaml(prepared.config), encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{path}: cannot write the run: {error.strerror}. Choose another --output."
            ) from None

    def save(self, name: str, trainer: Trainer, scores: Mapping[str, float]) -> None:
        """Write the model as it is now to ``last/`` or ``best/``."""
        config, corpus = self._prepared.config, self._prepared.corpus
        model = trainer.model
        assert isinstance(model, Decoder)
        description = Description(
            model=self._prepared.model_config,
            figures={
                **{f"validation_{name}": value for name, value in scores.items()},
                "steps": trainer.steps,
                "tokens": trainer.tokens,
                "seconds": round(trainer.seconds, 3),
            },
            training={
                "text": corpus.name,
                "text_sha256": corpus.digest,
                "preset": config.preset,
                "optimizer": config.train.optimizer,
                "precision": trainer.precision,
                "seed": config.seed,
                "threads": torch.get_num_threads(),
                "schedules": schedules(model),
            },
        )
        save_model(self.path / name, model, self._prepared.tokenizer, description)


def check_free(path: Path) -> None:
    """Refuse a directory that holds something already.

    Raises:
        UsageError: it does, or it is a file.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"{path} exists already. Expected a new or empty directory for the run. Choose another "
            f"--output, or remove it first: rm -r {path}"
        )


def schedules(model: torch.nn.Module) -> dict[str, str]:
    """The schedule in use by each kind of mixer of a model."""
    from phalanx.mixers.base import Mixer

    mixers = [module for module in model.modules() if isinstance(module, Mixer)]
    return {type(mixer).__name__: mixer.schedule for mixer in mixers}


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Args:
        best: the validation with the lowest loss; None when none was made.
        last: the last validation.
        step: the last step.
    """

    best: Validation | None = None
    last: Validation | None = None
    step: Step | None = None


def train(trainer: Trainer, directory: RunDirectory, progress: Progress) -> Outcome:
    """Run a trainer to its end, keeping the record and the best and last model.

    Returns early, with the last model saved, when the trainer is stopped or KeyboardInterrupt
    comes during a validation.
    """
    outcome = Outcome()
    with MetricsLog(directory.path) as log, progress:
        try:
            for event in trainer.events():
                log.write(event)
                progress.show(event)
                if isinstance(event, Step):
                    outcome = replace(outcome, step=event)
                    continue
                outcome = replace(outcome, last=event, best=event if event.best else outcome.best)
                directory.save("last", trainer, event.scores)
                if event.best:
                    directory.save("best", trainer, event.scores)
        except KeyboardInterrupt:
            if not (trainer.interrupted and trainer.steps):
                raise
    at_last = outcome.last is not None and outcome.last.step == trainer.steps
    if trainer.steps and not at_last:
        directory.save("last", trainer, {})
    return outcome


def summary(prepared: Prepared, trainer: Trainer, outcome: Outcome, path: Path) -> dict[str, Any]:
    """The result of a run as JSON values."""
    total, outside = trainer.model.parameter_counts()
    best = outcome.best
    return {
        "path": str(path),
        "parameters": total,
        "non_embedding_parameters": outside,
        "steps": trainer.steps,
        "tokens": trainer.tokens,
        "seconds": trainer.seconds,
        "tokens_per_second": trainer.tokens / trainer.seconds if trainer.seconds else None,
        "training_loss": outcome.step.loss if outcome.step else None,
        "best": {"step": best.step, **best.scores} if best else None,
        "interrupted": trainer.interrupted,
        "text": {
            "name": prepared.corpus.name,
            "sha256": prepared.corpus.digest,
            "files": prepared.corpus.files,
            "bytes": prepared.corpus.bytes,
            "split": prepared.corpus.split,
            "training_tokens": len(prepared.tokens),
            "validation_tokens": prepared.validation.windows.positions,
        },
        "config": json.loads(prepared.config.model_dump_json()),
    }
