"""Who is told what a comparison is doing."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from phalanx.comparison.course import Shown
from phalanx.comparison.results import Row
from phalanx.training.trainer import Trainer


class Listener:
    """Told of what happens; every method may be left as it is."""

    def say(self, text: str) -> None:
        """One line on what comes next, or on what was found."""

    def structure(self, rows: Sequence[Row], models: Sequence[str]) -> None:
        """The structure verdicts are known."""

    def run(self, title: str, trainer: Trainer) -> AbstractContextManager[Shown]:
        """A training run begins; its events go to what this returns."""
        return nullcontext(_Silent())


class _Silent:
    def show(self, event: object) -> None:
        """Show nothing."""
