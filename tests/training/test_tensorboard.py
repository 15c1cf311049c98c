"""The curves for TensorBoard, read back by its own reader; and without the package."""

import sys
from pathlib import Path

import pytest

from phalanx.errors import UsageError
from phalanx.training.events import Checkpoint
from phalanx.training.tensorboard import TensorBoardLog
from phalanx.training.trainer import Step, Validation


def step(number: int, loss: float) -> Step:
    return Step(number, number * 64, number * 0.5, loss, 1.0, 0.25)


def test_curves_are_written_and_a_resumed_run_replaces_what_was_beyond(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    with TensorBoardLog(tmp_path) as log:
        for number in (1, 2, 3):
            log.write(step(number, 1.0 * number))
        log.write(Validation(2, 128, 1.0, 2.0, {"loss": 1.5, "bits_per_byte": 2.5}))
        log.write(Checkpoint(2, best=True))
    with TensorBoardLog(tmp_path, resume_at=2) as log:
        log.write(step(3, 30.0))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    names = {"train/loss", "train/rate", "train/gradient_norm"}
    names |= {"validation/loss", "validation/bits_per_byte"}
    assert set(found.Tags()["scalars"]) == names
    losses = [(event.step, event.value) for event in found.Scalars("train/loss")]
    assert losses == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert [event.value for event in found.Scalars("validation/bits_per_byte")] == [2.5]


def test_without_the_package_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r'pip install "phalanx\[tensorboard\]"'):
        TensorBoardLog(tmp_path)
    assert list(tmp_path.iterdir()) == []
