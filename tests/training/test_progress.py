"""What a person sees of a run: the time left on lines and on the bar, and when it ends."""

import math
from datetime import datetime

import pytest
from small_runs import rhyme_trainer

from phalanx.training.events import Checkpoint, End, Resume
from phalanx.training.probe import validation_seconds
from phalanx.training.progress import (
    BarProgress,
    Follower,
    LineProgress,
    describe,
    left,
    make_progress,
)
from phalanx.training.trainer import Step, Trainer, Validation

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def trainer() -> Trainer:
    return rhyme_trainer("gru", steps=20, evaluate_every=10)


def step(number: int, loss: float = 2.0) -> Step:
    return Step(number, number * 64, number * 0.5, loss, 1.0, 0.5)


def test_lines_show_loss_speed_and_time_left(
    trainer: Trainer, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phalanx.training.progress.LINE_SECONDS", 0.0)
    with LineProgress(Follower(trainer)) as progress:
        progress.show(Resume(0, 0, 0.0))
        for number in range(1, 5):
            progress.show(step(number))
        progress.show(Validation(4, 256, 2.0, 2.1, {"loss": 1.5, "bits_per_byte": 2.2}, best=True))
        progress.show(Checkpoint(4, best=True))
        progress.show(End("steps", 4, 256, 2.0))
    out, err = capsys.readouterr()
    assert out == ""
    first, *_, last, validation = err.splitlines()
    assert first.startswith("step 1  loss 2.0000  ? tokens/s  ? left")
    assert last.startswith("step 4  loss 2.0000  128 tokens/s  0:00 left")
    assert validation.endswith("validation loss 1.5000  bits per byte 2.2000  best so far")


def test_the_bar_shows_the_same(trainer: Trainer, capsys: Capture) -> None:
    trainer.steps = 20
    with BarProgress(Follower(trainer)) as progress:
        progress.show(step(19))
        progress.show(step(20))
        progress.show(Validation(20, 256, 2.0, 2.1, {"loss": 1.5}))
    shown = capsys.readouterr().err
    assert "100 %" in shown
    assert "0:0" in shown
    assert "validation loss 1.5000" in shown


def test_lines_where_nobody_watches(trainer: Trainer) -> None:
    assert isinstance(make_progress(trainer), LineProgress)


def test_a_loss_that_is_no_number_is_forgotten(trainer: Trainer) -> None:
    follower = Follower(trainer)
    for number, loss in enumerate((2.0, math.nan, 1.0), 1):
        follower.see(step(number, loss))
    assert follower.loss == 1.0


def test_an_unseen_validation_is_measured_once(trainer: Trainer) -> None:
    asked = []

    def measured() -> float:
        asked.append(True)
        return 50.0

    follower = Follower(trainer, measured)
    for number in range(1, 10):
        follower.see(step(number))
    assert asked == [True]
    assert follower.seconds_left == pytest.approx(100.0, abs=1.0)  # at step 10, and at the end
    follower = Follower(trainer, measured)
    follower.see(Validation(0, 0, 0.0, 2.0, {"loss": 1.0}))  # seen: nothing to find out
    for number in range(1, 10):
        follower.see(step(number))
    assert asked == [True]


def test_measuring_a_validation_changes_nothing(trainer: Trainer) -> None:
    from small_runs import RHYME, small_tokenizer, weights_of

    from phalanx.tasks import language_modelling

    text = language_modelling.Text.of(small_tokenizer(), [RHYME * 20], 16)
    before = weights_of(trainer.model).clone()
    trainer.model.train()
    assert validation_seconds(trainer.model, text) > 0.0
    assert trainer.model.training
    assert weights_of(trainer.model).equal(before)


def test_a_far_end_has_a_time_of_day() -> None:
    now = datetime(2026, 3, 4, 15, 30)  # a Wednesday
    assert left(math.nan, now) == "? left"
    assert left(3599, now) == "59:59 left"
    assert left(3600, now) == "1:00:00 left, finishes at 16:30"
    assert left(10 * 3600, now) == "10:00:00 left, finishes Thu 01:30"
    assert left(8 * 86400, now) == "192:00:00 left, finishes 2026-03-12 15:30"
    assert left(1e15, now).endswith(" left")


def test_a_validation_in_words() -> None:
    event = Validation(5, 1, 1.0, 2.0, {"loss": 1.25, "perplexity": 3.5})
    assert describe(event) == (
        "step 5  training loss 2.0000  validation loss 1.2500  perplexity 3.5000"
    )
