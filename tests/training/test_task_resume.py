"""Law 7 for every task, through run directories: interrupted and resumed = never interrupted.

Bit for bit: weights, averages, optimizer states, losses, scores. Token dropout, dropout, class
weights, label smoothing, micro-batches, batches by tokens and an average are all on.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_tasks import TASKS, WORDS, config, write

from phalanx.config import RunConfig
from phalanx.data.tokenizers import train_tokenizer
from phalanx.models import build, preset
from phalanx.training.events import Event
from phalanx.training.metrics import MetricsLog
from phalanx.training.model_directory import Description, save_model
from phalanx.training.run import make_trainer, prepare
from phalanx.training.run_directory import RunDirectory, read_config
from phalanx.training.session import train
from phalanx.training.trainer import Trainer


class StopsAfter:
    """The progress of a run that somebody interrupts after a step."""

    def __init__(self, trainer: Trainer, step: int | None) -> None:
        self.trainer, self.step = trainer, step

    def show(self, event: Event) -> None:
        if self.trainer.steps == self.step:
            self.trainer.stop()

    def __enter__(self) -> "StopsAfter":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def run(path: Path, wanted: RunConfig, stop_after: int | None = None) -> Trainer:
    """What one process does: ``phalanx train --resume auto``, perhaps interrupted."""
    prepared = prepare(wanted)
    with RunDirectory(path, prepared) as directory:
        trainer = make_trainer(prepared, say=lambda text: None)
        directory.resume(trainer)
        directory.write_config()
        with MetricsLog(path, trainer.steps, trainer.validated) as log:
            train(trainer, directory, log, StopsAfter(trainer, stop_after))
    return trainer


def record(path: Path) -> list[dict[str, Any]]:
    """What happened, the times and the checkpoints of the interruptions left out."""
    lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    kept = [line for line in lines if line["kind"] in ("step", "validation")]
    return [{k: v for k, v in line.items() if "second" not in k} for line in kept]


def checkpoint(path: Path) -> dict[str, torch.Tensor]:
    files = sorted(path.glob("*.safetensors"))
    assert len(files) == 2  # the weights, and the trainer's state
    return {f"{f.name}:{name}": t for f in files for name, t in load_file(f).items()}


def assert_same_run(one: Path, other: Path) -> None:
    assert record(one) == record(other)
    for name in ("last", "best"):
        there, here = checkpoint(one / name), checkpoint(other / name)
        assert there.keys() == here.keys()
        assert any(":raw." in key for key in there)  # an average, and the weights under it
        for key, tensor in there.items():
            assert torch.equal(here[key], tensor), key


@pytest.mark.parametrize("preset", ["transformer", "gru"])
@pytest.mark.parametrize("task", TASKS)
def test_an_interrupted_run_that_goes_on_is_one_that_never_was(
    task: str, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHALANX_CACHE", str(tmp_path / "cache"))
    wanted = config(task, write(task, tmp_path), preset=preset)
    whole = run(tmp_path / "whole", wanted)
    run(tmp_path / "cut", wanted, 3)
    saved = read_config(tmp_path / "cut")
    torch.rand(17)  # what others draw must not matter
    run(tmp_path / "cut", saved, 4)  # its validation is still to be made
    last = run(tmp_path / "cut", read_config(tmp_path / "cut"))
    assert (whole.end_reason, last.end_reason) == ("steps", "steps")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    judged = [line["step"] for line in record(tmp_path / "cut") if line["kind"] == "validation"]
    assert judged == [4, 8, 10]


def test_so_is_one_that_began_from_a_model_with_a_padded_vocabulary(tmp_path: Path) -> None:
    tokenizer = train_tokenizer("wordpiece", [" ".join(WORDS)] * 5, 300, mask=True)
    start = preset(
        "transformer", tokenizer.vocabulary + 1, 24, kind="encoder", head="masked", layers=1
    )
    description = Description(task="masked_lm", model=start)
    save_model(tmp_path / "start", build(start, 0), tokenizer, description)
    table = write("classification", tmp_path)
    wanted = config("classification", table, init=str(tmp_path / "start"))
    run(tmp_path / "whole", wanted)
    run(tmp_path / "cut", wanted, 5)
    run(tmp_path / "cut", read_config(tmp_path / "cut"))
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
