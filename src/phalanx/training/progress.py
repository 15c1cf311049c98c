"""What a person sees of a run: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from phalanx.training.trainer import Step, Trainer, Validation

LINE_SECONDS = 10.0
"""Plain lines come this far apart, validations aside."""


class Progress(Protocol):
    """Shows events as they come; a context manager around the run."""

    def show(self, event: Step | Validation) -> None:
        """Show one event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def make_progress(trainer: Trainer) -> Progress:
    """A bar where stderr is a terminal, lines otherwise."""
    return BarProgress(trainer) if sys.stderr.isatty() else LineProgress(trainer)


class _Speed:
    """Loss, tokens a second and time left, smoothed over the last steps."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.loss = float("nan")
        self._last: Step | None = None
        self.tokens_per_second = 0.0

    def update(self, step: Step) -> None:
        before = self._last
        self._last = step
        first = self.loss != self.loss
        self.loss = step.loss if first else 0.95 * self.loss + 0.05 * step.loss
        if before is not None and step.seconds > before.seconds:
            now = (step.tokens - before.tokens) / (step.seconds - before.seconds)
            smooth = self.tokens_per_second or now
            self.tokens_per_second = 0.9 * smooth + 0.1 * now

    @property
    def left(self) -> float:
        """Seconds of training left, at the pace so far."""
        done = self.trainer.progress
        return self.trainer.seconds * (1.0 - done) / done if done else float("nan")

    @property
    def words(self) -> str:
        speed = f"{self.tokens_per_second:,.0f}" if self.tokens_per_second else "?"
        return f"loss {self.loss:.4f}  {speed} tokens/s"


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


def clock(seconds: float) -> str:
    """Seconds as ``1:05`` or ``2:00:05``."""
    if seconds != seconds:
        return "?"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class LineProgress:
    """Plain lines: one every few seconds, and one a validation."""

    def __init__(self, trainer: Trainer) -> None:
        self._speed = _Speed(trainer)
        self._next = time.monotonic()

    def show(self, event: Step | Validation) -> None:
        """Print the event, where it is time to."""
        if isinstance(event, Validation):
            print(describe(event), file=sys.stderr, flush=True)
            return
        self._speed.update(event)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_SECONDS
        line = f"step {event.step}  {self._speed.words}  {clock(self._speed.left)} left"
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

    def __init__(self, trainer: Trainer) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._speed = _Speed(trainer)
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("step {task.fields[step]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[words]}"),
            TextColumn("{task.fields[left]} left"),
            console=self._console,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", total=1.0, step=0, words="", left="?")

    def show(self, event: Step | Validation) -> None:
        """Move the bar, or print a validation above it."""
        if isinstance(event, Validation):
            self._bar.print(describe(event), highlight=False)
            return
        self._speed.update(event)
        self._bar.update(
            self._task,
            completed=self._speed.trainer.progress,
            step=event.step,
            words=self._speed.words,
            left=clock(self._speed.left),
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
