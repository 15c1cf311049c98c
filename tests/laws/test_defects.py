"""Every law catches the defect that is planted for it, and passes the healthy subject."""

import law_checks as laws
import pytest
import torch
from law_defects import PLANTS, AveragesMicroBatches, CountsPositions, Plant
from reading_defects import READING
from subjects import BY_NAME
from torch import Tensor

from phalanx import states
from phalanx.training.trainer import Trainer


@pytest.mark.parametrize("plant", PLANTS + READING, ids=str)
def test_planted_defect_is_caught(plant: Plant) -> None:
    plant.law(BY_NAME[plant.subject.name])
    with pytest.raises(laws.LawError):
        plant.law(plant.subject)


@pytest.mark.parametrize("name", ["gru", "attention"])
def test_a_put_that_does_nothing_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_write_rows", lambda target, slots_N, rows: target)
    with pytest.raises(laws.LawError):
        laws.moving(BY_NAME[name])


def test_a_write_in_place_that_is_lost_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = states._scatter

    def lost(target: Tensor, axis: int, index: Tensor, source: Tensor) -> Tensor:
        if torch.is_inference_mode_enabled():
            return target
        return exact(target, axis, index, source)

    monkeypatch.setattr(states, "_scatter", lost)
    with pytest.raises(laws.LawError):
        laws.in_place(BY_NAME["attention"])


@pytest.mark.parametrize("defect", [AveragesMicroBatches, CountsPositions], ids=str)
@pytest.mark.parametrize("name", ["model-lstm", "encoder", "encoder-decoder-gru"])
def test_micro_batches_of_wrong_weight_are_caught(name: str, defect: type[Trainer]) -> None:
    with pytest.raises(laws.LawError):
        laws.accumulation(BY_NAME[name], trainer_type=defect)
