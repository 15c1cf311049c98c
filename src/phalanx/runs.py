"""A trained model opened: the model, its tokenizer, and what it can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, Unpack, cast, overload

from phalanx.config import ModelConfig
from phalanx.data.reading import EncodingErrors
from phalanx.data.sources import read_documents
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError
from phalanx.inference.generate import WhenFull
from phalanx.inference.sampling import make_chooser
from phalanx.inference.text import BATCH_SIZE, Writer
from phalanx.models import Decoder, Encoder
from phalanx.tasks import language_modelling
from phalanx.training.model_directory import CONFIG, read_model
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


@dataclass(frozen=True)
class Run:
    """A model that can be used.

    Args:
        path: the model directory.
        task: ``language_modelling`` or ``tagging``.
        model: in evaluation mode, on its device.
        tokenizer: what it reads and writes.
        labels: names of a tagger's outputs; empty for others.
    """

    path: Path
    task: str
    model: Decoder | Encoder
    tokenizer: Tokenizer
    labels: tuple[str, ...] = ()

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
        )
        texts: list[list[str]] = [[] for _ in prompts]
        for written in writer.write(prompts, n, batch_size=batch_size):
            texts[written.prompt].append(prompts[written.prompt] + written.text)
        each = [drawn[0] for drawn in texts] if n == 1 else texts
        return each[0] if isinstance(prompt, str) else each

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
        return language_modelling.evaluate(self.model, judged)

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
        return language_modelling.Text.of(self.tokenizer, texts, self.config.context)

    def _needs(self, task: str, wish: str) -> None:
        if self.task != task:
            raise UsageError(
                f"{self.path}: a model trained for {self.task} cannot {wish}. Expected one "
                f"trained for {task}."
            )


def load(path: str | Path, device: str = "auto") -> Run:
    """Open a run directory (its best model, or the last where there is no best) or a model
    directory.

    Args:
        path: the directory.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: no such directory, or it is malformed; see ``read_model``.
    """
    directory = find_model(Path(path))
    stored = read_model(directory, choose_device(device))
    described = stored.description
    return Run(directory, described.task, stored.model, stored.tokenizer, described.labels or ())


def find_model(path: Path) -> Path:
    """The model directory that a path stands for.

    Raises:
        UsageError: there is none.
    """
    for candidate in (path, path / "best", path / "last"):
        if (candidate / CONFIG).is_file():
            return candidate
    what = "is no directory" if not path.is_dir() else f"holds no {CONFIG}, best/ or last/"
    for link in (path / "best", path / "last"):
        if link.is_symlink() and not link.exists():
            what = f"{link.name} points to {link.readlink()}, which is not there"
    raise UsageError(
        f"{path}: {what}. Expected a run directory or a model directory, as `phalanx train` makes "
        "them. Check the path."
    )
