"""The average of the weights: its closed form, and that it is there only while it is asked for."""

import pytest
import torch
from small_runs import rhyme_trainer, weights_of
from torch import nn

from phalanx.training.average import Average
from phalanx.training.trainer import Validation


def test_closed_form() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    points = [3.0, -1.0, 4.0, 1.0, -5.0]
    with torch.no_grad():
        model.weight.fill_(points[0])
    average = Average(model, decay=0.3)
    for point in points[1:]:
        with torch.no_grad():
            model.weight.fill_(point)
        average.update()
    kept = [2 / 11, 3 / 12, 0.3, 0.3]  # (1 + t) / (10 + t) until that is more than the decay
    expected = points[0]
    for share, point in zip(kept, points[1:], strict=True):
        expected = share * expected + (1 - share) * point
    with average.applied():
        assert model.weight.item() == pytest.approx(expected, rel=1e-14)
    assert model.weight.item() == points[-1]


def test_a_validation_judges_the_average_and_training_goes_on_without_it() -> None:
    averaged = rhyme_trainer("gru", steps=8, evaluate_every=3, average=0.5)
    plain = rhyme_trainer("gru", steps=8, evaluate_every=3)
    events = [list(trainer.events()) for trainer in (averaged, plain)]
    assert torch.equal(weights_of(averaged.model), weights_of(plain.model))
    scores = [[e.scores for e in found if isinstance(e, Validation)] for found in events]
    assert scores[0] != scores[1]
    assert averaged.validate is not None
    with averaged.averaged():
        assert not torch.equal(weights_of(averaged.model), weights_of(plain.model))
        assert averaged.validate(averaged.model) == scores[0][-1]
        # What is trained can be saved meanwhile.
        raw = averaged.state().tensors["raw.embedding.weight"]
        assert torch.equal(raw, plain.model.embedding.weight)
    assert torch.equal(weights_of(averaged.model), weights_of(plain.model))


def test_an_interrupt_in_a_validation_puts_the_weights_back() -> None:
    trainer = rhyme_trainer("gru", steps=4, evaluate_every=2, average=0.5)
    seen = []

    def interrupted(model: nn.Module) -> dict[str, float]:
        seen.append(weights_of(model))
        raise KeyboardInterrupt

    trainer.validate = interrupted
    events = trainer.events()
    next(events), next(events)
    before = weights_of(trainer.model)
    with pytest.raises(KeyboardInterrupt):
        next(events)
    assert not torch.equal(seen[0], before)
    assert torch.equal(weights_of(trainer.model), before)
    assert trainer.validation_due  # when it goes on
    assert not trainer.validating


def test_without_averaging_nothing_is_exchanged() -> None:
    trainer = rhyme_trainer("gru", steps=2)
    before = weights_of(trainer.model)
    with trainer.averaged():
        assert torch.equal(weights_of(trainer.model), before)
    assert not any(name.startswith("raw.") for name in trainer.state().tensors)
