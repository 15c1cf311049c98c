"""How the time for training is shared out between models, runs and validations."""

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_STEPS = 12  # fewer are no training
_VALIDATION_SHARE = 0.15
_MOST_POINTS = 8  # validations of a run


@dataclass(frozen=True)
class Speed:
    """Seconds of training a token, of one validation, and of what each run costs besides."""

    token: float
    validation: float
    fixed: float


@dataclass(frozen=True)
class Plan:
    """Seconds of the slowest model's run, validations a run, and whether all run once more."""

    seconds: float
    points: int
    again: bool


def make_plan(speeds: Sequence[Speed], seconds: float, step_tokens: float) -> Plan | None:
    """How the time is shared: with curves if it lasts, else with fewer runs, else None.

    Args:
        speeds: of each model.
        seconds: for everything.
        step_tokens: tokens of a step, so that none has fewer than LEAST_STEPS.
    """
    slowest = max(speed.token for speed in speeds)
    relative = sum(speed.token for speed in speeds) / slowest
    judging = sum(speed.validation for speed in speeds)
    fixed = sum(speed.fixed for speed in speeds)
    most = max(1, min(_MOST_POINTS, int(_VALIDATION_SHARE * seconds / (2 * judging))))
    for points, again in ((most, True), (1, True), (1, False)):
        rounds = 2 if again else 1
        runs = relative + (len(speeds) - 1 if again else 0)
        common = (seconds - rounds * (fixed + points * judging)) / runs
        if common >= LEAST_STEPS * step_tokens * slowest:
            return Plan(common, points, again)
    return None
