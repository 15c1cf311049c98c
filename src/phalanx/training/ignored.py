"""Settings that were given and do nothing in a run: nothing is passed over in silence."""

from phalanx.config import DataConfig, RunConfig, Task, TrainingConfig
from phalanx.data.tokenizers import KINDS, SIZED

_ROWS: tuple[Task, ...] = ("classification", "tagging", "translation")
_TASKS: dict[str, tuple[Task, ...]] = {
    "train.batch_tokens": _ROWS,
    "train.class_weights": ("classification", "tagging"),
    "train.token_dropout": ("classification", "tagging"),
    "train.mask_fraction": ("masked_lm",),
    "data.documents": ("language_modelling", "masked_lm"),
    "data.validation_tokens": ("language_modelling", "masked_lm"),
    "data.text_column": ("language_modelling", "masked_lm", "classification", "tagging"),
    "data.pair_column": ("classification",),
    "data.label_column": ("classification",),
    "data.source_column": ("translation",),
    "data.target_column": ("translation",),
    "data.tag_column": ("tagging",),
    "data.scheme": ("tagging",),
}
"""Settings that have an effect in these tasks alone."""


def ignored(config: RunConfig) -> list[str]:
    """What is not as by default and has no effect, and why, in words."""
    train, data = config.train, config.data
    steady = "train.decay is constant" if train.decay == "constant" else ""
    no_muon = "" if train.optimizer == "muon" else f"train.optimizer is {train.optimizer}"
    origin = f"init {config.init} brings it" if config.init else f"it is {data.tokenizer}"
    given = "" if data.tokenizer in SIZED else f"the tokenizer is not trained to a size: {origin}"
    exists = "" if data.tokenizer in KINDS else f"the tokenizer is not trained: {origin}"
    reasons = {
        "train.decay_fraction": steady,
        "train.final_fraction": steady,
        "train.muon_learning_rate": no_muon,
        "train.momentum": no_muon,
        "train.patience": _too_patient(train),
        "data.vocabulary": given,
        "data.lowercase": exists,
        **{key: _of_other_tasks(config.task, tasks) for key, tasks in _TASKS.items()},
    }
    values = {"train": train, "data": data}
    defaults = {"train": TrainingConfig(), "data": DataConfig()}
    found = []
    for name, reason in reasons.items():
        section, key = name.split(".")
        value = getattr(values[section], key)
        if reason and value != getattr(defaults[section], key):
            found.append(f"{name} is {value} and does nothing: {reason}")
    return found


def _of_other_tasks(task: Task, tasks: tuple[Task, ...]) -> str:
    return "" if task in tasks else f"the task is {task.replace('_', ' ')}"


def _too_patient(train: TrainingConfig) -> str:
    """Why the run ends before its patience can; empty where it does not."""
    if train.patience is None or (train.patience + 1) * train.evaluate_every < train.steps:
        return ""
    return (
        f"with a validation every {train.evaluate_every} steps, all {train.steps} are over before "
        "so many can follow the best one"
    )
