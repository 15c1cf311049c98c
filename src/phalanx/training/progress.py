"""What a person sees of a run: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from phalanx.training.eta import Plan, TimeLeft, clock
from phalanx.training.events import Checkpoint, Event
from phalanx.training.trainer import Step, Trainer, Validation

LINE_SECONDS = 10.0
"""Plain lines come this far apart, validations aside."""
FRAME_SECONDS = 0.25
"""The bar changes no more often."""
HOUR, YEAR = 3600.0, 365 * 24 * 3600.0


class Progress(Protocol):
    """Shows events as they come; a context manager around the run."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def make_progress(
    trainer: Trainer, validation_seconds: Callable[[], float] | None = None
) -> Progress:
    """A bar where stderr is a terminal, lines otherwise.

    Args:
        trainer: about to run, or to go on.
        validation_seconds: finds out what a validation will take; called once, unless one is made
            before.
    """
    follower = Follower(trainer, validation_seconds)
    return BarProgress(follower) if sys.stderr.isatty() else LineProgress(follower)


class Follower:
    """Loss, tokens a second and time left, kept up to date by the events of a run."""

    def __init__(
        self, trainer: Trainer, validation_seconds: Callable[[], float] | None = None
    ) -> None:
        self.trainer = trainer
        self.loss = float("nan")
        self.tokens_per_second = 0.0
        self._last: Step | None = None
        self._time_left = TimeLeft(_plan(trainer))
        self._validation_seconds = validation_seconds if trainer.validate is not None else None

    def see(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Validation):
            self._time_left.validation()
            self._validation_seconds = None
        elif isinstance(event, Checkpoint):
            self._time_left.checkpoint()

    def _step(self, step: Step) -> None:
        before, self._last = self._last, step
        first = self.loss != self.loss
        self.loss = step.loss if first else 0.95 * self.loss + 0.05 * step.loss
        if before is not None and step.seconds > before.seconds:
            now = (step.tokens - before.tokens) / (step.seconds - before.seconds)
            smooth = self.tokens_per_second or now
            self.tokens_per_second = 0.9 * smooth + 0.1 * now
        self._time_left.step(step.step, step.seconds)
        if self._validation_seconds is not None and self.trainer.progress < 1.0:
            self._time_left.expect_validation(self._validation_seconds())
            self._validation_seconds = None

    @property
    def seconds_left(self) -> float:
        """Seconds until the run ends, at the pace so far; NaN before it is known."""
        return self._time_left.seconds

    @property
    def figures(self) -> str:
        """Loss and speed in words."""
        speed = f"{self.tokens_per_second:,.0f}" if self.tokens_per_second else "?"
        return f"loss {self.loss:.4f}  {speed} tokens/s"


def _plan(trainer: Trainer) -> Plan:
    config, validated = trainer.config, trainer.validate is not None
    return Plan(
        steps=config.steps,
        seconds=config.seconds,
        validate_every=config.evaluate_every if validated else None,
        validate_seconds=trainer.validate_seconds,
        checkpoint_every=config.checkpoint_every,
    )


def describe(event: Validation) -> str:
    """A validation in words."""
    figures = "  ".join(
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in event.scores.items()
        if name != "loss"
    )
    star = "  best so far" if event.best else ""
    return (
        f"step {event.step}  training loss {event.training_loss:.4f}  "
        f"validation loss {event.loss:.4f}  {figures}{star}"
    )


def left(seconds: float, now: datetime) -> str:
    """Time left in words: ``1:05 left``, and the time of day of an end an hour or more away."""
    words = f"{clock(seconds)} left"
    if not HOUR <= seconds < YEAR:
        return words
    end = now + timedelta(seconds=seconds)
    days = (end.date() - now.date()).days
    day = "" if days == 0 else f"{end:%a} " if days < 7 else f"{end:%Y-%m-%d} "
    return f"{words}, finishes {'' if day else 'at '}{day}{end:%H:%M}"


class LineProgress:
    """Plain lines: one every few seconds, and one a validation."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._next = time.monotonic()

    def show(self, event: Event) -> None:
        """Print the event, where it is time to."""
        self._follower.see(event)
        if isinstance(event, Validation):
            print(describe(event), file=sys.stderr, flush=True)
        elif isinstance(event, Step) and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            words = left(self._follower.seconds_left, datetime.now())
            line = f"step {event.step}  {self._follower.figures}  {words}"
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class BarProgress:
    """A bar that stays in place, with validations above it."""

    def __init__(self, follower: Follower) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._follower = follower
        self._next = time.monotonic()
        self._bar = Progress(
            TextColumn("step {task.fields[step]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[figures]}"),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=1.0, step=0, figures="", left="")

    def show(self, event: Event) -> None:
        """Move the bar, or print a validation above it."""
        self._follower.see(event)
        if isinstance(event, Validation):
            self._bar.print(describe(event), highlight=False)
        elif isinstance(event, Step):
            done = self._follower.trainer.progress
            if time.monotonic() < self._next and done < 1.0:
                return
            self._next = time.monotonic() + FRAME_SECONDS
            self._bar.update(
                self._task,
                completed=done,
                step=event.step,
                figures=self._follower.figures,
                left=left(self._follower.seconds_left, datetime.now()),
                refresh=True,
            )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
