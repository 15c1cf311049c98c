"""A trained model opened: the model, its tokenizer, and what it can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from phalanx.config import ModelConfig
from phalanx.data.sources import read_documents
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError
from phalanx.inference.sampling import Greedy, Sampler
from phalanx.inference.text import generate_text
from phalanx.models import Decoder, Encoder
from phalanx.tasks import language_modelling
from phalanx.training.model_directory import CONFIG, read_model
from phalanx.training.precision import choose_device


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

    def generate(
        self,
        prompt: str = "",
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> str:
        """Continue a text; returns the prompt and what follows it.

        Args:
            prompt: the text to continue; an empty one begins a document.
            max_new_tokens: at most so many; None: 256, or what the context leaves.
            temperature: below 1 prefers likely tokens; 0 takes the likeliest each time.
            top_k, top_p: see ``phalanx.inference.sampling.Sampler``.
            seed: fixes what is drawn.

        Raises:
            UsageError: the model does not generate, or the prompt leaves no room in its context.
        """
        self._needs("language_modelling", "generate")
        sampler = Greedy() if temperature == 0 else Sampler(temperature, top_k, top_p)
        [text] = generate_text(
            cast(Decoder, self.model),
            self.tokenizer,
            [prompt],
            max_new_tokens=max_new_tokens,
            sampler=sampler,
            seed=seed,
        )
        return prompt + text

    def evaluate(
        self, text: str | None = None, *, paths: str | Path | Sequence[str | Path] | None = None
    ) -> language_modelling.Score:
        """Loss, perplexity and bits per byte of a text, or of the documents at ``paths``.

        The text is cut into windows of the model's context, and every token but the first is
        predicted once.

        Raises:
            UsageError: no text, text that is not UTF-8, or the model is no language model.
        """
        return language_modelling.evaluate(self.model, self.text(text, paths=paths))

    def text(
        self, text: str | None = None, *, paths: str | Path | Sequence[str | Path] | None = None
    ) -> language_modelling.Text:
        """What ``evaluate`` judges the model on; tells how many characters are unknown to it.

        Raises:
            UsageError: see ``evaluate``.
        """
        self._needs("language_modelling", "evaluate a text")
        if (text is None) == (paths is None):
            raise UsageError("evaluate takes either a text or paths; given both or neither.")
        texts = [text] if text is not None else [d.text for d in read_documents(paths or ())]
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
    raise UsageError(
        f"{path}: {what}. Expected a run directory or a model directory, as `phalanx train` makes "
        "them. Check the path."
    )
