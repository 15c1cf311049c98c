"""A run on disk: its configuration, its record and its checkpoints; one process works on it.

config.yaml      the resolved configuration
metrics.jsonl    what happened, line by line
checkpoints/     model directories with the trainer's state, published whole
last, best       links to two of them
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from phalanx import durable
from phalanx.config import LARGEST_FILE, RunConfig, parse, read_yaml, to_yaml
from phalanx.data.tokenizers import load_tokenizer
from phalanx.errors import PhalanxError, UsageError
from phalanx.interop.tensors import read_weights
from phalanx.mixers.base import Mixer
from phalanx.training.checkpoints import BEST, FOLDER, Checkpoints
from phalanx.training.model_directory import (
    HOW_READ,
    WEIGHTS,
    Description,
    read_description,
    write_model,
)
from phalanx.training.prepared import Prepared
from phalanx.training.resume import changes
from phalanx.training.state import load_state, save_state
from phalanx.training.trainer import Trainer

CONFIG, LOCK = "config.yaml", ".lock"
SETTINGS = "run.yaml"
"""In a checkpoint: the configuration that led to it. The run's own may have been edited since."""


@dataclass(frozen=True)
class Resumed:
    """Where a run goes on.

    Args:
        path: the checkpoint that it goes on from.
        notes: what a person should know: damaged checkpoints passed over, settings pinned.
    """

    path: Path
    notes: tuple[str, ...]


class RunDirectory:
    """A run directory under its lock; a context manager.

    Args:
        path: the directory; made where it is missing.
        prepared: what is trained.

    Raises:
        LockedError: another process trains in it.
        StorageError: it cannot be made.
    """

    def __init__(self, path: Path, prepared: Prepared) -> None:
        self.path = path
        self.prepared = prepared
        self.checkpoints = Checkpoints(path, prepared.config.train.keep)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise durable.storage_error(self.path, error) from None
        self._held.enter_context(durable.Lock(self.path / LOCK, f"The run {self.path}"))
        durable.sweep(self.path)
        durable.sweep(self.path / FOLDER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def write_config(self) -> None:
        """Write the resolved configuration, over the one that is there.

        Raises:
            UsageError: it is too long to be read again.
        """
        data = to_yaml(self.prepared.config).encode()
        if len(data) > LARGEST_FILE:
            raise UsageError(
                f"The configuration has {len(data):,} bytes, and at most {LARGEST_FILE:,} are "
                "read back. Expected a shorter list of paths. Give their directory, or a pattern "
                "in quotes."
            )
        durable.replace(self.path / CONFIG, data)

    def save(self, trainer: Trainer, scores: Mapping[str, float], *, best: bool) -> Path:
        """Write a checkpoint of the run as it is now.

        Raises:
            StorageError: it could not be written; says which one is the last that was.
        """
        prepared, description = self.prepared, self._describe(trainer, scores)

        def fill(directory: Path, path: Path) -> None:
            name = f"{self.path.resolve().name}, step {trainer.steps}"
            with trainer.averaged():
                write_model(directory, name, trainer.model, prepared.tokenizer, description)
            for file, data in prepared.extras().items():
                durable.write(directory / file, data)
            save_state(trainer.state(), directory)
            durable.write(directory / SETTINGS, to_yaml(prepared.config).encode())

        try:
            return self.checkpoints.save(trainer.steps, fill, best=best)
        except durable.StorageError as error:
            last = self.path / "last"
            kept = (
                f"The last good checkpoint is {last.resolve()}; go on from it with: "
                f"phalanx train --resume {self.path}"
                if last.exists()
                else "There is no checkpoint yet."
            )
            raise durable.StorageError(f"{error}\n  {kept}") from error

    def resume(self, trainer: Trainer) -> Resumed | None:
        """Put a fresh trainer where the run was; None where there is no checkpoint yet.

        Raises:
            PhalanxError: all checkpoints are damaged.
            UsageError: the configuration, the text or the tokenizer is another than that of the
                run.
        """
        recovered = self.checkpoints.recover()
        path = recovered.path
        if path is None:
            return None
        description = read_description(path)
        settings = parse(RunConfig, read_yaml(path / SETTINGS), str(path / SETTINGS))
        changes(settings, self.prepared.config)
        self._check_same_data(path, description)
        notes = [f"{refusal} Passed over." for refusal in recovered.refused]
        notes += _pin(trainer.model, description)
        weights = read_weights(path / WEIGHTS, trainer.model.state_dict())
        trainer.restore(load_state(path, trainer), weights)
        self.checkpoints.link(path, best=trainer.best_step == trainer.steps)
        return Resumed(path, tuple(notes))

    def best_figures(self) -> dict[str, float | int | None] | None:
        """The figures of the best checkpoint so far; None where there is none."""
        path = self.path / BEST
        return read_description(path).figures if path.exists() else None

    def _describe(self, trainer: Trainer, scores: Mapping[str, float]) -> Description:
        prepared, config, facts = self.prepared, self.prepared.config, self.prepared.facts
        return Description(
            task=prepared.task,
            model=prepared.model_config,
            labels=prepared.labels,
            scheme=prepared.scheme,
            data=config.data.model_dump(mode="json", include=set(HOW_READ)),
            figures={
                **{f"validation_{name}": value for name, value in scores.items()},
                "steps": trainer.steps,
                "tokens": trainer.tokens,
                "seconds": round(trainer.seconds, 3),
            },
            training={
                "text": facts.name,
                "text_sha256": facts.digest,
                "preset": config.preset,
                "optimizer": config.train.optimizer,
                "precision": trainer.precision,
                "seed": config.seed,
                "threads": torch.get_num_threads(),
                "schedules": schedules(trainer.model),
            },
        )

    def _check_same_data(self, path: Path, description: Description) -> None:
        facts, before = self.prepared.facts, description.training.get("text_sha256")
        if facts.digest != before:
            raise UsageError(
                f"{facts.name}: the text is not the one that {self.path} was trained on so far "
                f"(sha256 {facts.digest[:12]} instead of {str(before)[:12]}). Expected the same. "
                "Restore the files, or begin another run with another --output."
            )
        if load_tokenizer(path).digest != self.prepared.tokenizer.digest:
            raise UsageError(
                f"{self.path}: its tokenizer is not the one that the configuration gives now. "
                "Expected the same. Begin another run with another --output."
            )


def read_config(path: Path) -> RunConfig:
    """The resolved configuration of a run.

    Raises:
        UsageError: it is missing or malformed.
    """
    return parse(RunConfig, read_yaml(path / CONFIG), str(path / CONFIG))


def is_run(path: Path) -> bool:
    """Whether a run has begun in this directory."""
    return (path / CONFIG).is_file()


def check_not_in_use(path: Path) -> None:
    """Refuse a directory that another process trains in, before anything costs time.

    Raises:
        LockedError: one does.
    """
    holder = durable.holder(path / LOCK)
    if holder is not None:
        raise durable.in_use(f"The run {path}", holder)


def check_free(path: Path) -> None:
    """Refuse a directory that holds something already, or that cannot be made.

    Raises:
        UsageError: it does, it is a file, or there is no place for it.
    """
    if not path.exists():
        place = next(parent for parent in path.absolute().parents if parent.exists())
        if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            raise UsageError(
                f"{path} cannot be made. Expected a directory to write into, which {place} is not. "
                "Choose another --output."
            )
        return
    ours = (LOCK, durable.HIDDEN)  # of a run that was killed before it began
    if path.is_dir() and all(entry.name.startswith(ours) for entry in path.iterdir()):
        return
    remedy = (
        f"Go on with that run: phalanx train --resume {path}; or choose another --output."
        if is_run(path)
        else "It is no run. Choose another --output."
    )
    raise UsageError(
        f"{path} exists already. Expected a new or empty directory for the run. {remedy}"
    )


def schedules(model: torch.nn.Module) -> dict[str, str]:
    """The schedule in use by each kind of mixer of a model."""
    mixers = [module for module in model.modules() if isinstance(module, Mixer)]
    return {type(mixer).__name__: mixer.schedule for mixer in mixers}


def _pin(model: torch.nn.Module, description: Description) -> list[str]:
    """Use the thread count and the schedules that the run has used: other ones round otherwise."""
    notes = []
    threads = description.training.get("threads")
    if isinstance(threads, int) and threads > 0 and threads != torch.get_num_threads():
        notes.append(f"{threads} threads, as before, instead of {torch.get_num_threads()}")
        torch.set_num_threads(threads)
    before = description.training.get("schedules")
    for mixer in (module for module in model.modules() if isinstance(module, Mixer)):
        name = before.get(type(mixer).__name__) if isinstance(before, dict) else None
        if name is not None and name != mixer.schedule:
            try:
                mixer.use_schedule(name)
            except ValueError as error:
                raise PhalanxError(f"the run's schedule is not there any more: {error}") from None
            notes.append(f"{type(mixer).__name__} runs {name}, as before")
    return notes
