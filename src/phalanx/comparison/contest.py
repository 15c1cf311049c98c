"""Training under one budget: first as many tokens for every model, then as many seconds.

The time that the slowest model gets is chosen from measured speeds so that everything fits; what it
reads in that time is what every model reads. Its time is then the common time: each other model is
trained once more, from the start, for that long.
Both runs complete their schedule of learning rates, so that neither is a run cut short.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from phalanx.comparison.clocks import Figure, figure
from phalanx.comparison.contenders import Contender
from phalanx.comparison.memory import peak_memory
from phalanx.comparison.results import CurvePoint
from phalanx.comparison.tuning import rates_of
from phalanx.comparison.work import Work, train_call
from phalanx.config import TrainingConfig
from phalanx.data.batches import LanguageWindows
from phalanx.data.tokenizers import Tokenizer
from phalanx.models import Decoder, build
from phalanx.tasks.language_modelling import Text, batches, evaluate
from phalanx.training.trainer import Step, Trainer, Validation

BATCH, LENGTH = 16, 64
_EVERY = 1_000_000_000  # steps: never reached, another rule ends the run or the interval
_SPEED_STEPS = 6
_LEAST_STEPS = 12  # fewer are no training
_MARGIN = 0.96  # of the time is planned; speeds vary
_VALIDATION_SHARE = 0.15
_PIECES = 8  # of a run, for the spread of its speed


class Shown(Protocol):
    """Shows a run's events (training.progress.Progress)."""

    def show(self, event: Step | Validation) -> None:
        """Show one event."""
        ...


Announce = Callable[[str, Trainer], AbstractContextManager[Shown]]


@dataclass(frozen=True)
class Course:
    """What every model is trained and judged on.

    Args:
        windows: training samples; the order is a function of the seed.
        text: every position of an even selection of the validation side's windows.
        seed: of weights and order.
        device: where.
    """

    windows: LanguageWindows
    text: Text
    seed: int
    device: str


@dataclass
class Ran:
    """One run.

    Args:
        model: as it was at the end.
        steps, tokens, seconds: of the run; seconds without validation.
        curve: its validations.
        speed: tokens a second, over pieces of the run.
        memory: bytes at the peak.
    """

    model: Decoder
    steps: int
    tokens: int
    seconds: float
    curve: list[CurvePoint]
    speed: Figure
    memory: int

    @property
    def last(self) -> CurvePoint:
        """The validation at the end."""
        return self.curve[-1]


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


def selection(
    tokenizer: Tokenizer, ids_N: NDArray[np.int32], tokens: int, length: int = LENGTH
) -> Text:
    """Every position of about ``tokens`` tokens of a text: whole windows, evenly spread over it.

    Raises:
        UsageError: fewer than two tokens.
    """
    whole = (len(ids_N) - 1) // length * length
    return Text.over(tokenizer, ids_N, length, min(tokens, whole))


def run_contest(
    models: Sequence[Contender],
    work: dict[str, Work],
    course: Course,
    seconds: float,
    contest: Contest,
    announce: Announce,
    left: Callable[[], float],
) -> None:
    """Train every model, filling ``contest`` as results come.

    Args:
        models: who takes part.
        work: their FLOPs.
        course: what on.
        seconds: for everything, validations too.
        contest: filled in place, so that what is done survives an interruption.
        announce: shows a run: (title, trainer) -> context manager.
        left: seconds until training has to be over, asked as time passes.
    """
    began = time.perf_counter()
    speeds = {contender.name: _speed(contender, course) for contender in models}
    costs = {name: speed.token for name, speed in speeds.items()}
    left_for_runs = _MARGIN * (seconds - (time.perf_counter() - began))
    plan = make_plan(list(speeds.values()), left_for_runs)
    if plan is None:
        contest.notes.append(
            f"Training: not measured, {left_for_runs:.1f} s are too few for {_LEAST_STEPS} steps "
            "of each model."
        )
        return
    # The slowest goes first and by the clock: its time is the common one, and what it read in that
    # time is the common number of tokens. Drift of the machine then moves tokens, not the end.
    ordered = sorted(models, key=lambda contender: -costs[contender.name])
    first, common, points = ordered[0], plan.seconds, plan.points
    config = _config(first, steps=_EVERY, evaluate_every=_EVERY, seconds=common)
    title = f"{first.name}, the slowest: {common:.1f} s"
    ran = _run(first, work[first.name], course, config, common / points, title, announce)
    contest.equal_tokens[first.name] = ran
    contest.tokens = ran.tokens
    for contender in ordered[1:]:
        every = max(1, -(-ran.steps // points))
        config = _config(contender, steps=ran.steps, evaluate_every=every)
        title = f"{contender.name}: {contest.tokens:,} tokens, as every model"
        contest.equal_tokens[contender.name] = _run(
            contender, work[contender.name], course, config, None, title, announce
        )
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
        config = _config(contender, steps=_EVERY, evaluate_every=_EVERY, seconds=common)
        title = f"{contender.name}: {common:.1f} s, as every model"
        contest.equal_seconds[contender.name] = _run(
            contender, work[contender.name], course, config, common / points, title, announce
        )


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


def make_plan(speeds: Sequence[Speed], seconds: float) -> Plan | None:
    """How the time is shared: with curves if it lasts, else with fewer runs, else None."""
    slowest = max(speed.token for speed in speeds)
    relative = sum(speed.token for speed in speeds) / slowest
    judging = sum(speed.validation for speed in speeds)
    fixed = sum(speed.fixed for speed in speeds)
    most = max(1, min(8, int(_VALIDATION_SHARE * seconds / (2 * judging))))
    for points, again in ((most, True), (1, True), (1, False)):
        rounds = 2 if again else 1
        runs = relative + (len(speeds) - 1 if again else 0)
        common = (seconds - rounds * (fixed + points * judging)) / runs
        if common >= _LEAST_STEPS * BATCH * LENGTH * slowest:
            return Plan(common, points, again)
    return None


def _config(contender: Contender, **chosen: float) -> TrainingConfig:
    rates = rates_of(contender.preset)
    return rates.training(batch_size=BATCH, sequence_length=LENGTH, **chosen)


def _fresh(contender: Contender, course: Course) -> Decoder:
    model = build(contender.config, seed=course.seed)
    assert isinstance(model, Decoder)
    return model.to(course.device)


def _speed(contender: Contender, course: Course) -> Speed:
    """Measured on weights that are thrown away."""
    began = time.perf_counter()
    model = _fresh(contender, course)
    built = time.perf_counter() - began
    trainer = Trainer(model, _config(contender), batches(course.windows, BATCH))
    taken = []
    for _ in range(_SPEED_STEPS):
        before = trainer.seconds
        trainer.step()
        taken.append(trainer.seconds - before)
    windows = course.text.windows
    rows = windows.take(0, min(128, len(windows)))[0].to(course.device)
    validations = []
    with torch.no_grad():
        for _ in range(2):
            start = time.perf_counter()
            model(rows)
            if course.device != "cpu":
                torch.cuda.synchronize()
            validations.append(time.perf_counter() - start)
    step = float(np.median(taken[2:]))
    share = len(windows) / len(rows)
    # Besides: the model is built, its first steps are slow, and one more counts its memory.
    fixed = built + 3 * step
    return Speed(step / (BATCH * LENGTH), min(validations) * share, fixed)


def _run(
    contender: Contender,
    work: Work,
    course: Course,
    config: TrainingConfig,
    validate_seconds: float | None,
    title: str,
    announce: Announce,
) -> Ran:
    model = _fresh(contender, course)
    flops = float(work.train.at(LENGTH)) / LENGTH
    trainer = Trainer(
        model,
        config,
        batches(course.windows, BATCH),
        validate=lambda m: evaluate(m, course.text).as_dict(),
        validate_seconds=validate_seconds,
    )
    curve: list[CurvePoint] = []
    times: list[float] = []
    memory = 0
    if course.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    with announce(title, trainer) as shown:
        for event in trainer.events():
            shown.show(event)
            if isinstance(event, Step):
                times.append(event.seconds)
                continue
            curve.append(
                CurvePoint(
                    step=event.step,
                    tokens=event.tokens,
                    flops=event.tokens * flops,
                    seconds=event.seconds,
                    loss=event.loss,
                    bits_per_byte=event.scores["bits_per_byte"],
                )
            )
    if course.device == "cpu":
        inputs_BT, _ = course.windows.batch(0, BATCH)
        memory = peak_memory(model, train_call(model, inputs_BT), trainer.optimizers)
    else:
        memory = torch.cuda.max_memory_allocated()
    model.eval()
    return Ran(model, trainer.steps, trainer.tokens, trainer.seconds, curve, _pieces(times), memory)


def _pieces(times: Sequence[float]) -> Figure:
    """Tokens a second over pieces of a run of equal numbers of steps, the first steps left out."""
    steady = times[min(2, len(times) - 1) :]
    if len(steady) < 2:
        rate = len(times) * BATCH * LENGTH / times[-1]
        return figure([rate])
    pieces = min(_PIECES, len(steady) - 1)
    edges = [round(i * (len(steady) - 1) / pieces) for i in range(pieces + 1)]
    return figure([(b - a) * BATCH * LENGTH / (steady[b] - steady[a]) for a, b in pairwise(edges)])
