"""The runs below a folder with what they came to, read from their files alone. No torch."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from phalanx.config import read_yaml
from phalanx.durable import holder
from phalanx.errors import UsageError
from phalanx.training.history import FILE_NAME, History, read_outline

DEPTH = 3
CONFIG, LOCK, LAST = "config.yaml", ".lock", "last"
_MIXER = {"transformer": "attention", "transformer-2017": "attention", "gpt2": "attention"}

Status = Literal["running", "done", "stopped", "diverged", "failed", "damaged"]


@dataclass(frozen=True)
class Listed:
    """One run. A figure that is not known (yet) is None.

    Args:
        path: its directory.
        status: running; done; stopped, and it can go on; diverged; failed, and there is no
            checkpoint to go on from; damaged, and ``problem`` says how.
        model: the preset, or the mixers where they are others.
        parameters: of the model as it is saved.
        step, steps: taken, and in all.
        training_loss: mean between the last two validations, or of the last step; nats per answer.
        best_loss, bits_per_byte: of the best validation.
        tokens_per_second: of training, over the run.
        seconds: of training.
        modified: when the record last grew, seconds since 1970.
    """

    path: Path
    status: Status
    modified: float
    problem: str | None = None
    model: str | None = None
    parameters: int | None = None
    step: int | None = None
    steps: int | None = None
    training_loss: float | None = None
    best_loss: float | None = None
    bits_per_byte: float | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None


def find_runs(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The run directories in a folder (itself among them), at most ``depth`` folders down.

    A run has a record; one without a configuration is found too, and is a damaged one.

    Raises:
        UsageError: the folder is not there.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: no such folder. Expected one with runs of `phalanx train`, or a run."
        )
    yield from _find(folder, depth)


def examine(path: Path) -> Listed:
    """What a run directory holds; never fails, a damaged one says so itself."""
    try:
        modified = (path / FILE_NAME).stat().st_mtime
    except OSError:
        modified = path.stat().st_mtime if path.exists() else 0.0
    try:
        config = read_yaml(path / CONFIG)
        history = read_outline(path)
    except UsageError as error:
        return Listed(path, "damaged", modified, problem=" ".join(str(error).split()))
    return _listed(path, modified, config, history)


def _find(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / FILE_NAME).is_file():
        yield folder
        return
    if depth == 0:
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # a folder that others keep to themselves
        return
    for name in names:
        if not name.startswith("."):
            yield from _find(folder / name, depth - 1)


def _listed(path: Path, modified: float, config: Mapping[str, Any], history: History) -> Listed:
    steps, validations = history.steps, history.validations
    tokens, seconds = steps.last("tokens"), steps.last("seconds")
    step, wanted = steps.last("step"), _section(config, "train").get("steps")
    losses = [(loss, row) for row, loss in enumerate(validations["loss"]) if loss == loss]
    best = min(losses, default=None)
    bits = validations["bits_per_byte"][best[1]] if best else math.nan
    training_loss = validations.last("training_loss")
    return Listed(
        path,
        _status(path, history),
        modified,
        model=_model(config),
        parameters=_parameters(path / LAST / "model.safetensors"),
        step=None if step is None else int(step),
        steps=wanted if isinstance(wanted, int) else None,
        training_loss=steps.last("loss") if training_loss is None else training_loss,
        best_loss=best[0] if best else None,
        bits_per_byte=None if math.isnan(bits) else bits,
        tokens_per_second=tokens / seconds if tokens and seconds else None,
        seconds=seconds,
    )


def _status(path: Path, history: History) -> Status:
    if holder(path / LOCK) is not None:
        return "running"
    reason = (history.end or {}).get("reason")
    if reason == "diverged":
        return "diverged"
    if reason in ("steps", "seconds", "patience"):
        return "done"
    return "stopped" if (path / LAST / "training.json").is_file() else "failed"


def _model(config: Mapping[str, Any]) -> str | None:
    preset, mixers = config.get("preset"), _section(config, "model").get("mixers")
    if not isinstance(preset, str):
        return None
    different = list(dict.fromkeys(map(str, mixers))) if isinstance(mixers, list) else []
    usual = [_MIXER.get(preset, preset)]
    return preset if different in ([], usual) else "/".join(different)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}


def _parameters(weights: Path) -> int | None:
    try:
        with safe_open(weights, framework="numpy") as tensors:
            names: list[str] = tensors.keys()
            return sum(int(math.prod(tensors.get_slice(name).get_shape())) for name in names)
    except (OSError, SafetensorError):
        return None
