"""Dropout is a function of (seed, step, micro-batch) alone."""

import random

import pytest
import torch
from small_runs import rhyme_trainer, weights_of

from phalanx.tasks import positions
from phalanx.training.randomness import keyed_randomness
from phalanx.training.trainer import Step

CPU = torch.device("cpu")


def drawn(*key: int) -> list[float]:
    with keyed_randomness(CPU, *key):
        return torch.rand(3).tolist()


def test_what_is_drawn_is_keyed_and_moves_nothing_outside() -> None:
    torch.manual_seed(3)
    first, second = torch.rand(3), torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(3), first)
    assert drawn(0, 0, 0) == drawn(0, 0, 0)
    keys = [(seed, step, part) for seed in range(3) for step in range(3) for part in range(3)]
    assert len({tuple(drawn(*key)) for key in keys}) == 27
    assert torch.equal(torch.rand(3), second)


def test_the_generator_is_put_back_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), keyed_randomness(CPU, 0, 0, 0):
        _ = torch.rand(3) / (1 // 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("chunk", [2**24, 400], ids=["whole", "chunked"])
def test_nothing_outside_changes_dropout(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # In chunks the head's forward pass comes again within the backward pass.
    monkeypatch.setattr(positions, "CHUNK_SCORES", chunk)
    settings = {"steps": 6, "batch_size": 5, "micro_batch_size": 2, "dropout": 0.3}
    quiet, noisy = (
        rhyme_trainer("transformer", **settings),
        rhyme_trainer("transformer", **settings),
    )
    list(quiet.events())
    for event in noisy.events():
        torch.manual_seed(random.randrange(2**32))
        if isinstance(event, Step) and event.step == 3:
            torch.rand(100)
    assert torch.equal(weights_of(quiet.model), weights_of(noisy.model))


def test_another_seed_is_another_dropout_and_none_is_none() -> None:
    def weights(**settings: object) -> torch.Tensor:
        trainer = rhyme_trainer("gru", steps=3, **settings)
        list(trainer.events())
        return weights_of(trainer.model)

    assert torch.equal(weights(dropout=0.2, seed=1), weights(dropout=0.2, seed=1))
    assert not torch.equal(weights(dropout=0.2, seed=1), weights(dropout=0.2, seed=2))
    assert torch.equal(weights(seed=1), weights(seed=2))


def test_every_micro_batch_and_every_step_draws_its_own() -> None:
    trainer = rhyme_trainer("gru", batch_size=2, micro_batch_size=1, dropout=0.5)
    masks: list[torch.Tensor] = []
    trainer.model.dropout.register_forward_hook(
        lambda module, given, out: masks.append(out.detach() == 0)
    )
    trainer.step()
    trainer.step()
    assert len(masks) == 4
    assert all(0.3 < mask.float().mean() < 0.7 for mask in masks)
    pairs = [(a, b) for a in range(4) for b in range(a)]
    assert not any(torch.equal(masks[a], masks[b]) for a, b in pairs)
