"""What the verbs ``predict`` and ``evaluate`` say of each task: one file a task."""

from typing import TYPE_CHECKING, Protocol

from phalanx.cli.common import EvaluateAsk, PredictAsk

if TYPE_CHECKING:
    from phalanx.runs import Run


class TaskCommands(Protocol):
    """A file of this folder that belongs to a task."""

    def predict(self, run: "Run", ask: PredictAsk, /) -> None:
        """Answer for texts, and print or write the answers."""

    def evaluate(self, run: "Run", ask: EvaluateAsk, /) -> None:
        """Judge the model by files, and print or write the report."""


def commands_of(task: str) -> TaskCommands | None:
    """The commands of a task; None where it has none, as for a model of embeddings alone."""
    if task == "classification":
        import phalanx.cli.classification as classification

        return classification
    if task == "tagging":
        import phalanx.cli.tagging as tagging

        return tagging
    if task == "translation":
        import phalanx.cli.translation as translation

        return translation
    if task == "masked_lm":
        import phalanx.cli.masked_lm as masked_lm

        return masked_lm
    return None
