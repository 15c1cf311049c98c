"""What a comparison was asked, what it stands on, and what it has found so far."""

from dataclasses import dataclass, field
from typing import Any

from phalanx.comparison.contenders import Contender
from phalanx.comparison.contest import Contest
from phalanx.comparison.efficiency import Sized
from phalanx.comparison.gradients import Carried
from phalanx.comparison.machine import Machine
from phalanx.comparison.recall import Recalled
from phalanx.comparison.results import Level, ScalingPoint, Tagger
from phalanx.comparison.structure import Structure
from phalanx.comparison.work import Work
from phalanx.config import LARGEST_SEED
from phalanx.data.sources import Corpus
from phalanx.data.tokenizers import Tokenizer
from phalanx.errors import UsageError
from phalanx.tasks.language_modelling import Text

DEFAULT_SIZE = 400_000
DEFAULT_BUDGET = 240.0


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how.

    Args:
        models: presets, YAML files, run directories.
        corpus: what ``load_corpus`` takes.
        tokenizer: ``bytes``, ``characters`` or ``bpe``.
        size: parameters of a preset outside its tables.
        budget: seconds of wall time in all.
        repeats: turns of every measured figure, at least 3.
        seed: of weights, order and sampling.
        device: ``auto``, ``cpu`` or ``cuda``.
        only_structure: stop after the structure verdicts.
        language: of the report.
        command: as it was typed, for the record.
    """

    models: tuple[str, ...]
    corpus: str = "stdlib"
    tokenizer: str = "bytes"
    size: int = DEFAULT_SIZE
    budget: float = DEFAULT_BUDGET
    repeats: int = 3
    seed: int = 0
    device: str = "auto"
    only_structure: bool = False
    language: str = "en"
    command: str = ""


def check_numbers(repeats: int, seed: int) -> None:
    """Refuse too few repeats, and a seed that cannot be counted on from.

    Raises:
        UsageError: one of them is out of range.
    """
    if repeats < 3:
        raise UsageError(f"repeats {repeats}: expected at least 3, to show a spread.")
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed {seed}: expected 0 to {LARGEST_SEED}.")


@dataclass(frozen=True)
class Setting:
    """What every model of a comparison meets.

    Args:
        request: what is wanted.
        device: where it is computed.
        models: who takes part.
        corpus, tokenizer: the text, and what cuts it into tokens.
        train_tokens: tokens of the training side.
        text: what is validated on.
        validation_side: tokens of the side that ``text`` is taken from.
        facts: of this machine.
    """

    request: Request
    device: str
    models: tuple[Contender, ...]
    corpus: Corpus
    tokenizer: Tokenizer
    train_tokens: int
    text: Text
    validation_side: int
    facts: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The models' names, in their order."""
        return [contender.name for contender in self.models]


@dataclass
class Found:
    """What a comparison found so far."""

    structures: list[Structure] = field(default_factory=list)
    work: dict[str, Work] = field(default_factory=dict)
    machine: Machine | None = None
    levels: list[Level] = field(default_factory=list)
    carried: dict[str, list[Carried]] = field(default_factory=dict)
    recalled: dict[str, Recalled] = field(default_factory=dict)
    scaling: list[ScalingPoint] = field(default_factory=list)
    sizes: dict[str, Sized] = field(default_factory=dict)
    taggers: list[Tagger] = field(default_factory=list)
    contest: Contest = field(default_factory=Contest)
    samples: dict[str, str] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # part -> why
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # part -> taken
