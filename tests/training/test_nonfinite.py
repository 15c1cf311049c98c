"""A loss that is no number: named before anything is updated, or passed over so many times."""

from collections.abc import Callable

import pytest
import torch
from small_runs import rhyme_trainer
from torch import Tensor

from phalanx.errors import PhalanxError
from phalanx.tasks.positions import Batch
from phalanx.training.trainer import DivergedError, Step, Trainer


def spoil(trainer: Trainer, steps: dict[int, int], *, gradient_alone: bool = False) -> None:
    """At these steps (from 1), the loss is NaN of every micro-batch with so many rows before it."""
    exact = trainer._total
    rows = 0

    def total(*arguments: object) -> object:
        nonlocal rows
        batch = arguments[1]
        assert isinstance(batch, Batch)
        whole = exact(*arguments)  # type: ignore[arg-type]  # as they came
        spoilt = steps.get(trainer.steps + 1) == rows
        rows = (rows + len(batch.inputs_BT)) % trainer.config.batch_size
        if not spoilt:
            return whole
        nats = Infinite.apply(whole.nats) if gradient_alone else whole.nats * float("nan")
        return whole._replace(nats=nats)

    trainer._total = total  # type: ignore[assignment]  # the same arguments


class Infinite(torch.autograd.Function):
    """The same value, and an infinite gradient."""

    @staticmethod
    def forward(context: object, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return gradient * float("inf")


def everything(trainer: Trainer) -> dict[str, Tensor]:
    tensors = dict(trainer.model.named_parameters()) | trainer.state().tensors
    if trainer.average is not None:
        with trainer.averaged():
            tensors |= {f"mean.{n}": p.clone() for n, p in trainer.model.named_parameters()}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def assert_unchanged(trainer: Trainer, before: dict[str, Tensor]) -> None:
    for name, tensor in everything(trainer).items():
        assert torch.equal(tensor, before[name]), name


def test_the_error_names_step_and_samples() -> None:
    trainer = rhyme_trainer("gru", steps=9, batch_size=7, micro_batch_size=6, average=0.9)
    spoil(trainer, {3: 0})
    events = trainer.events()
    next(events), next(events)
    before = everything(trainer)
    starts = trainer.batches(2).samples_B
    assert starts is not None
    named = ", ".join(str(start) for start in starts.tolist()[:4])
    with pytest.raises(DivergedError, match=f"nan .*at step 3.*token {named} and 2 more:"):
        next(events)
    assert_unchanged(trainer, before)
    assert trainer.steps == 2


def test_only_the_samples_of_the_micro_batch_in_question_are_named() -> None:
    trainer = rhyme_trainer("gru", steps=9, batch_size=6, micro_batch_size=2)
    spoil(trainer, {1: 4})
    starts = trainer.batches(0).samples_B
    assert starts is not None
    named = ", ".join(str(start) for start in starts.tolist()[4:])
    with pytest.raises(DivergedError, match=f"token {named}:"):
        trainer.step()


def test_an_infinite_gradient_names_all_samples() -> None:
    trainer = rhyme_trainer("gru", steps=9, batch_size=3, micro_batch_size=1)
    spoil(trainer, {1: 1}, gradient_alone=True)
    starts = trainer.batches(0).samples_B
    assert starts is not None
    named = ", ".join(map(str, starts.tolist()))
    with pytest.raises(
        DivergedError, match=rf"loss is [\d.]+ and .*norm (nan|inf).*token {named}:"
    ):
        trainer.step()


def test_a_batch_without_names_has_none_in_the_error() -> None:
    trainer = rhyme_trainer("gru", steps=9)
    named = trainer.batches
    trainer.batches = lambda step: Batch(named(step).inputs_BT, named(step).targets_BT)
    spoil(trainer, {1: 0})
    with pytest.raises(DivergedError, match=r"at step 1: training has diverged"):
        trainer.step()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_so_many_steps_are_passed_over_and_no_more(optimizer: str) -> None:
    trainer = rhyme_trainer(
        "gru", steps=9, optimizer=optimizer, average=0.9, skip_nonfinite=2, evaluate_every=4
    )
    spoil(trainer, {2: 0, 3: 0, 6: 0})
    events = trainer.events()
    first = next(events)
    assert isinstance(first, Step)
    assert not first.skipped
    before = everything(trainer)
    for count, tokens in ((1, 128), (2, 192)):
        step = next(events)
        assert isinstance(step, Step)
        assert step.skipped
        assert (trainer.skipped, step.tokens, step.loss != step.loss) == (count, tokens, True)
        assert_unchanged(trainer, before)
    fourth, validation = next(events), next(events)
    assert not fourth.skipped
    # The mean is over the steps that counted.
    assert validation.training_loss == pytest.approx((first.loss + fourth.loss) / 2)
    next(events)
    before = everything(trainer)
    with pytest.raises(DivergedError, match=r"at step 6.*2 steps were passed over before.*larger"):
        next(events)
    assert_unchanged(trainer, before)


def test_the_rate_and_the_samples_go_on_over_a_skipped_step() -> None:
    seen: list[list[int]] = []

    def watched(trainer: Trainer) -> Callable[[int], Batch]:
        batches, steps = trainer.batches, []
        seen.append(steps)

        def batch(step: int) -> Batch:
            steps.append(step)
            return batches(step)

        return batch

    rates = []
    for skips in ({}, {3: 0}):
        trainer = rhyme_trainer("gru", steps=6, skip_nonfinite=1)
        trainer.batches = watched(trainer)
        spoil(trainer, skips)
        rates.append([e.rate for e in trainer.events() if isinstance(e, Step)])
    assert rates[0] == rates[1]
    assert seen[0] == seen[1] == list(range(6))


def test_a_batch_without_answers_is_refused() -> None:
    trainer = rhyme_trainer("gru", steps=3)
    batches = trainer.batches
    trainer.batches = lambda step: Batch(
        batches(step).inputs_BT, torch.full_like(batches(step).targets_BT, -100)
    )
    with pytest.raises(PhalanxError, match=r"step 1 wants no answer.*Expected at least one"):
        trainer.step()
