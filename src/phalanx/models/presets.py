"""Architectures by name, at a size; a size is met by the width, then by the feed-forward width."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import ValidationError

from phalanx.config import (
    AttentionConfig,
    FeedForwardConfig,
    ModelConfig,
    both_ways,
    explain,
    parse,
)
from phalanx.errors import UsageError, did_you_mean
from phalanx.models.decoder import Decoder
from phalanx.models.encoder import Classifier, Encoder
from phalanx.models.encoder_decoder import EncoderDecoder

DEFAULT_SIZE = 800_000
LARGEST_SIZE = 10**12  # what the widest configuration of every preset still reaches
_SMALLEST = 16
_OF_ONE_SIZE = {"gpt2": "the 124M model", "bert-base": "the 110M model"}

Kind = Literal["decoder", "encoder", "encoder_decoder"]


def build(config: ModelConfig, seed: int | None = None) -> Decoder | Encoder | EncoderDecoder:
    """The model of a configuration, with weights drawn from ``seed`` (None: torch's state)."""
    model: Decoder | Encoder | EncoderDecoder
    if config.kind == "decoder":
        model = Decoder(config)
    elif config.kind == "encoder_decoder":
        model = EncoderDecoder(config)
    else:
        model = Encoder(config) if config.pooling is None else Classifier(config)
    if seed is not None:
        model.init_weights(torch.Generator().manual_seed(seed))
    return model


def preset(
    name: str,
    vocabulary: int,
    context: int,
    size: int | None = None,
    *,
    kind: Kind | None = None,
    **changes: object,
) -> ModelConfig:
    """The configuration of a preset.

    Args:
        name: one of PRESETS.
        vocabulary: tokens of the tokenizer.
        context: positions that the model must be able to hold.
        size: parameters wanted outside the tables of tokens, positions and outputs; met as nearly
            as whole widths allow. None: the preset's own size.
        kind: what is made of the preset. In an encoder recurrences read in both directions; an
            encoder-decoder has such an encoder beside the preset's own layers. None: the preset's
            own kind, a decoder for all but bert-base.
        changes: fields of ModelConfig to set after that. With ``outputs`` the output is a matrix
            of its own, unless ``tied`` is given too.

    Raises:
        UsageError: no such preset, or a size or kind asked of a preset that has one of its own.
    """
    if name not in PRESETS:
        raise UsageError(f"preset {name!r} is not known.{did_you_mean(name, PRESETS)}")
    if "outputs" in changes:
        changes = {"tied": False} | changes

    def make(width: int) -> ModelConfig:
        config = _of_kind(name, _named(name, vocabulary, context, width), kind, changes)
        return _changed(config, changes)

    if name in _OF_ONE_SIZE:
        if size is not None:
            raise UsageError(f"{name} is {_OF_ONE_SIZE[name]} and no other size; give no size")
        return make(0)
    if size is not None and not 1 <= size <= LARGEST_SIZE:
        raise UsageError(f"size {size}: expected 1 to {LARGEST_SIZE:,} parameters, such as 800000.")
    if "width" in changes:  # checked, and a number in whatever form it was given
        return make(make(_SMALLEST).width)
    return _fit(make, DEFAULT_SIZE if size is None else size)


def _of_kind(
    name: str, config: ModelConfig, kind: Kind | None, changes: Mapping[str, object]
) -> ModelConfig:
    """The preset as another kind of model."""
    kind = kind or config.kind
    if name in _OF_ONE_SIZE and kind != config.kind:
        raise UsageError(
            f"preset {name} is {_OF_ONE_SIZE[name]}, made as {config.kind}; this needs kind {kind}."
            " Choose another preset, such as `transformer`."
        )
    update: dict[str, object] = {"kind": kind}
    if kind == "encoder":
        update["mixers"] = tuple(both_ways(mixer) for mixer in config.mixers)
    if kind == "encoder_decoder" and config.block == "plain":  # Luong et al. 2015 have one head
        update["attention"] = config.attention.model_copy(update={"heads": 1})
    if name == "bert-base" and "outputs" in changes:
        update |= {"head": "pooler" if changes.get("pooling") else "linear"}
    return config.model_copy(update=update)


def _named(name: str, vocabulary: int, context: int, width: int) -> ModelConfig:
    try:
        return PRESETS[name](vocabulary, context, width)
    except ValidationError as error:
        raise explain(ModelConfig, error, "model") from None


def _changed(config: ModelConfig, changes: Mapping[str, object]) -> ModelConfig:
    """``config`` with changed fields; a section given in part keeps its other values."""
    values = config.model_dump()
    for name, value in changes.items():
        section = values.get(name)
        if isinstance(value, Mapping) and isinstance(section, dict):
            value = {**section, **value}
        values[name] = value
    return parse(ModelConfig, values, "model")


def count(config: ModelConfig) -> tuple[int, int]:
    """Parameters of a configuration, and those outside its tables, without allocating any."""
    with torch.device("meta"):
        return build(config).parameter_counts()


def _fit(make: Callable[[int], ModelConfig], size: int) -> ModelConfig:
    # Heads need a width that they divide, into even parts for rotary positions.
    smallest = make(_SMALLEST)
    heads = smallest.attention.heads
    if "attention" in smallest.mixers:
        step = 4 * heads
    else:
        step = 2 * heads if smallest.kind == "encoder_decoder" else 2
    if smallest.feed_forward is not None:
        step = max(step, 16)
    low, high = 1, 2
    while _inner(make(high * step)) < size:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        below = _inner(make(middle * step)) < size
        low, high = (middle, high) if below else (low, middle)
    near = [make(n * step) for n in (low, high)]
    config = min(near, key=lambda c: abs(_inner(c) - size))
    return config if config.feed_forward is None else _fit_feed_forward(config, size)


def _fit_feed_forward(config: ModelConfig, size: int) -> ModelConfig:
    chosen = config.feed_forward
    assert chosen is not None

    def wider(units: int) -> ModelConfig:
        width = max(4, chosen.width + units)
        changed = chosen.model_copy(update={"width": width})
        return config.model_copy(update={"feed_forward": changed})

    each = _inner(wider(1)) - _inner(config)
    return wider(round((size - _inner(config)) / each / 4) * 4)


def _inner(config: ModelConfig) -> int:
    return count(config)[1]


def _recurrent(mixer: str, layers: int) -> Callable[[int, int, int], ModelConfig]:
    def make(vocabulary: int, context: int, width: int) -> ModelConfig:
        return ModelConfig(
            vocabulary=vocabulary,
            context=context,
            width=width,
            layers=layers,
            mixers=(mixer,),
            block="plain",
            final_norm=False,
            tied=False,
            init="zero",
        )

    return make


def _mingru(vocabulary: int, context: int, width: int) -> ModelConfig:
    return ModelConfig(
        vocabulary=vocabulary,
        context=context,
        width=width,
        layers=3,
        mixers=("mingru",),
        block="pre",
        norm="rms",
        feed_forward=FeedForwardConfig(width=4 * width, activation="squared_relu", bias=False),
        tied=False,
        init="zero",
    )


def _transformer(vocabulary: int, context: int, width: int) -> ModelConfig:
    return ModelConfig(
        vocabulary=vocabulary,
        context=context,
        width=width,
        layers=4,
        mixers=("attention",),
        block="pre",
        norm="rms",
        positions="rotary",
        attention=AttentionConfig(heads=4, query_key_norm=True, bias=False),
        feed_forward=FeedForwardConfig(width=4 * width, activation="squared_relu", bias=False),
        tied=False,
        init="zero",
    )


def _transformer_2017(vocabulary: int, context: int, width: int) -> ModelConfig:
    return ModelConfig(
        vocabulary=vocabulary,
        context=context,
        width=width,
        layers=4,
        mixers=("attention",),
        block="post",
        final_norm=False,
        positions="sinusoidal",
        scale_embedding=True,
        attention=AttentionConfig(heads=4),
        feed_forward=FeedForwardConfig(width=4 * width),
    )


def _gpt2(vocabulary: int, context: int) -> ModelConfig:
    return ModelConfig(
        vocabulary=vocabulary,
        context=context,
        width=768,
        layers=12,
        mixers=("attention",),
        positions="learned",
        attention=AttentionConfig(heads=12),
        feed_forward=FeedForwardConfig(width=3072, activation="gelu_tanh"),
        init="gpt2",
    )


def _bert_base(vocabulary: int, context: int) -> ModelConfig:
    """BERT that guesses masked tokens; a pooled one has BERT's pooler, others answer directly."""
    return ModelConfig(
        kind="encoder",
        vocabulary=vocabulary,
        context=context,
        width=768,
        layers=12,
        mixers=("attention",),
        block="post",
        norm_epsilon=1e-12,
        final_norm=False,
        embedding_norm=True,
        token_types=2,
        positions="learned",
        attention=AttentionConfig(heads=12),
        feed_forward=FeedForwardConfig(width=3072, activation="gelu"),
        output_bias=True,
        head="masked",
        init="gpt2",
    )


PRESETS: dict[str, Callable[[int, int, int], ModelConfig]] = {
    "rnn": _recurrent("rnn", 2),
    "lstm": _recurrent("lstm", 1),
    "gru": _recurrent("gru", 2),
    "mingru": _mingru,
    "transformer": _transformer,
    "transformer-2017": _transformer_2017,
    "gpt2": lambda vocabulary, context, _: _gpt2(vocabulary, context),
    "bert-base": lambda vocabulary, context, _: _bert_base(vocabulary, context),
}
