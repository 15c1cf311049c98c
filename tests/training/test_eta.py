"""The time left of simulated runs: told after a tenth, within a fifth of what came."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from phalanx.training.eta import Plan, TimeLeft, clock


@dataclass
class SimulatedRun:
    """A run on a clock of its own; ``told`` has the time left that was told, ``at`` when."""

    plan: Plan
    step_seconds: Callable[[int], float]
    validation_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    outside: float = 0.0  # of each step, reading and logging: the training clock does not see it
    guess: float | None = None
    from_step: int = 0
    trained: float = 0.0
    now: float = 1000.0
    at: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)

    def run(self) -> float:
        """Run to the end; returns how long it took."""
        plan, began = self.plan, self.now
        left = TimeLeft(plan, lambda: self.now)
        step = self.from_step
        while step < plan.steps and (plan.seconds is None or self.trained < plan.seconds):
            took = self.step_seconds(step)
            self.trained += took
            self.now += took + self.outside
            step += 1
            left.step(step, self.trained)
            if self.guess is not None and step == self.from_step + 3:
                self.now += 0.1
                left.expect_validation(self.guess)
            done = max(step / plan.steps, self.trained / plan.seconds if plan.seconds else 0.0)
            self.at.append(self.now)
            self.told.append(left.seconds)
            self.share.append(done)
            every = plan.validate_every
            if every is not None and (step % every == 0 or done >= 1.0):
                self.now += self.validation_seconds
                left.validation()
                self.now += self.checkpoint_seconds
                left.checkpoint()
        return self.now - began

    def error_after(self, share: float) -> float:
        """How far the time told after a share of the run is from what was left, as a share."""
        self.run()
        place = next(i for i, done in enumerate(self.share) if done >= share - 1e-9)
        return abs(self.told[place] / (self.now - self.at[place]) - 1.0)


def jittered(step: int) -> float:
    """About 0.1 s, up to a fifth more or less, in a fixed disorder."""
    return 0.1 * (1.0 + 0.2 * math.sin(step * 12.9898) ** 3)


PLAIN = SimulatedRun(Plan(steps=300), jittered)
CASES = {
    "constant": PLAIN,
    "reading and logging": replace(PLAIN, outside=0.05),
    "compiled at first": replace(PLAIN, step_seconds=lambda s: 20.0 if s < 2 else 0.1),
    "a machine that slept": replace(PLAIN, step_seconds=lambda s: 30.0 if s == 20 else 0.1),
    "a slow step now and then": replace(PLAIN, step_seconds=lambda s: 0.1 + 0.4 * (s % 7 == 3)),
    "validations, some seen": replace(
        PLAIN,
        plan=Plan(steps=300, validate_every=15),
        validation_seconds=5.0,
        checkpoint_seconds=0.5,
    ),
    "validations, none seen": replace(
        PLAIN, plan=Plan(steps=300, validate_every=50), validation_seconds=8.0, guess=7.0
    ),
    "ended by the clock": replace(
        PLAIN,
        plan=Plan(steps=10**6, seconds=20.0, validate_every=40),
        validation_seconds=6.0,
        guess=6.0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_tenth_of_the_run_tells_the_rest(name: str) -> None:
    assert replace(CASES[name], at=[], told=[], share=[]).error_after(0.1) < 0.2


def test_a_resumed_run_goes_by_the_pace_of_this_process() -> None:
    """It trained ten times slower on the machine before."""
    run = SimulatedRun(Plan(steps=300), jittered, from_step=100, trained=100.0)
    run.run()
    assert run.told[10] == pytest.approx(run.now - run.at[10], rel=0.2)


def test_a_pace_that_changes_is_followed() -> None:
    run = SimulatedRun(Plan(steps=3000), lambda s: 0.1 if s < 1000 else 0.3)
    run.run()
    place = 2000  # 300 s after the change
    assert run.told[place] == pytest.approx(run.now - run.at[place], rel=0.05)


def test_validations_that_are_due_are_counted() -> None:
    """A step of a second, a validation of ten: what is left is counted to the second."""
    plan = Plan(steps=25, validate_every=10)
    run = SimulatedRun(plan, lambda s: 1.0, validation_seconds=10.0, guess=10.0)
    run.run()
    assert run.told[3] == pytest.approx(21 + 30)  # step 4; validations at 10, 20 and the end
    assert run.told[9] == pytest.approx(15 + 30)  # step 10, its own validation to come
    assert run.told[10] == pytest.approx(14 + 20)
    assert run.told[24] == pytest.approx(10)


def test_checkpoints_that_are_due_are_counted() -> None:
    now = [0.0]
    left = TimeLeft(Plan(steps=20, checkpoint_every=5), lambda: now[0])
    for step in range(1, 6):
        now[0] += 1.0
        left.step(step, float(step))
    now[0] += 2.0
    left.checkpoint()
    now[0] += 1.0
    left.step(6, 6.0)
    assert left.seconds == pytest.approx(14 + 3 * 2.0)


def test_before_two_steps_nothing_is_known() -> None:
    now = [0.0]
    left = TimeLeft(Plan(steps=10), lambda: now[0])
    assert math.isnan(left.seconds)
    now[0] = 5.0
    left.step(1, 5.0)
    assert math.isnan(left.seconds)
    now[0] = 6.0
    left.step(2, 6.0)
    assert left.seconds == pytest.approx(8.0)


def test_the_time_that_a_guess_takes_is_no_steps() -> None:
    now = [0.0]
    left = TimeLeft(Plan(steps=10, validate_every=10), lambda: now[0])
    for step in range(1, 6):
        now[0] += 1.0
        left.step(step, float(step))
        if step == 4:
            now[0] += 50.0
            left.expect_validation(3.0)
    assert left.seconds == pytest.approx(5.0 + 3.0)


def test_the_clock_speaks_in_hours_where_there_are_any() -> None:
    assert [clock(s) for s in (0.4, 65, 3599.7, 7205)] == ["0:00", "1:05", "1:00:00", "2:00:05"]
    assert clock(math.nan) == "?"
