"""A loss or a gradient that is no number, from the command line."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from lives import TERMINATED, result
from small_commands import at_step, in_peace, interrupt, newest, steps_of, train, write_text

from phalanx.cli.main import main
from phalanx.training.trainer import Trainer

Capture = pytest.CaptureFixture[str]


def spoil(patch: pytest.MonkeyPatch, steps: set[int], *, gradient: bool = False) -> None:
    """At these steps the loss of the second micro-batch is NaN, or a gradient infinite."""
    original = Trainer.gradients

    def gradients(trainer: Trainer, *arguments: object) -> torch.Tensor:
        losses_N = original(trainer, *arguments)  # type: ignore[arg-type]  # as they came
        if trainer.steps + 1 not in steps:
            return losses_N
        if gradient:
            weight = trainer.model.embedding.weight
            assert weight.grad is not None
            weight.grad[0, 0] = float("inf")
        else:
            losses_N[1] = float("nan")
        return losses_N

    patch.setattr(Trainer, "gradients", gradients)


def digest(path: Path) -> list[str]:
    files = ("model.safetensors", "training.safetensors")
    return [hashlib.sha256((path / name).read_bytes()).hexdigest() for name in files]


@pytest.mark.parametrize("gradient", [False, True])
def test_training_stops_before_the_update(
    gradient: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    text, run = write_text(tmp_path), tmp_path / "run"
    expected = in_peace(tmp_path)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        spoil(patch, {7}, gradient=gradient)
        assert train(text, run) == 1
    said = capsys.readouterr().err
    assert "at step 7, in the samples starting at token " in said
    named = said.partition("starting at token ")[2].partition(":")[0].split(", ")
    assert len(named) == (4 if gradient else 1)  # of the micro-batch, where it is known
    assert "skip_nonfinite" in said
    assert newest(run).name == "step-00000005"
    assert digest(newest(run)) == digest(tmp_path / "peace/checkpoints/step-00000005")
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["kind"], last["reason"], last["step"]) == ("end", "diverged", 6)
    assert main(["train", "--resume", str(run)]) == 0
    assert result(run) == expected


def test_steps_that_are_passed_over_are_passed_over_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    text, run = write_text(tmp_path), tmp_path / "run"
    cap = {"train__skip_nonfinite": 2}
    spoil(monkeypatch, {3, 7})
    expected = in_peace(tmp_path, **cap)
    assert '"skipped": true' in json.dumps(expected["record"])
    with monkeypatch.context() as patch:
        at_step(patch, 6, interrupt)
        assert train(text, run, **cap) == TERMINATED
    assert steps_of(newest(run)) == 6
    assert main(["train", "--resume", str(run)]) == 0
    assert result(run) == expected


def test_no_more_are_passed_over_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    text, run = write_text(tmp_path), tmp_path / "run"
    spoil(monkeypatch, {3, 7, 9})
    assert train(text, run, train__skip_nonfinite=2) == 1
    for _ in range(2):  # the count is part of the checkpoint
        said = capsys.readouterr().err
        assert "at step 9" in said
        assert "2 steps were passed over before" in said
        assert steps_of(newest(run)) == 8
        assert main(["train", "--resume", str(run)]) == 1
    assert main(["train", "--resume", str(run), "--train.skip_nonfinite", "3"]) == 0
