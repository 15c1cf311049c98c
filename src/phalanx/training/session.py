"""Driving a trainer to its end: the record, the checkpoints, and what is said about them."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from phalanx import durable
from phalanx.errors import PhalanxError
from phalanx.training.events import Checkpoint, End, Event, Reason
from phalanx.training.metrics import MetricsLog
from phalanx.training.progress import Progress
from phalanx.training.run_directory import RunDirectory
from phalanx.training.trainer import DivergedError, Step, Trainer, Validation

CHECKPOINT_SECONDS = 600.0
"""At most so much of a run is ever lost, however seldom it validates."""


class ValidationLeft(BaseException):
    """Raised by the handler of a signal, only while the trainer validates: nothing is lost by it.

    KeyboardInterrupt will not do: the second Ctrl-C raises that in the middle of an update, whose
    weights must not be saved.
    """


class Record(Protocol):
    """Where events are written beside ``metrics.jsonl``: stdout, TensorBoard."""

    def write(self, event: Event) -> None:
        """Write one event."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What this part of a run came to.

    Args:
        last: the last validation.
        step: the last step.
        reason: why it ended.
    """

    last: Validation | None = None
    step: Step | None = None
    reason: Reason = "interrupted"


def train(
    trainer: Trainer,
    directory: RunDirectory,
    log: MetricsLog,
    progress: Progress,
    others: Sequence[Record] = (),
) -> Outcome:
    """Run a trainer to its end, keeping the record and the checkpoints.

    Args:
        trainer: fresh, or put where the run was.
        directory: where checkpoints go.
        log: the record of the run.
        progress: what a person sees.
        others: where else events are written.

    Returns early, with a checkpoint, when the trainer is stopped or ValidationLeft is raised.

    Raises:
        DivergedError: the loss is no number; the checkpoints are those before.
        StorageError: a checkpoint or a record could not be written.
    """
    outcome = Outcome()

    def tell(event: Event) -> None:
        for record in (log, *others):
            record.write(event)
        progress.show(event)

    def end(reason: Reason) -> None:
        tell(End(reason, trainer.steps, trainer.tokens, trainer.seconds))

    keeper = _Keeper(trainer, directory, log, tell)
    with progress:
        try:
            for event in trainer.events():
                tell(event)
                if isinstance(event, Step):
                    outcome = replace(outcome, step=event)
                else:
                    outcome = replace(outcome, last=event)
                keeper.after(event)
        except ValidationLeft:
            pass
        except PhalanxError as error:
            with suppress(durable.StorageError):  # the error itself may be a full disk
                end("diverged" if isinstance(error, DivergedError) else "failed")
            raise
        keeper.at_the_end()
        outcome = replace(outcome, reason=trainer.end_reason or "interrupted")
        end(outcome.reason)
    return outcome


def summary(trainer: Trainer, directory: RunDirectory, outcome: Outcome) -> dict[str, Any]:
    """The result of a run so far as JSON values."""
    prepared = directory.prepared
    total, outside = trainer.model.parameter_counts()
    best = {
        name.removeprefix("validation_"): value
        for name, value in (directory.best_figures() or {}).items()
        if name.startswith("validation_")
    }
    return {
        "path": str(directory.path),
        "parameters": total,
        "non_embedding_parameters": outside,
        "steps": trainer.steps,
        "tokens": trainer.tokens,
        "seconds": trainer.seconds,
        "tokens_per_second": trainer.tokens / trainer.seconds if trainer.seconds else None,
        "training_loss": outcome.step.loss if outcome.step else None,
        "best": {"step": trainer.best_step, **best} if best else None,
        "ended": outcome.reason,
        "interrupted": trainer.interrupted,
        "skipped": trainer.skipped,
        "text": prepared.data_summary(),
        "config": json.loads(prepared.config.model_dump_json()),
    }


class _Keeper:
    """Decides when a checkpoint is due, and writes it."""

    def __init__(
        self,
        trainer: Trainer,
        directory: RunDirectory,
        log: MetricsLog,
        tell: Callable[[Event], None],
    ) -> None:
        self._trainer, self._directory, self._log, self._tell = trainer, directory, log, tell
        self._saved = self._place
        self._at = time.monotonic()

    def after(self, event: Step | Validation) -> None:
        """Save where one is due; a step that is about to be validated waits for its scores."""
        every, step = self._trainer.config.checkpoint_every, self._trainer.steps
        due = (every is not None and step % every == 0) or self._overdue
        if isinstance(event, Validation):
            if due or event.best or every is None:
                self.save(event.scores, best=event.best)
        elif due and not self._trainer.validation_due:
            self.save({}, best=False)

    def at_the_end(self) -> None:
        """Save what has not been saved yet."""
        if self._trainer.steps and self._saved != self._place:
            self.save({}, best=False)

    def save(self, scores: Mapping[str, float], *, best: bool) -> None:
        """Write a checkpoint; the record of what led to it lasts first."""
        self._log.sync()
        self._directory.save(self._trainer, scores, best=best)
        self._saved, self._at = self._place, time.monotonic()
        self._tell(Checkpoint(self._trainer.steps, best))

    @property
    def _place(self) -> tuple[int, int]:
        return self._trainer.steps, self._trainer.validated

    @property
    def _overdue(self) -> bool:
        return time.monotonic() - self._at >= CHECKPOINT_SECONDS
