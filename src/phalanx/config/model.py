"""What a model is: its layers, how large, and how they are joined."""

from typing import Literal, Self

from pydantic import Field, model_validator

from phalanx.config.strict import Strict


class RotaryScaling(Strict):
    """How rotary angles are slowed down for contexts longer than those first trained on.

    ``linear`` divides every frequency by ``factor``; ``llama3`` divides the slow ones alone, those
    that turn less than ``low_frequency_factor`` times in ``original_context`` positions.
    """

    kind: Literal["linear", "llama3"]
    factor: float = Field(ge=1.0)
    low_frequency_factor: float = Field(1.0, gt=0.0)
    high_frequency_factor: float = Field(4.0, gt=0.0)
    original_context: int = Field(8192, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.low_frequency_factor >= self.high_frequency_factor:
            raise ValueError(
                f"low_frequency_factor is {self.low_frequency_factor} and high_frequency_factor "
                f"{self.high_frequency_factor}: expected the first to be less than the second"
            )
        return self


class AttentionConfig(Strict):
    """Every attention layer of a model; ``head_width`` is width / heads where it is null.

    ``bias`` is that of queries, keys, values and the output; ``output_bias`` (null: the same) says
    it of the output alone.
    """

    heads: int = Field(4, ge=1)
    key_value_heads: int | None = Field(None, ge=1)
    head_width: int | None = Field(None, ge=1, le=100_000)
    window: int | None = Field(None, ge=1)
    query_key_norm: bool = False
    bias: bool = True
    output_bias: bool | None = None
    rotary_base: float = Field(10_000.0, gt=1.0)
    rotary_scaling: RotaryScaling | None = None
    schedule: Literal["reference", "sdpa"] = "sdpa"


class RecurrenceConfig(Strict):
    """Every rnn, lstm and gru layer of a model; no schedule is the one that suits each best."""

    nonlinearity: Literal["tanh", "relu"] = "tanh"
    schedule: Literal["serial", "fused", "hoisted"] | None = None


class MinGRUConfig(Strict):
    """Every mingru layer of a model; ``inner`` hidden units (None: the width of the model)."""

    inner: int | None = Field(None, ge=1, le=1_000_000)
    chunk: int = Field(16, ge=1)
    schedule: Literal["serial", "scan"] = "scan"


class FeedForwardConfig(Strict):
    """The feed-forward network of every block."""

    width: int = Field(ge=1, le=10_000_000)
    activation: Literal["relu", "gelu", "gelu_tanh", "squared_relu", "swiglu"] = "relu"
    bias: bool = True


class ModelConfig(Strict):
    """A decoder, an encoder or both: which layers, how large, joined how.

    ``mixers`` names one mixer a layer, or a pattern that is repeated over the layers; two names
    joined by ``+`` read in both directions (``lstm+lstm``). ``block`` says where the norms stand:
    ``pre`` and ``post`` around residual branches, ``plain`` for mixers stacked directly.

    An encoder answers at every position, or with ``pooling`` once a row. Of an encoder-decoder
    ``layers`` and ``mixers`` are the decoder's, ``encoder_layers`` and ``encoder_mixers`` (null:
    the same, attention looking both ways, recurrences joined with themselves) the encoder's.
    ``head`` is what stands before the scores: nothing more (``linear``), BERT's pooler (a linear
    layer and tanh) or BERT's transform for masked tokens (a linear layer, gelu and a norm).
    """

    format: Literal[1] = 1
    kind: Literal["decoder", "encoder", "encoder_decoder"] = "decoder"
    vocabulary: int = Field(ge=2, le=10_000_000)
    outputs: int | None = Field(None, ge=1, le=10_000_000)
    context: int = Field(ge=1, le=10_000_000)
    width: int = Field(ge=1, le=1_000_000)
    layers: int = Field(ge=1, le=10_000)
    mixers: tuple[str, ...]
    encoder_layers: int | None = Field(None, ge=1, le=10_000)
    encoder_mixers: tuple[str, ...] | None = None
    block: Literal["pre", "post", "plain"] = "pre"
    norm: Literal["layer", "rms"] = "layer"
    norm_bias: bool = True
    norm_epsilon: float | None = Field(None, gt=0.0, lt=1.0)
    final_norm: bool = True
    embedding_norm: bool = False
    token_types: int = Field(0, ge=0, le=1000)
    positions: Literal["none", "learned", "sinusoidal", "rotary"] = "none"
    attention: AttentionConfig = AttentionConfig()
    recurrence: RecurrenceConfig = RecurrenceConfig()
    mingru: MinGRUConfig = MinGRUConfig()
    feed_forward: FeedForwardConfig | None = None
    tied: bool = True
    scale_embedding: bool = False
    output_bias: bool = False
    pooling: Literal["first", "mean", "max"] | None = None
    head: Literal["linear", "pooler", "masked"] = "linear"
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    init: Literal["glorot", "gpt2", "zero"] = "glorot"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.mixers or self.layers % len(self.mixers):
            raise ValueError(
                f"mixers names {len(self.mixers)} layers and layers is {self.layers}: "
                "expected one mixer a layer, or a pattern whose length divides layers"
            )
        if self.tied and self.outputs not in (None, self.vocabulary):
            raise ValueError("tied weights need as many outputs as the vocabulary has tokens")
        for name, kind in _OF_ONE_KIND.items():
            given = getattr(self, name)
            if given not in (None, 0) and self.kind != kind:
                raise ValueError(
                    f"{name} is {given!r} and kind {self.kind}: expected kind {kind}, or no {name}"
                )
        if self.kind == "encoder_decoder":
            layers, mixers = self.encoder_layers or self.layers, self.encoder_mixers or self.mixers
            if layers % len(mixers):
                raise ValueError(
                    f"the encoder has {layers} layers and a pattern of {len(mixers)} mixers: "
                    "expected one mixer a layer, or a pattern whose length divides its layers"
                )
        return self

    @property
    def mixer_names(self) -> tuple[str, ...]:
        """One mixer name a layer, the pattern repeated."""
        return self.mixers * (self.layers // len(self.mixers))

    @property
    def encoder_mixer_names(self) -> tuple[str, ...]:
        """One mixer name a layer of an encoder-decoder's encoder."""
        pattern = self.encoder_mixers or tuple(both_ways(name) for name in self.mixers)
        return pattern * ((self.encoder_layers or self.layers) // len(pattern))


_OF_ONE_KIND = {
    "pooling": "encoder",
    "token_types": "encoder",
    "encoder_layers": "encoder_decoder",
    "encoder_mixers": "encoder_decoder",
}


def both_ways(mixer: str) -> str:
    """The name of the mixer that reads in both directions what ``mixer`` reads in one."""
    return mixer if mixer == "attention" or "+" in mixer else f"{mixer}+{mixer}"
