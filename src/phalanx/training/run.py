"""A model trained from a configuration: what `phalanx train` does, for Python too."""

import warnings
from collections.abc import Callable
from pathlib import Path

from phalanx.config import RunConfig, Task
from phalanx.models import build
from phalanx.training.estimate import choose_micro_batch
from phalanx.training.initial import initial_config, load_initial
from phalanx.training.precision import choose_device
from phalanx.training.prepared import Prepared
from phalanx.training.preparing import (
    classification,
    language_modelling,
    masked_lm,
    tagging,
    translation,
)
from phalanx.training.trainer import Trainer

__all__ = ["Prepared", "make_trainer", "prepare"]


_PREPARE: dict[Task, Callable[[RunConfig], Prepared]] = {
    "language_modelling": language_modelling.prepare,
    "masked_lm": masked_lm.prepare,
    "classification": classification.prepare,
    "tagging": tagging.prepare,
    "translation": translation.prepare,
}


def prepare(config: RunConfig) -> Prepared:
    """Read the data, make the tokenizer, and resolve the configuration, as the task needs.

    Raises:
        UsageError: the data or the tokenizer cannot be read, there is too little of it, or the
            model cannot be built.
        PhalanxError: the data changed meanwhile, or the cache cannot be written.
    """
    return _PREPARE[config.task](_within_context(config))


def _within_context(config: RunConfig) -> RunConfig:
    """Where no length was asked for, no more than the model that training starts from holds."""
    if config.init is None or "sequence_length" in config.train.model_fields_set:
        return config
    length = min(config.train.sequence_length, initial_config(Path(config.init)).context)
    train = config.train.model_copy(update={"sequence_length": length})
    return config.model_copy(update={"train": train})


def make_trainer(prepared: Prepared, say: Callable[[str], object] = warnings.warn) -> Trainer:
    """A trainer over a fresh model, whose weights the seed decides, or over that of ``init``.

    Args:
        prepared: what is trained.
        say: takes what a person should know: that memory is short, and what is done about it.

    Raises:
        UsageError: not even one sequence at a time fits into memory.
    """
    config = prepared.config
    device = choose_device(config.device)
    wanted = config.train.micro_batch_size or config.train.most_rows
    fitting = choose_micro_batch(prepared.model_config, config.train, device, prepared.shapes())
    if fitting < wanted:
        say(
            f"warning: {wanted} sequences at a time need more memory than there is; taking "
            f"{fitting} at a time. The batch and its gradient stay the same."
        )
    model = build(prepared.model_config, config.seed)
    if config.init is not None:
        say(load_initial(model, config.init))
    trainer = Trainer(
        model.to(device),
        config.train,
        prepared.batches(),
        total=prepared.total,
        validate=prepared.validate,
        criterion=prepared.criterion,
        seed=config.seed,
        say=say,
    )
    trainer.micro_batch = fitting
    return trainer
