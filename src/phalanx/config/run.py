"""What a run is: a task, a model, the data, the training."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from phalanx.config.strict import Strict

LARGEST_SEED = 2**62  # a comparison counts on from it, and torch holds 64 bits

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
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
