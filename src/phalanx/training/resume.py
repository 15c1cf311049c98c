"""Going on with a run: which configuration it goes on with, and what may differ from before."""

from collections.abc import Iterator, Mapping
from typing import Any

from phalanx.config import RunConfig
from phalanx.errors import UsageError

# What a run may be given otherwise when it goes on. All else would make it another run.
# Where things lie, and what is kept: the weights stay those of the run undisturbed. What the text
# and the tokenizer are is checked by their content, against the checkpoint.
SAME_RUN = frozenset(
    {
        "data.paths",
        "data.validation_paths",
        "data.tokenizer",
        "train.checkpoint_every",
        "train.keep",
    }
)
# When it ends, how it is judged, how it rounds.
CHANGEABLE = SAME_RUN | {
    "train.steps",
    "train.seconds",
    "train.patience",
    "train.skip_nonfinite",
    "train.evaluate_every",
    "train.micro_batch_size",
    "data.validation_tokens",
}


def adopt(wanted: RunConfig, saved: RunConfig) -> RunConfig:
    """``wanted`` with what it leaves to the machine (``auto``) as the run has settled it."""
    precision, device = wanted.train.precision, wanted.device
    train = wanted.train.model_copy(
        update={"precision": saved.train.precision if precision == "auto" else precision}
    )
    return wanted.model_copy(
        update={"train": train, "device": saved.device if device == "auto" else device}
    )


def changes(saved: RunConfig, resolved: RunConfig) -> list[str]:
    """What differs from the run's configuration, in words, and what that means; all of it may.

    Args:
        saved: the run's configuration.
        resolved: the one to go on with.

    Raises:
        UsageError: something differs that would make it another run.
    """
    before, now = (
        dict(_flat(saved.model_dump(mode="json"))),
        dict(_flat(resolved.model_dump(mode="json"))),
    )
    differing = [key for key in before | now if before.get(key) != now.get(key)]
    words = {key: f"{key} {before.get(key)!r} -> {now.get(key)!r}" for key in differing}
    wrong = [words[key] for key in differing if key not in CHANGEABLE]
    if wrong:
        raise UsageError(
            "the run has another configuration: " + "; ".join(wrong) + ". Expected the same, apart "
            f"from {', '.join(sorted(CHANGEABLE))}. Leave the others out, or begin another run "
            "with another --output."
        )
    other = "; from here on it is not the run that it would have been"
    return [words[key] + ("" if key in SAME_RUN else other) for key in differing]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
