"""Settings that were given and do nothing in a run: nothing is passed over in silence."""

from phalanx.config import DataConfig, RunConfig, TrainingConfig


def ignored(config: RunConfig) -> list[str]:
    """What is not as by default and has no effect, and why, in words."""
    train, data = config.train, config.data
    steady = "train.decay is constant" if train.decay == "constant" else ""
    no_muon = "" if train.optimizer == "muon" else f"train.optimizer is {train.optimizer}"
    given = "" if data.tokenizer == "bpe" else f"data.tokenizer is {data.tokenizer}"
    reasons = {
        "train.decay_fraction": steady,
        "train.final_fraction": steady,
        "train.muon_learning_rate": no_muon,
        "train.momentum": no_muon,
        "train.patience": _too_patient(train),
        "data.vocabulary": given,
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


def _too_patient(train: TrainingConfig) -> str:
    """Why the run ends before its patience can; empty where it does not."""
    if train.patience is None or (train.patience + 1) * train.evaluate_every < train.steps:
        return ""
    return (
        f"with a validation every {train.evaluate_every} steps, all {train.steps} are over before "
        "so many can follow the best one"
    )
