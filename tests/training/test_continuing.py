"""Law 7 in one process: saved, loaded into a fresh trainer and gone on with = never interrupted.

Bit for bit: weights, averages, optimizer states, losses, samples. Dropout, micro-batches, an
average, a skipped step, early stopping and a validation that is still to be made are all on.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import PRESETS, rhyme_trainer
from torch import Tensor

from phalanx.tasks.positions import Batch
from phalanx.training.state import load_state, save_state
from phalanx.training.trainer import Step, Trainer, Validation

SETTINGS = {
    "steps": 12,
    "batch_size": 8,
    "micro_batch_size": 3,
    "evaluate_every": 5,
    "average": 0.8,
    "patience": 3,
    "skip_nonfinite": 2,
    "label_smoothing": 0.1,
    "warmup_steps": 3,
    "decay": "wsd",
}


class Watched:
    """A trainer that writes down the samples that it is given; step 4 and step 8 are no number."""

    def __init__(self, name: str, optimizer: str, **changes: object) -> None:
        self.trainer = rhyme_trainer(
            name, dropout=0.1, seed=7, optimizer=optimizer, **{**SETTINGS, **changes}
        )
        self.samples: list[list[int]] = []
        self.events: list[Step | Validation] = []
        batches, exact = self.trainer.batches, self.trainer._total

        def batch(step: int) -> Batch:
            drawn = batches(step)
            assert drawn.samples_B is not None
            self.samples.append(drawn.samples_B.tolist())
            return drawn

        def total(*arguments: object) -> object:
            whole = exact(*arguments)  # type: ignore[arg-type]  # as they came
            bad = self.trainer.steps + 1 in (4, 8)
            return whole._replace(nats=whole.nats * float("nan")) if bad else whole

        self.trainer.batches = batch
        self.trainer._total = total  # type: ignore[assignment]  # the same arguments

    def run(self, count: int | None = None) -> None:
        self.events += itertools.islice(self.trainer.events(), count)

    def figures(self) -> list[tuple[object, ...]]:
        """What must be equal of the events; not the time."""
        return [
            (type(e), e.step, e.tokens, repr(e.loss), repr(e.rate), repr(e.gradient_norm))
            if isinstance(e, Step)
            else (type(e), e.step, e.tokens, e.training_loss, e.scores, e.best)
            for e in self.events
        ]

    def everything(self) -> dict[str, Tensor]:
        tensors = dict(self.trainer.model.named_parameters()) | self.trainer.state().tensors
        with self.trainer.averaged():
            means = {f"mean.{n}": p.clone() for n, p in self.trainer.model.named_parameters()}
        return tensors | means

    def values(self) -> dict[str, object]:
        values = self.trainer.state().values
        return {key: value for key, value in values.items() if "seconds" not in key}


def save(trainer: Trainer, path: Path) -> None:
    path.mkdir()
    with trainer.averaged():
        weights = {n: t.contiguous().clone() for n, t in trainer.model.state_dict().items()}
    save_file(weights, path / "model.safetensors")
    save_state(trainer.state(), path)


def gone_on(path: Path, make: Callable[[], Watched]) -> Watched:
    fresh = make()
    torch.rand(17)  # what others draw must not matter
    weights = load_file(path / "model.safetensors")
    fresh.trainer.restore(load_state(path, fresh.trainer), weights)
    return fresh


def assert_equal(one: Watched, other: Watched) -> None:
    expected, found = one.everything(), other.everything()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert other.values() == one.values()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("name", PRESETS)
def test_interrupted_and_continued_is_never_interrupted(
    name: str, optimizer: str, tmp_path: Path
) -> None:
    def make() -> Watched:
        return Watched(name, optimizer)

    whole, cut = make(), make()
    whole.run()
    assert [e.step for e in whole.events if isinstance(e, Validation)] == [5, 10, 12]
    cut.run(5)  # the validation of step 5 is still to be made
    assert cut.trainer.validation_due
    save(cut.trainer, tmp_path / "5")
    then = gone_on(tmp_path / "5", make)
    assert_equal(cut, then)
    then.run(4)
    assert isinstance(then.events[0], Validation)
    save(then.trainer, tmp_path / "8")  # right behind a skipped step
    assert then.trainer.skipped == 2
    last = gone_on(tmp_path / "8", make)
    last.run()
    assert cut.figures() + then.figures() + last.figures() == whole.figures()
    assert cut.samples + then.samples + last.samples == whole.samples
    assert_equal(whole, last)
    assert last.trainer.end_reason == "steps"


def test_a_lowered_micro_batch_is_kept(tmp_path: Path) -> None:
    def make(**changes: object) -> Watched:
        return Watched("gru", "muon", **changes)

    cut = make()
    cut.run(2)
    cut.trainer.micro_batch = 1
    save(cut.trainer, tmp_path / "2")
    cut.run()
    then = gone_on(tmp_path / "2", make)
    assert then.trainer.micro_batch == 1
    then.run()
    assert_equal(cut, then)
    # Somebody who has chosen another size since gets that one.
    chosen = gone_on(tmp_path / "2", lambda: make(micro_batch_size=4))
    assert chosen.trainer.micro_batch == 4


def test_a_state_of_before_the_first_step_is_one_too(tmp_path: Path) -> None:
    cut = Watched("gru", "adamw")
    save(cut.trainer, tmp_path / "0")
    then = gone_on(tmp_path / "0", lambda: Watched("gru", "adamw"))
    cut.run(6)
    then.run(6)
    assert_equal(cut, then)


def test_restoring_keeps_every_tensor_where_it_is(tmp_path: Path) -> None:
    cut = Watched("gru", "muon")
    cut.run(3)
    save(cut.trainer, tmp_path / "3")
    fresh = Watched("gru", "muon")
    tensors = dict(fresh.trainer.model.named_parameters()) | fresh.trainer.state().tensors
    places = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    weights = load_file(tmp_path / "3" / "model.safetensors")
    fresh.trainer.restore(load_state(tmp_path / "3", fresh.trainer), weights)
    tensors = dict(fresh.trainer.model.named_parameters()) | fresh.trainer.state().tensors
    assert {name: tensor.data_ptr() for name, tensor in tensors.items()} == places


@pytest.mark.parametrize(
    ("key", "value", "events"),
    [
        ("steps", 0, 6),
        ("tokens", 0, 6),
        ("validated", 0, 6),
        ("best_loss", None, 6),
        ("best_step", 0, 6),
        ("worse_validations", 0, 6),
        ("summed_loss", 0.0, 7),
        ("counted_losses", 0, 7),
        ("skipped", 0, 6),
        ("updates", 0, 6),
    ],
)
def test_a_value_that_is_lost_shows(key: str, value: object, events: int, tmp_path: Path) -> None:
    """The planted defects: steps 1 2 V 3 4 V 5 6 V, then patience ends the run; cut in it."""

    def make() -> Watched:
        made = Watched("gru", "muon", evaluate_every=2, patience=2)
        made.trainer.validate = lambda model: {"loss": float(made.trainer.steps)}
        return made

    whole, cut = make(), make()
    whole.run()
    assert len(whole.events) == 9
    assert whole.trainer.end_reason == "patience"
    cut.run(events)
    save(cut.trainer, tmp_path / "cut")
    for lost in (False, True):
        then = make()
        state = load_state(tmp_path / "cut", then.trainer)
        if lost:
            assert state.values[key] != value
            state.values[key] = value
        then.trainer.restore(state, load_file(tmp_path / "cut" / "model.safetensors"))
        then.run()
        equal = cut.figures() + then.figures() == whole.figures()
        assert (equal and then.values() == whole.values()) is not lost
