"""Training under one budget: first as many tokens for every model, then as many seconds.

The time that the slowest model gets is chosen from measured speeds so that everything fits; what it
reads in that time is what every model reads. Its time is then the common time: each other model is
trained once more, from the start, for that long.
Both runs complete their schedule of learning rates, so that neither is a run cut short.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from phalanx.comparison.contenders import Contender
from phalanx.comparison.course import NEVER, Announce, Course, Ran
from phalanx.comparison.plan import LEAST_STEPS, make_plan

_MARGIN = 0.96  # of the time is planned; speeds vary


@dataclass
class Contest:
    """What training gave, as far as it got.

    Args:
        tokens: that every model was given; 0: there was no time.
        seconds: the common time; None where it was not reached.
        equal_tokens, equal_seconds: runs by model. The slowest model's run is in both.
        notes: what was left out.
    """

    tokens: int = 0
    seconds: float | None = None
    equal_tokens: dict[str, Ran] = field(default_factory=dict)
    equal_seconds: dict[str, Ran] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run_contest(
    models: Sequence[Contender],
    course: Course,
    seconds: float,
    contest: Contest,
    announce: Announce,
    left: Callable[[], float],
) -> None:
    """Train every model, filling ``contest`` as results come.

    Args:
        models: who takes part.
        course: what on.
        seconds: for everything.
        contest: filled.
        announce: shows a run: (title, trainer) -> context manager.
        left: seconds until training has to be over, asked as time passes.
    """
    began = time.perf_counter()
    speeds = {contender.name: course.speed(contender) for contender in models}
    costs = {name: speed.token for name, speed in speeds.items()}
    left_for_runs = _MARGIN * (seconds - (time.perf_counter() - began))
    plan = make_plan(list(speeds.values()), left_for_runs, course.step_tokens)
    if plan is None:
        contest.notes.append(
            f"Training: not measured, {left_for_runs:.1f} s are too few for {LEAST_STEPS} steps "
            "of each model."
        )
        return
    # The slowest goes first and by the clock: its time is the common one, and what it read in that
    # time is the common number of tokens. Drift of the machine then moves tokens, not the end.
    ordered = sorted(models, key=lambda contender: -costs[contender.name])
    first, common, points = ordered[0], plan.seconds, plan.points
    config = course.config(first, steps=NEVER, evaluate_every=NEVER, seconds=common)
    title = f"{first.name}, the slowest: {common:.1f} s"
    ran = course.run(first, config, common / points, title, announce)
    contest.equal_tokens[first.name] = ran
    contest.tokens = ran.tokens
    for contender in ordered[1:]:
        every = max(1, -(-ran.steps // points))
        config = course.config(contender, steps=ran.steps, evaluate_every=every)
        title = f"{contender.name}: {contest.tokens:,} tokens, as every model"
        contest.equal_tokens[contender.name] = course.run(contender, config, None, title, announce)
    slow = max(contest.equal_tokens, key=lambda name: contest.equal_tokens[name].seconds)
    common = contest.equal_tokens[slow].seconds
    if not plan.again:
        contest.notes.append("Equal seconds: not measured, the time was too short for both runs.")
        return
    contest.seconds = common
    contest.equal_seconds[slow] = contest.equal_tokens[slow]
    for contender in reversed(ordered):
        if contender.name == slow:
            continue
        speed = speeds[contender.name]
        needed = common + points * speed.validation + speed.fixed
        if needed > left():
            contest.notes.append(
                f"Equal seconds, {contender.name}: not measured, {common:.1f} s more did not fit."
            )
            continue
        config = course.config(contender, steps=NEVER, evaluate_every=NEVER, seconds=common)
        title = f"{contender.name}: {common:.1f} s, as every model"
        contest.equal_seconds[contender.name] = course.run(
            contender, config, common / points, title, announce
        )
