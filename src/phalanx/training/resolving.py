"""What a configuration leaves open, settled: the tokenizer and the model of a run."""

from pathlib import Path
from typing import Literal

from phalanx.config import ModelConfig, RunConfig
from phalanx.data.tokenizers import KINDS, Tokenizer, load_tokenizer
from phalanx.errors import UsageError, did_you_mean
from phalanx.models import preset
from phalanx.models.presets import count
from phalanx.training.estimate import check_size
from phalanx.training.initial import initial_config, initial_tokenizer
from phalanx.training.memory import available_bytes
from phalanx.training.precision import choose_device, choose_precision


def wanted_tokenizer(config: RunConfig, default: str) -> Tokenizer | str:
    """The tokenizer of a run: that of the model it starts from, that at a path, or a kind to train.

    Args:
        config: the run.
        default: the kind where nothing is said.

    Raises:
        UsageError: no such kind or path, or a tokenizer beside ``init``, which brings its own.
    """
    name = config.data.tokenizer
    if config.init is not None:
        if name is not None and name != config.init:
            raise UsageError(
                f"data.tokenizer is {name!r}, and init {config.init} brings its own, which its "
                "weights belong to. Expected one of them. Leave data.tokenizer out."
            )
        return initial_tokenizer(Path(config.init))
    name = default if name is None else name
    if name in KINDS:
        return name
    if Path(name).exists() or len(Path(name).parts) > 1:
        return load_tokenizer(name)
    raise UsageError(
        f"data.tokenizer is {name!r}. Expected a kind to train, or the path of a tokenizer that "
        f"exists.{did_you_mean(name, KINDS)}"
    )


def resolve_model(
    config: RunConfig,
    vocabulary: int,
    *,
    kind: Literal["decoder", "encoder", "encoder_decoder"] = "decoder",
    outputs: int | None = None,
    **defaults: object,
) -> ModelConfig:
    """The model of a run: the preset or that of ``init``, with the overrides of ``config.model``.

    Its context is the length that it is trained on, unless an override says otherwise.

    Args:
        config: the run.
        vocabulary: tokens of the tokenizer.
        kind: what the task needs.
        outputs: scores at each position, or of each row; None: one a token of the vocabulary.
        defaults: fields of ModelConfig for this task, under the overrides.

    Raises:
        UsageError: an unknown key, a value that does not fit, or a model that cannot do the task.
    """
    overrides = dict(config.model)
    for key in overrides:
        if key not in ModelConfig.model_fields:
            known = ModelConfig.model_fields
            raise UsageError(f"model.{key}: unknown key.{did_you_mean(key, known)}")
    given = overrides.pop("vocabulary", vocabulary)
    if given != vocabulary:
        raise UsageError(
            f"model.vocabulary is {given}, and the tokenizer has {vocabulary} tokens. Expected as "
            "many. Leave it out."
        )
    changes = {**defaults, **overrides}
    if outputs is not None:
        changes.setdefault("outputs", outputs)
    start = None if config.init is None else initial_config(Path(config.init), kind)
    if start is not None:
        vocabulary = max(vocabulary, start.vocabulary)  # others' models have padded ones
    if start is not None and "width" not in overrides:
        _refuse_other_architecture(config)
        changes = {**start.model_dump(exclude={"vocabulary", "kind", "outputs"}), **changes}
    length = config.train.sequence_length
    context = changes.pop("context", None)
    context = length if context is None else context
    if config.size is not None and "width" in changes:
        raise UsageError(
            "size and model.width are both given, and each decides how wide the model is. Expected "
            "one of them. Leave one out."
        )
    changes.setdefault("kind", kind)
    try:
        model = preset(config.preset, vocabulary, context, config.size, **changes)
        check_size(model, available_bytes(choose_device(config.device)))
        count(model)  # builds it without memory, so that a width that heads do not divide shows
    except ValueError as error:
        raise UsageError(f"model: {error}.") from None
    task = config.task.replace("_", " ")
    if model.kind != kind or (model.outputs or vocabulary) != (outputs or vocabulary):
        raise UsageError(
            f"model: {task} needs kind: {kind} and {outputs or vocabulary} outputs; given "
            f"{model.kind} and {model.outputs}. Leave both out."
        )
    if "pooling" in defaults and (model.pooling is None) != (defaults["pooling"] is None):
        wanted = "none: it answers at each position" if model.pooling else "first, mean or max"
        raise UsageError(
            f"model.pooling is {model.pooling or 'null'}, and {task} needs {wanted}. Leave it out."
        )
    if model.context < length:
        raise UsageError(
            f"train.sequence_length is {length}, more than model.context {model.context}. Expected "
            "at most that. Set a longer context or a shorter sequence."
        )
    return model


def resolved(config: RunConfig, model: ModelConfig, tokenizer: str) -> RunConfig:
    """The configuration with nothing left open.

    Args:
        config: as it was given.
        model: see ``resolve_model``.
        tokenizer: the kind that was trained, where nothing was said.
    """
    device = choose_device(config.device)
    precision = choose_precision(config.train.precision, model, device)
    named = config.data.tokenizer or (None if config.init else tokenizer)
    return config.model_copy(
        update={
            "size": None,
            "model": model.model_dump(mode="json", exclude={"vocabulary"}),
            "data": config.data.model_copy(update={"tokenizer": named}),
            "train": config.train.model_copy(update={"precision": precision}),
            "device": device.type,
        }
    )


def _refuse_other_architecture(config: RunConfig) -> None:
    if config.size is not None or "preset" in config.model_fields_set:
        raise UsageError(
            f"init {config.init} brings its architecture, and a preset or a size is given too. "
            "Expected one of them. Leave preset and size out."
        )
