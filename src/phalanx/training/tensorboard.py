"""A run's curves for TensorBoard: an extra, ``pip install "phalanx[tensorboard]"``."""

from pathlib import Path
from types import TracebackType
from typing import Self

from phalanx.errors import UsageError
from phalanx.training.events import Event
from phalanx.training.trainer import Step, Validation

FOLDER = "tensorboard"


class TensorBoardLog:
    """Writes steps and validations into ``tensorboard/`` of a run, as ``train/loss`` and the like.

    Args:
        directory: of the run.
        resume_at: the step at which the run goes on; TensorBoard forgets what is beyond it.

    Raises:
        UsageError: the package is not there.
    """

    def __init__(self, directory: Path, resume_at: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError(
                "--tensorboard needs the package tensorboard, which is not installed. Install it "
                'with: pip install "phalanx[tensorboard]"'
            ) from None
        # The first step that does not count any more.
        purge = None if resume_at is None else resume_at + 1
        self._writer = SummaryWriter(directory / FOLDER, purge_step=purge, flush_secs=10)

    def write(self, event: Event) -> None:
        """Write the figures of a step or a validation; there is nothing to draw of the others."""
        if isinstance(event, Step):
            for name in ("loss", "rate", "gradient_norm"):
                self._writer.add_scalar(f"train/{name}", getattr(event, name), event.step)
        elif isinstance(event, Validation):
            for name, value in event.scores.items():
                self._writer.add_scalar(f"validation/{name}", value, event.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
