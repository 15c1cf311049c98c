"""Strict, typed configuration: YAML, then dotted overrides; unknown keys are refused.

Configuration is data. Nothing here imports code by name, evaluates text or needs torch.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from phalanx.errors import UsageError, did_you_mean

LARGEST_FILE = 2**20
"""Bytes of a configuration; also characters of what its anchors unfold to."""
LARGEST_SEED = 2**62  # a comparison counts on from it, and torch holds 64 bits

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class Strict(BaseModel):
    """A section of the configuration: frozen, finite, and without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, field: ValidationInfo) -> Any:
        # YAML reads yes and on as true, which would pass for 1.
        wanted = cls.model_fields[field.field_name or ""].annotation
        if isinstance(value, bool) and wanted not in (bool, bool | None):
            raise ValueError(f"expected no truth value (given {str(value).lower()})")
        return value


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


Scheme = Literal["auto", "bio", "iob1", "iobes", "bmes", "bilou", "none"]


class DataConfig(Strict):
    """What is read, and how it becomes tokens.

    ``tokenizer`` is a kind to train, or the path of an existing one. ``documents`` says what
    happens at the end of a document inside a window: ``joined`` reads on into the next,
    ``separate`` lets neither attention nor a recurrent state cross. ``validation_tokens`` bounds
    what each validation reads (null: all of the validation side).

    Rows of a table have their text in ``text_column``, its label in ``label_column``, a second text
    in ``pair_column``; a translation's are in ``source_column`` and ``target_column``, a tag in
    ``tag_column``. A column is a name of the header, or a number from 1 in a file without one.
    ``scheme`` is how tags mark entities (``none``: they mark none, as parts of speech).
    """

    paths: tuple[str, ...] = Field(("stdlib",), min_length=1)
    validation_paths: tuple[str, ...] = ()
    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    source_column: str | None = None
    target_column: str | None = None
    tag_column: str | None = None
    scheme: Scheme = "auto"
    encoding_errors: Literal["strict", "replace"] = "strict"
    tokenizer: str | None = None
    lowercase: bool = False
    vocabulary: int = Field(
        4096, ge=257, description="tokens of a trained bpe, words or wordpiece tokenizer, at most"
    )
    documents: Literal["joined", "separate"] = "joined"
    validation_fraction: float = Field(0.1, gt=0.0, lt=1.0)
    validation_tokens: int | None = Field(1_000_000, ge=2)

    @field_validator(
        *("text_column", "pair_column", "label_column"),
        *("source_column", "target_column", "tag_column"),
        mode="before",
    )
    @classmethod
    def _number_of_a_column(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value


class TrainingConfig(Strict):
    """How a model is trained; a length or a budget in seconds ends it, whichever comes first.

    ``learning_rate`` is AdamW's; the table of tokens has its own, ``embedding_learning_rate``, or
    the same where that is null.
    ``muon_learning_rate`` and ``momentum`` are those of Muon, which moves the blocks' matrices.
    Warm-up ends by a tenth of the run, however many ``warmup_steps`` are given.
    ``decay`` may be ``wsd``, warm-up-stable-decay: 1 - sqrt over the last ``decay_fraction`` of the
    run, a fifth where that is null (all of the run for the others).

    A step takes ``batch_size`` sequences, ``micro_batch_size`` of them at a time (null: all). Texts
    of their own (all tasks but language modelling) are batched with others of about their length;
    with ``batch_tokens`` as many as make so many tokens, padding included. ``sequence_length`` is
    the most tokens that one may have.
    ``class_weights: balanced`` lets every class count alike. ``token_dropout`` is the share of
    input tokens hidden in training (of words in tagging, each as a whole), ``mask_fraction`` that
    of tokens to be guessed in masked-lm.
    ``average`` is the decay of an exponential average of the weights, which is then what is
    validated and saved. ``patience`` ends the run after so many validations without a better one.
    ``skip_nonfinite`` steps at most may be passed over because their loss is no number; with 0 the
    first one ends the run. A checkpoint is written with each validation, or every
    ``checkpoint_every`` steps; the ``keep`` newest stay, and the best.
    """

    steps: int = Field(1000, ge=1)
    seconds: float | None = Field(None, gt=0.0)
    batch_size: int = Field(16, ge=1, le=1_000_000)
    batch_tokens: int | None = Field(None, ge=1, le=100_000_000)
    micro_batch_size: int | None = Field(None, ge=1)
    sequence_length: int = Field(128, ge=1)
    optimizer: Literal["adamw", "muon"] = "muon"
    learning_rate: float = Field(3e-3, gt=0.0)
    embedding_learning_rate: float | None = Field(0.01, gt=0.0)
    muon_learning_rate: float = Field(0.04, gt=0.0)
    momentum: float = Field(0.9, ge=0.0, lt=1.0)
    weight_decay: float = Field(0.0, ge=0.0)
    betas: tuple[Share, Share] = (0.9, 0.99)
    warmup_steps: int = Field(10, ge=0)
    decay: Literal["cosine", "linear", "constant", "wsd"] = "linear"
    decay_fraction: float | None = Field(None, ge=0.0, le=1.0)
    final_fraction: float = Field(0.0, ge=0.0, le=1.0)
    clip: float | None = Field(1.0, gt=0.0)
    label_smoothing: Share = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    token_dropout: Share = 0.0
    mask_fraction: float = Field(0.15, gt=0.0, lt=1.0)
    average: Share | None = None
    patience: int | None = Field(None, ge=1)
    skip_nonfinite: int = Field(0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    evaluate_every: int = Field(200, ge=1)
    checkpoint_every: int | None = Field(None, ge=1)
    keep: int = Field(2, ge=1)

    @property
    def most_rows(self) -> int:
        """Sequences of a step at most; each has a token at least."""
        return self.batch_tokens or self.batch_size

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.micro_batch_size is not None and self.micro_batch_size > self.most_rows:
            raise ValueError(
                f"micro_batch_size is {self.micro_batch_size} and a step takes {self.most_rows}: "
                "expected at most as many sequences at a time as a step takes"
            )
        return self


Task = Literal["language_modelling", "masked_lm", "classification", "tagging", "translation"]


class RunConfig(Strict):
    """A whole run: a task, a preset's name or a model, the data, the training.

    ``size`` scales a preset to about so many parameters outside its embeddings. ``init`` is a model
    directory whose weights and tokenizer the run starts from.
    """

    task: Task = "language_modelling"
    init: str | None = None
    preset: str = "transformer"
    size: int | None = Field(None, ge=1)
    model: dict[str, Any] = Field(default_factory=dict, description="overrides of the preset")
    data: DataConfig = DataConfig()
    train: TrainingConfig = TrainingConfig()
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    device: str = "auto"

    @field_validator("task", mode="before")
    @classmethod
    def _as_written_on_a_command_line(cls, value: Any) -> Any:
        return value.replace("-", "_") if isinstance(value, str) else value


C = TypeVar("C", bound=Strict)
# PyYAML lets through whatever its constructors come upon: KeyError for !!bool x, IndexError for
# !!int '', AttributeError for !!timestamp x, OverflowError for a long 1:1:1.5.
_NOT_YAML = (
    yaml.YAMLError,
    ValueError,
    RecursionError,
    LookupError,
    AttributeError,
    ArithmeticError,
    TypeError,
)


def parse(kind: type[C], values: Mapping[str, Any], source: str) -> C:
    """Check ``values`` against a section.

    Raises:
        UsageError: names every wrong key with what was given, expected, and the nearest known key.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise explain(kind, error, source) from None


def explain(kind: type[BaseModel], error: ValidationError, source: str) -> UsageError:
    """A failed check of a section in words (see ``parse``)."""
    problems = error.errors()
    lines = [_explain(kind, problem) for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > len(lines):
        lines.append(f"and {len(problems) - len(lines)} more")
    return UsageError(f"{source}: " + "\n  ".join(lines))


_MOST_PROBLEMS = 10
_LONGEST_SHOWN = 200
_EXPECTED = {  # where pydantic speaks of Python
    "tuple_type": "a list, such as [a, b]",
    "too_short": "more in the list",
    "dict_type": "a section of keys and values",
    "model_type": "a section of keys and values",
}


def _explain(kind: type[BaseModel], problem: Any) -> str:
    where = [str(part) for part in problem["loc"]]
    dotted = ".".join(where) or kind.__name__
    if problem["type"] in _EXPECTED:
        return f"{dotted}: expected {_EXPECTED[problem['type']]} (given {_shown(problem['input'])})"
    if problem["type"] == "value_error":  # our own words, which say what was given
        return f"{'.'.join(where)}: {problem['ctx']['error']}".removeprefix(": ")
    if problem["type"] != "extra_forbidden":
        given = "" if problem["type"] == "missing" else f" (given {_shown(problem['input'])})"
        return f"{dotted}: {problem['msg']}{given}"
    section: type[BaseModel] | None = kind
    for part in where[:-1]:
        field = section.model_fields.get(part) if section else None
        section = _section_of(field.annotation) if field else None
    known = section.model_fields if section else kind.model_fields
    return f"{dotted}: unknown key.{did_you_mean(where[-1], known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]} ..."


def _section_of(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UsageError: the file is missing, unreadable, too large, not YAML or not a mapping.
    """
    try:
        values = _parse_yaml(read_text(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except _NOT_YAML as error:
        raise UsageError(f"{path}: not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"{path}: expected a mapping of keys to values at the top level")
    try:
        plain: dict[str, Any] = json.loads(_unfolded(values))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: a value is no plain data: {error}. Expected numbers, text, true, false, "
            "null, lists and mappings. Put dates in quotes."
        ) from None
    return plain


class _Loader(yaml.SafeLoader):
    """Plain YAML. Merge keys are refused: a few lines of them unfold to more than any memory."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.YAMLError("it merges (<<). Write out what is merged")
        super().flatten_mapping(node)


def _parse_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read_text(path: Path) -> str:
    """The text of a configuration.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, or has more than ``LARGEST_FILE`` bytes.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it has more than {LARGEST_FILE // 2**20} MiB")
    return data.decode("utf-8")


def _unfolded(values: object) -> str:
    """Values as JSON: a few anchors that repeat one another could fill any memory."""
    parts, size = [], 0
    for part in json.JSONEncoder().iterencode(values):
        parts.append(part)
        size += len(part)
        if size > LARGEST_FILE:
            raise ValueError(f"its anchors unfold to more than {LARGEST_FILE // 2**20} MiB")
    return "".join(parts)


def override(values: Mapping[str, Any], dotted: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """``values`` with dotted overrides, ``("train.steps", "500")``; the texts are YAML scalars.

    Raises:
        UsageError: an override descends into something that is not a section, or is not YAML.
    """
    result: dict[str, Any] = json.loads(json.dumps(values))
    for key, text in dotted:
        try:
            value = _parse_yaml(text)
        except _NOT_YAML:
            raise UsageError(f"--{key}: cannot read the value {text!r}") from None
        put(result, key, value)
    return result


def put(values: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key; sections that are not there are made.

    Raises:
        UsageError: the key descends into something that is not a section.
    """
    *sections, last = key.split(".")
    place = values
    for part in sections:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise UsageError(
                f"{key}: {part!r} is a value, not a section (given {place!r}). Expected keys "
                f"below it. Remove {part!r} from the configuration file, or give it keys."
            )
    place[last] = value


def to_yaml(config: Strict) -> str:
    """The resolved configuration as YAML, defaults included."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text
