"""`phalanx train` on a text of a few lines, and what two equal runs have in common."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from lives import TERMINATED, result

from phalanx import durable
from phalanx.cli.main import main
from phalanx.training.trainer import Trainer

TEXT = "one two buckle my shoe, three four knock at the door, five six pick up sticks. " * 30
SETTINGS = {
    "preset": "gru",
    "steps": 12,
    "train.batch_size": 4,
    "train.micro_batch_size": 3,
    "train.sequence_length": 16,
    "train.evaluate_every": 5,
    "train.checkpoint_every": 4,
    "train.keep": 9,
    "train.average": 0.9,
    "model.width": 16,
    "model.layers": 1,
    "model.dropout": 0.2,
}


def write_text(folder: Path) -> Path:
    """The text that is trained on."""
    path = folder / "text.txt"
    path.write_text(TEXT)
    return path


def command(text: Path, run: Path, *more: str, **changes: object) -> list[str]:
    """The words of a run; changes are settings, with __ for a dot."""
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    options = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return ["train", str(text), "-o", str(run), *options, *more]


def train(text: Path, run: Path, *more: str, **changes: object) -> int:
    """Run it in this process; its exit code."""
    return main(command(text, run, *more, **changes))


def in_peace(folder: Path, **changes: object) -> dict[str, object]:
    """What the run comes to when nothing happens to it."""
    run = folder / "peace"
    assert train(folder / "text.txt", run, **changes) == 0
    return result(run)


def checkpoints(run: Path) -> list[str]:
    """The names in ``checkpoints/``."""
    return sorted(entry.name for entry in (run / "checkpoints").iterdir())


def newest(run: Path) -> Path:
    """The checkpoint that ``last`` leads to."""
    return (run / "last").resolve()


def steps_of(checkpoint: Path) -> int:
    """How many steps it holds."""
    values = json.loads((checkpoint / "training.json").read_text())
    assert isinstance(values["steps"], int)
    return values["steps"]


def temporaries(run: Path) -> list[Path]:
    """What an unfinished write would leave."""
    return list(run.rglob(f"{durable.HIDDEN}*"))


def at_step(patch: pytest.MonkeyPatch, step: int, *actions: Callable[[], object]) -> None:
    """Let something happen within a step (counted from 1), right before its update."""
    update = Trainer._update

    def disturbed(trainer: Trainer) -> None:
        if trainer.steps + 1 == step:
            for action in actions:
                action()
        update(trainer)

    patch.setattr(Trainer, "_update", disturbed)


def interrupt(number: signal.Signals = signal.SIGTERM) -> None:
    """Send this process a signal."""
    os.kill(os.getpid(), number)


def begun(folder: Path, **changes: object) -> Path:
    """A run that was asked to stop in its ninth step: it has checkpoints at 4, 5, 8 and 9."""
    run = folder / "begun"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 9, interrupt)
        assert train(folder / "text.txt", run, **changes) == TERMINATED
    return run
