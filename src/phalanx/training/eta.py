"""When a run will end: what is left to do, times what such things have taken so far. No torch.

The clock is the wall's, so that whatever lies between two events counts too: reading, validating,
saving. Only this process's events count; one that goes on elsewhere says nothing of this machine.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median
from time import monotonic

FIRST_STEPS = 3
"""The first steps of a process compile, allocate and fill caches: they say nothing of the rest."""
MEMORY_SECONDS = 60.0
"""A step weighs 1/e of the newest one when so much time has passed since."""
OUTLIER = 5.0
"""A step counts as so many medians at most: a machine that slept is no habit."""


@dataclass(frozen=True)
class Plan:
    """How long a run is, and what interrupts its steps.

    Args:
        steps: the last one.
        seconds: of training, after which it ends before that.
        validate_every: steps from one validation to the next; the end is validated too. None: no
            validations.
        validate_seconds: of training, from one validation to the next besides.
        checkpoint_every: steps from one checkpoint to the next. None: with each validation.
    """

    steps: int
    seconds: float | None = None
    validate_every: int | None = None
    validate_seconds: float | None = None
    checkpoint_every: int | None = None


class TimeLeft:
    """Tells the time left of a run from its events, as they come.

    Args:
        plan: of the whole run.
        clock: seconds, wherever they start.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self._before = clock()
        self._step, self._trained = 0, math.nan
        self._seen = 0
        self._pace = _Pace()
        self._validated: deque[float] = deque(maxlen=5)
        self._saved: deque[float] = deque(maxlen=5)
        self._at_validation = -1
        self._validation_guess = 0.0

    def step(self, step: int, trained: float) -> None:
        """A step was taken.

        Args:
            step: steps of the run so far.
            trained: seconds of training so far.
        """
        wall, own = self._since(), trained - self._trained
        self._step, self._trained = step, trained
        self._seen += 1
        if self._seen == FIRST_STEPS + 1:
            self._pace = _Pace()
        if self._seen > 1:
            self._pace.add(wall, own)

    def validation(self) -> None:
        """A validation was made."""
        self._validated.append(self._since())
        self._at_validation = self._step

    def checkpoint(self) -> None:
        """A checkpoint was saved."""
        self._saved.append(self._since())

    def expect_validation(self, seconds: float) -> None:
        """Say what a validation will take, as long as none was made."""
        self._validation_guess = seconds
        self._before = self._clock()  # finding that out is part of no step

    @property
    def seconds(self) -> float:
        """Seconds until the run ends, early stopping aside; NaN before it is known."""
        if not self._pace.known:
            return math.nan
        steps = self._steps_left()
        validations = self._validations_left(steps)
        every = self._plan.checkpoint_every
        checkpoints = _times(self._step, steps, every) if every else validations
        one = fmean(self._validated) if self._validated else self._validation_guess
        save = fmean(self._saved) if self._saved else 0.0
        return steps * self._pace.wall + validations * one + checkpoints * save

    def _since(self) -> float:
        now = self._clock()
        passed, self._before = now - self._before, now
        return passed

    def _steps_left(self) -> float:
        left = float(self._plan.steps - self._step)
        if self._plan.seconds is not None and self._pace.own:
            left = min(left, (self._plan.seconds - self._trained) / self._pace.own)
        return max(left, 0.0)

    def _validations_left(self, steps: float) -> float:
        plan = self._plan
        if plan.validate_every is None:
            return 0.0
        # One that is due at this very step is not behind us yet.
        first = self._step if self._at_validation == self._step else self._step - 1
        left = _times(first, steps + self._step - first, plan.validate_every)
        if plan.validate_seconds is not None:
            left += math.floor(steps * self._pace.own / plan.validate_seconds)
        return left


class _Pace:
    """The mean time of a step, the newer ones weighing more.

    Attributes:
        wall: seconds of a step by the clock.
        own: seconds of it that count as training.
    """

    def __init__(self) -> None:
        self.wall = self.own = 0.0
        self._weight = 0.0
        self._last: deque[float] = deque(maxlen=31)

    @property
    def known(self) -> bool:
        return self._weight > 0.0

    def add(self, wall: float, own: float) -> None:
        self._last.append(wall)
        bound = OUTLIER * median(self._last)
        if wall > bound:
            wall, own = bound, min(own, bound)
        kept = self._weight * math.exp(-wall / MEMORY_SECONDS)
        self._weight = kept + 1.0
        self.wall += (wall - self.wall) / self._weight
        self.own += (own - self.own) / self._weight


def _times(step: int, steps: float, every: int) -> float:
    """Multiples of ``every`` within the next ``steps`` steps, and the end where it is none."""
    if steps <= 0:
        return 0
    end = step + steps
    times = math.floor(end / every) - step // every
    return times + (0 if end % every == 0 else 1)


def clock(seconds: float) -> str:
    """Seconds as ``1:05`` or ``2:00:05``."""
    if seconds != seconds:
        return "?"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
