"""The files of a trainer's state: checked before they are believed, refused in words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import rhyme_trainer

from phalanx.errors import UsageError
from phalanx.training.state import TENSORS, VALUES, load_state, save_state
from phalanx.training.trainer import Trainer


def make(**changes: object) -> Trainer:
    return rhyme_trainer("gru", **{"steps": 4, "average": 0.9, **changes})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trainer = make()
    trainer.step()
    save_state(trainer.state(), tmp_path)
    return tmp_path


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((path / VALUES).read_text())
    change(values)
    (path / VALUES).write_text(json.dumps(values))


def test_what_is_saved_is_what_is_read(saved: Path) -> None:
    trainer = make()
    trainer.step()
    found, expected = load_state(saved, make()), trainer.state()
    assert found.values | {"seconds": 0.0} == expected.values | {"seconds": 0.0}
    assert found.values["best_loss"] is None
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(found.tensors[n], t) for n, t in expected.tensors.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("steps"), "steps"),
        (lambda v: v.update(stepps=3), "stepps"),
        (lambda v: v.update(steps="three"), "steps"),
        (lambda v: v.update(steps=-1), "steps"),
        (lambda v: v.update(steps=1.5), "steps"),
        (lambda v: v.update(steps=True), "steps"),
        (lambda v: v.update(micro_batch=0), "micro_batch"),
        (lambda v: v.update(seconds=float("nan")), "seconds"),
        (lambda v: v.update(best_loss=float("inf")), "best_loss"),
        (lambda v: v.update(summed_loss=float("-inf")), "summed_loss"),
        (lambda v: v.update(format=2), "format 2 is not known.*upgrade"),
        (lambda v: v.update(format=True), "format"),
        (lambda v: v.update(seed=5), "seed is 5. Expected 0"),
        (lambda v: v.update(momenta={"adamw": [0.9, 0.99]}), "momenta"),
        (lambda v: v["momenta"].update(muon=[0.5]), "momenta is .*0.5.*Expected.*another one"),
    ],
)
def test_malformed_values_are_refused(
    saved: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    edit(saved, change)
    with pytest.raises(UsageError, match=rf"(?s)training\.json.*{words}"):
        load_state(saved, make())


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "\0", '{"format": 1', "[" * 100_000, "\udcff"]
)
def test_what_is_no_object_is_refused(saved: Path, text: str) -> None:
    (saved / VALUES).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=r"training\.json"):
        load_state(saved, make())


@pytest.mark.parametrize("name", [VALUES, TENSORS])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(UsageError, match=f"{name}: cannot read"):
        load_state(saved, make())


def test_tensors_of_another_trainer_are_refused(saved: Path) -> None:
    with pytest.raises(UsageError, match=r"training\.safetensors: it has raw\..* besides"):
        load_state(saved, make(average=None))
    edit(saved, lambda v: v["momenta"].pop("muon"))
    with pytest.raises(UsageError, match=r"training\.safetensors: it lacks adamw\..*trainer"):
        load_state(saved, make(optimizer="adamw"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.double(), "F64 of shape.*Expected torch.float32"),
        (lambda t: t[:-1].clone(), r"F32 of shape \[22, 32\].*Expected.*\[23, 32\]"),
    ],
)
def test_a_tensor_of_another_sort_is_refused(
    saved: Path, change: Callable[[torch.Tensor], torch.Tensor], words: str
) -> None:
    tensors = load_file(saved / TENSORS)
    name = "adamw.exp_avg.embedding.weight"
    save_file(tensors | {name: change(tensors[name])}, saved / TENSORS)
    with pytest.raises(UsageError, match=f"{name} is {words}"):
        load_state(saved, make())


def test_a_file_that_is_cut_short_is_refused(saved: Path) -> None:
    whole = (saved / TENSORS).read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        (saved / TENSORS).write_bytes(whole[:size])
        with pytest.raises(UsageError, match="not a whole safetensors file"):
            load_state(saved, make())
