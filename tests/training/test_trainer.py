"""The loop: it learns, repeats itself bit for bit, and ends when it should."""

import time

import pytest
import torch
from small_runs import PRESETS, rhyme_trainer, weights_of

from phalanx.errors import PhalanxError
from phalanx.tasks.positions import Batch, total
from phalanx.training import trainer as trainer_module
from phalanx.training.trainer import DivergedError, Step, Trainer, Validation


@pytest.mark.parametrize("name", PRESETS)
def test_a_repeated_text_is_learned_by_heart(name: str) -> None:
    rates = {"learning_rate": 1e-2, "muon_learning_rate": 0.06, "warmup_steps": 10}
    steps = 300 if name == "lstm" else 100
    trainer = rhyme_trainer(name, steps=steps, evaluate_every=1000, batch_size=8, **rates)
    events = list(trainer.events())
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert losses[0] > 2.5
    # Not quite zero: a window's first letter leaves open where in the rhyme it stands.
    assert losses[-1] < 0.15
    assert isinstance(events[-1], Validation)
    assert events[-1].loss < 0.15


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_two_runs_are_equal_bit_for_bit(optimizer: str) -> None:
    runs = [rhyme_trainer("transformer", steps=8, optimizer=optimizer) for _ in range(2)]
    losses = [[e.loss for e in run.events()] for run in runs]
    assert losses[0] == losses[1]
    assert torch.equal(weights_of(runs[0].model), weights_of(runs[1].model))


def test_validation_changes_nothing() -> None:
    seldom, each = rhyme_trainer("gru", steps=6), rhyme_trainer("gru", steps=6, evaluate_every=1)
    kinds = [type(event) for event in each.events()]
    assert kinds == [Step, Validation] * 6
    assert [type(event) for event in seldom.events()] == [Step] * 6 + [Validation]
    assert torch.equal(weights_of(seldom.model), weights_of(each.model))


def test_events_tell_steps_tokens_and_the_best() -> None:
    trainer = rhyme_trainer("gru", steps=9, evaluate_every=4)
    validations = [e for e in trainer.events() if isinstance(e, Validation)]
    assert [v.step for v in validations] == [4, 8, 9]
    assert [v.tokens for v in validations] == [4 * 64, 8 * 64, 9 * 64]
    lowest = float("inf")
    for validation in validations:
        assert validation.best == (validation.loss < lowest)
        lowest = min(lowest, validation.loss)


def test_the_clock_ends_a_run_and_the_decay_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(n) for n in range(10_000))  # each reading one second later
    monkeypatch.setattr(trainer_module.time, "perf_counter", lambda: next(clock))
    trainer = rhyme_trainer(
        "gru", steps=1000, seconds=8.0, decay="linear", final_fraction=0.0, warmup_steps=0
    )
    trainer.validate_seconds = 3.0
    events = list(trainer.events())
    steps = [event for event in events if isinstance(event, Step)]
    assert len(steps) == 8
    assert trainer.seconds == 8.0
    assert [step.rate for step in steps] == pytest.approx([1 - n / 8 for n in range(8)])
    assert [e.seconds for e in events if isinstance(e, Validation)] == [3.0, 6.0, 8.0]


def test_validation_and_the_caller_do_not_count_as_training_time() -> None:
    trainer = rhyme_trainer("gru", steps=3, evaluate_every=1)
    before = trainer.validate
    assert before is not None

    def slow(model: object) -> object:
        time.sleep(0.3)
        return before(model)  # type: ignore[arg-type]  # the trainer's own model

    trainer.validate = slow  # type: ignore[assignment]  # as above
    began = time.perf_counter()
    for _ in trainer.events():
        time.sleep(0.05)
    assert trainer.seconds < time.perf_counter() - began - 3 * 0.3 - 5 * 0.05


def test_a_loss_that_is_no_number_stops_the_run_before_the_update() -> None:
    trainer = rhyme_trainer("gru", steps=50)
    events = trainer.events()
    for _ in range(3):
        next(events)
    with torch.no_grad():
        trainer.model.embedding.weight[:] = float("inf")
    before = weights_of(trainer.model)
    with pytest.raises(DivergedError, match=r"at step 4.*learning_rate"):
        next(events)
    assert torch.equal(weights_of(trainer.model), before)


def test_stop_ends_after_the_step_under_way() -> None:
    trainer = rhyme_trainer("gru", steps=50, evaluate_every=2)
    seen = []
    for event in trainer.events():
        seen.append(type(event))
        if trainer.steps == 2 and isinstance(event, Step):
            trainer.stop()
    assert seen == [Step, Step]
    assert trainer.steps == 2


def test_a_validation_that_was_not_made_is_made_when_it_goes_on() -> None:
    trainer = rhyme_trainer("gru", steps=4, evaluate_every=2)
    for _ in trainer.events():
        if trainer.steps == 2:
            trainer.stop()
    assert trainer.end_reason == "interrupted"
    assert trainer.validation_due
    assert not trainer.finished
    trainer.interrupted = False
    assert trainer.end_reason is None
    seen = [(type(event), event.step) for event in trainer.events()]
    assert seen == [(Validation, 2), (Step, 3), (Step, 4), (Validation, 4)]
    assert trainer.finished
    assert trainer.end_reason == "steps"
    assert list(trainer.events()) == []


def test_a_run_that_is_stopped_at_its_end_has_its_validation_left() -> None:
    trainer = rhyme_trainer("gru", steps=2)
    for _ in trainer.events():
        if trainer.steps == 2:
            trainer.stop()
    assert (trainer.finished, trainer.end_reason) == (False, "interrupted")
    trainer.interrupted = False
    assert [type(event) for event in trainer.events()] == [Validation]
    assert trainer.end_reason == "steps"


def test_a_step_without_memory_is_taken_again_in_smaller_parts() -> None:
    trainer, whole = (rhyme_trainer("gru", steps=3, batch_size=4) for _ in range(2))
    whole.micro_batch = 1
    exact, said = trainer._total, []
    trainer.say = said.append

    def tight(*arguments: object) -> object:
        batch = arguments[1]
        assert isinstance(batch, Batch)
        if len(batch.inputs_BT) > 1 or not room.pop(0):
            raise MemoryError
        return exact(*arguments)  # type: ignore[arg-type]  # as they came

    trainer._total = tight  # type: ignore[assignment]  # the same arguments
    room = [True, True, False, *[True] * 4]
    with pytest.raises(PhalanxError, match="Out of memory with one sequence at a time"):
        trainer.step()  # after two parts of it
    assert trainer.step().loss == whole.step().loss
    assert (trainer.steps, trainer.micro_batch) == (1, 1)
    assert "out of memory with 4 sequences at a time; going on with 2" in said[0]
    assert torch.equal(weights_of(trainer.model), weights_of(whole.model))


def test_patience_ends_a_run_that_gets_no_better() -> None:
    trainer = rhyme_trainer("gru", steps=100, evaluate_every=2, patience=3)
    losses = iter([5.0, 4.0, 4.0, 4.5, 3.0, float("nan"), 3.0, 3.1, 2.0])
    trainer.validate = lambda model: {"loss": next(losses)}
    validations = [e for e in trainer.events() if isinstance(e, Validation)]
    assert [v.best for v in validations] == [True, True, False, False, True, False, False, False]
    assert (trainer.steps, trainer.best_step, trainer.lowest) == (16, 10, 3.0)
    assert trainer.finished
    assert trainer.end_reason == "patience"


def test_the_clock_is_a_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(n) for n in range(10_000))
    monkeypatch.setattr(trainer_module.time, "perf_counter", lambda: next(clock))
    trainer = rhyme_trainer("gru", steps=1000, seconds=3.0)
    assert [type(event) for event in trainer.events()] == [Step, Step, Step, Validation]
    assert trainer.end_reason == "seconds"


def test_labels_are_smoothed_in_training_alone() -> None:
    trainer = rhyme_trainer("gru", steps=60, label_smoothing=0.3)
    *_, judged = trainer.events()
    batch = trainer.batches(60)
    with torch.no_grad():
        smoothed, plain = (total(trainer.model, batch, share) for share in (0.3, 0.0))
    step = trainer.step()
    assert step.loss == pytest.approx(float(smoothed.nats / smoothed.answers))
    assert step.loss > judged.loss + 0.3
    assert judged.loss == pytest.approx(float(plain.nats / plain.answers), abs=0.3)


@pytest.mark.parametrize("name", PRESETS)
def test_bfloat16_trains_every_mixer_forward_and_backward(name: str) -> None:
    runs: dict[str, Trainer] = {}
    losses = {}
    for precision in ("float32", "bfloat16"):
        runs[precision] = rhyme_trainer(name, steps=20, precision=precision, optimizer="adamw")
        losses[precision] = [e.loss for e in runs[precision].events() if isinstance(e, Step)]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], abs=0.08)
    assert all(p.dtype == torch.float32 for p in runs["bfloat16"].model.parameters())


def test_a_model_whose_loss_is_no_number_is_never_the_best() -> None:
    trainer = rhyme_trainer("gru", steps=4, evaluate_every=2)
    scores = iter([{"loss": float("nan"), "accuracy": 1.0}, {"loss": 2.0, "accuracy": 0.5}])
    trainer.validate = lambda model: next(scores)
    trainer.criterion = lambda scores: -scores["accuracy"]
    found = [event.best for event in trainer.events() if isinstance(event, Validation)]
    assert found == [False, True]
