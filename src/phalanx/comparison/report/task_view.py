"""What table and page both need to know about a comparison on a task."""

from collections.abc import Callable, Sequence

from phalanx.comparison.report.view import best
from phalanx.comparison.tasks.results import TaskStudy, TaskTrained
from phalanx.comparison.tasks.scores import is_share, shown
from phalanx.pages.figures import NOTHING


def scores_of(study: TaskStudy) -> list[str]:
    """Return the scores that models or, before any is trained, baselines have, in their order."""
    having = study.models[0].equal_tokens if study.models else study.baselines[0].scores
    return shown(having)


def score_text(score: str, value: float | None) -> str:
    """Return a share in percent with one digit after the point, a loss with three."""
    if value is None:
        return NOTHING
    return f"{value:.1%}" if is_share(score) else f"{value:.3f}"


def lowest(score: str, *, timed: bool) -> Callable[[TaskTrained], float | None]:
    """Return what is lowest at the model that is best by a score.

    Args:
        score: its name.
        timed: after equal seconds, otherwise after equal tokens.
    """

    def value(model: TaskTrained) -> float | None:
        scores = model.equal_seconds if timed else model.equal_tokens
        found = None if scores is None else scores.get(score)
        return found if found is None or not is_share(score) else -found

    return value


def best_model(models: Sequence[TaskTrained], score: str, *, timed: bool) -> TaskTrained | None:
    """Return the best of several models by a score; None where nobody competes."""
    return best(models, lowest(score, timed=timed))
