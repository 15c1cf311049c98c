"""A trained model opened: the model, its tokenizer, and what it can do."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, Unpack, cast, overload

import numpy as np
from numpy.typing import NDArray

from phalanx.config import DataConfig, ModelConfig, parse
from phalanx.data.reading import EncodingErrors
from phalanx.data.sources import read_documents
from phalanx.data.tag_schemes import scheme_of
from phalanx.data.tokenizers import Tokenizer
from phalanx.data.word_splitting import words_of
from phalanx.errors import UsageError
from phalanx.inference.classifying import Classification, classify
from phalanx.inference.embedding import Sentences, embed
from phalanx.inference.filling import Filled, fill
from phalanx.inference.generate import WhenFull
from phalanx.inference.passes import PASS_POSITIONS
from phalanx.inference.sampling import make_chooser
from phalanx.inference.tagging import Tagged, tag
from phalanx.inference.text import BATCH_SIZE, Writer
from phalanx.inference.translating import translate
from phalanx.interop.huggingface import is_huggingface, open_huggingface
from phalanx.models import Decoder, Encoder, EncoderDecoder, Model
from phalanx.tasks import language_modelling
from phalanx.training.model_directory import find_model, read_model
from phalanx.training.precision import choose_device


class GenerateOptions(TypedDict, total=False):
    """The options of ``Run.generate`` that do not change the type of its result."""

    max_new_tokens: int | None
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float
    stop: str | Sequence[str]
    when_full: WhenFull
    seed: int
    batch_size: int


class TranslateOptions(TypedDict, total=False):
    """The options of ``Run.translate``."""

    beam: int
    length_penalty: float
    max_new_tokens: int | None
    batch_size: int


@dataclass(frozen=True)
class Run:
    """A model that can be used.

    Args:
        path: the model directory.
        task: one of ``phalanx.config.Task``, or ``embedding``.
        model: in evaluation mode, on its device.
        tokenizer: what it reads and writes.
        labels: names of a tagger's or classifier's outputs; empty for others.
        scheme: how a tagger's labels mark entities; None for others.
        data: how the training files were read, settings of DataConfig.
        begin_ids: tokens that a language model has before every text, such as <s>.
        end_ids: tokens with which it ends a text, besides that of the tokenizer.
        sentences: how an embedding model makes a vector of a text.
    """

    path: Path
    task: str
    model: Model
    tokenizer: Tokenizer
    labels: tuple[str, ...] = ()
    scheme: str | None = None
    data: Mapping[str, str | None] = field(default_factory=dict)
    begin_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()
    sentences: Sentences | None = None

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return self.model.config

    @overload
    def generate(  # type: ignore[overload-overlap]  # 1 is an int
        self, prompt: str = "", *, n: Literal[1] = 1, **options: Unpack[GenerateOptions]
    ) -> str: ...

    @overload
    def generate(
        self, prompt: str = "", *, n: int, **options: Unpack[GenerateOptions]
    ) -> list[str]: ...

    @overload
    def generate(  # type: ignore[overload-overlap]  # 1 is an int
        self, prompt: list[str], *, n: Literal[1] = 1, **options: Unpack[GenerateOptions]
    ) -> list[str]: ...

    @overload
    def generate(
        self, prompt: list[str], *, n: int, **options: Unpack[GenerateOptions]
    ) -> list[list[str]]: ...

    def generate(
        self,
        prompt: str | list[str] = "",
        *,
        n: int = 1,
        max_new_tokens: int | None = None,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        when_full: WhenFull = "error",
        seed: int = 0,
        batch_size: int = BATCH_SIZE,
    ) -> str | list[str] | list[list[str]]:
        """Continue a text, or each of a list; every text returned begins with its prompt.

        What is written for a prompt and a sample number depends neither on the other prompts nor
        on how many samples are drawn.

        Args:
            prompt: the text to continue, or a list of them; an empty one begins a document.
            n: samples of each prompt.
            max_new_tokens: at most so many; None: 256, or what the context leaves.
            temperature: below 1 prefers likely tokens; 0 takes the likeliest each time.
            top_k, top_p, min_p: see ``phalanx.inference.sampling.Sampler``.
            repetition_penalty: see ``phalanx.inference.sampling.Penalized``; 1: none.
            stop: one string or several that end a text; it is cut before the first of them.
            when_full: ``error``, ``stop`` or ``slide`` where the model's context ends.
            seed: fixes what is drawn.
            batch_size: how many texts are written at once.

        Returns:
            One prompt and n = 1: the text. One prompt: a list of n texts. A list of prompts: a
            list with a text each, or with a list of n texts each where n is not 1.

        Raises:
            UsageError: the model does not generate, a prompt leaves no room in its context, or a
                number is out of its range.
            PhalanxError: the model's scores are not numbers.
        """
        self._needs("language_modelling", "generate")
        for name, number in (("n", n), ("batch_size", batch_size)):
            if number < 1:
                raise UsageError(f"{name} {number}: expected 1 or more.")
        prompts = [prompt] if isinstance(prompt, str) else prompt
        writer = Writer(
            cast(Decoder, self.model),
            self.tokenizer,
            make_chooser(temperature, top_k, top_p, min_p, repetition_penalty),
            seed,
            max_new_tokens,
            (stop,) if isinstance(stop, str) else tuple(stop),
            when_full,
            self.begin_ids,
            self.end_ids,
        )
        texts: list[list[str]] = [[] for _ in prompts]
        for written in writer.write(prompts, n, batch_size=batch_size):
            texts[written.prompt].append(prompts[written.prompt] + written.text)
        each = [drawn[0] for drawn in texts] if n == 1 else texts
        return each[0] if isinstance(prompt, str) else each

    @overload
    def predict(self, inputs: str | tuple[str, str]) -> Classification | Tagged: ...

    @overload
    def predict(
        self, inputs: list[str] | list[tuple[str, str]]
    ) -> list[Classification] | list[Tagged]: ...

    def predict(
        self, inputs: str | tuple[str, str] | list[str] | list[tuple[str, str]]
    ) -> Classification | Tagged | list[Classification] | list[Tagged]:
        """The label of a text with its probability, or the entities in it; of a list, of each.

        A classifier takes texts, or pairs of them where it was trained on pairs; a tagger takes
        texts, which it divides into words (``phalanx.data.word_splitting``).

        Raises:
            UsageError: the model is no classifier and no tagger.
            PhalanxError: the model's scores are not numbers.
        """
        many = inputs if isinstance(inputs, list) else [inputs]
        if self.task == "tagging":
            if not all(isinstance(text, str) for text in many):
                raise UsageError("A tagger takes texts, no pairs. Give each text alone.")
            words = [[word.text for word in words_of(str(text))] for text in many]
            scheme = self.scheme or scheme_of(self.labels)
            tagged = tag(self.model, self.tokenizer, self.labels, scheme, words)
            return tagged if isinstance(inputs, list) else tagged[0]
        self._needs("classification", "predict labels")
        found = classify(self.model, self.tokenizer, self.labels, many)
        return found if isinstance(inputs, list) else found[0]

    @overload
    def translate(self, texts: str, **options: Unpack[TranslateOptions]) -> str: ...

    @overload
    def translate(self, texts: list[str], **options: Unpack[TranslateOptions]) -> list[str]: ...

    def translate(
        self, texts: str | list[str], **options: Unpack[TranslateOptions]
    ) -> str | list[str]:
        """The best translation of a text, or of each of a list.

        Args:
            texts: what to translate.
            options: ``beam``, ``length_penalty``, ``max_new_tokens``, ``batch_size``; see
                ``phalanx.inference.translating``, which also gives scores and further candidates.

        Raises:
            UsageError: the model does not translate, or a number is out of its range.
            PhalanxError: the model's scores are not numbers.
        """
        self._needs("translation", "translate")
        many = [texts] if isinstance(texts, str) else texts
        model = cast(EncoderDecoder, self.model)
        found = [one.text for one in translate(model, self.tokenizer, many, **options)]
        return found[0] if isinstance(texts, str) else found

    def fill(self, text: str, top: int = 5) -> Filled:
        """Guesses for each ``[MASK]`` (or ``<mask>``, ``<|mask|>``) of a text, the likeliest first.

        Raises:
            UsageError: the model was trained for something else, or the text hides nothing.
            PhalanxError: the model's scores are not numbers.
        """
        self._needs("masked_lm", "guess hidden words")
        [found] = fill(cast(Encoder, self.model), self.tokenizer, [text], top=top)
        return found

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A vector for each text, (N, D): the mean of its positions, or as the model's directory
        says.

        Raises:
            UsageError: the model is no encoder.
        """
        if not isinstance(self.model, Encoder):
            raise UsageError(f"{self.path}: only an encoder gives vectors of texts. Use another.")
        return embed(self.model, self.tokenizer, texts, self.sentences)

    def evaluate(
        self,
        text: str | None = None,
        *,
        paths: str | Path | Sequence[str | Path] | None = None,
        text_column: str | None = None,
        encoding_errors: EncodingErrors = "strict",
    ) -> language_modelling.Score:
        """Loss, perplexity and bits per byte of a text, or of the documents at ``paths``.

        The text is cut into windows of the model's context, and every token but the first is
        predicted once.

        Raises:
            UsageError: no text, text that is not UTF-8, or the model is no language model.
        """
        judged = self.text(
            text, paths=paths, text_column=text_column, encoding_errors=encoding_errors
        )
        return language_modelling.evaluate(cast(Decoder, self.model), judged)

    def text(
        self,
        text: str | None = None,
        *,
        paths: str | Path | Sequence[str | Path] | None = None,
        text_column: str | None = None,
        encoding_errors: EncodingErrors = "strict",
    ) -> language_modelling.Text:
        """What ``evaluate`` judges the model on; tells how many characters are unknown to it.

        Raises:
            UsageError: see ``evaluate``.
        """
        self._needs("language_modelling", "evaluate a text")
        if (text is None) == (paths is None):
            raise UsageError("evaluate takes either a text or paths; given both or neither.")
        texts = [text] if text is not None else []
        if paths is not None:
            read = read_documents(paths, text_column=text_column, encoding_errors=encoding_errors)
            texts = [document.text for document in read]
        # The context of a model of others may hold more than a pass does.
        length = min(self.config.context, PASS_POSITIONS)
        return language_modelling.Text.of(self.tokenizer, texts, length)

    def data_config(self, options: Mapping[str, str]) -> DataConfig:
        """How files are read: as in training, but for what ``options`` say.

        Raises:
            UsageError: an option is not known, or has a value that does not fit.
        """
        return parse(DataConfig, {**self.data, **options}, "data")

    def file(self, name: str) -> bytes | None:
        """A file that was kept beside the model; None where there is none of that name."""
        path = self.path / name
        return path.read_bytes() if path.is_file() else None

    def _needs(self, task: str, wish: str) -> None:
        if self.task != task:
            raise UsageError(
                f"{self.path}: a model trained for {self.task} cannot {wish}. Expected one "
                f"trained for {task}."
            )


def load(path: str | Path, device: str = "auto") -> Run:
    """Open a run directory (its best model, or the last where there is no best), a model directory,
    or one of Hugging Face.

    Args:
        path: the directory.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: no such directory, or it is malformed; see ``read_model``.
    """
    directory = find_model(Path(path))
    if is_huggingface(directory):
        opened = open_huggingface(directory, choose_device(device))
        for text in opened.notes:
            warnings.warn(text, stacklevel=2)
        return Run(
            directory,
            opened.task,
            opened.model,
            opened.tokenizer,
            opened.labels,
            opened.scheme,
            begin_ids=opened.begin_ids,
            end_ids=opened.end_ids,
            sentences=opened.sentences,
        )
    stored = read_model(directory, choose_device(device))
    described = stored.description
    return Run(
        directory,
        described.task,
        stored.model,
        stored.tokenizer,
        described.labels or (),
        described.scheme,
        described.data,
    )
