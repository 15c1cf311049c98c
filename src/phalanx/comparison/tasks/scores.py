"""Which scores of a task are shown, in which order, and which of them decides."""

from collections.abc import Mapping

ORDER = ("f1", "precision", "recall", "accuracy", "macro_f1", "loss")
"""The first that a task has decides; all but the loss are shares, and best when high."""


def shown(scores: Mapping[str, float]) -> list[str]:
    """The scores that are shown, in their order."""
    return [name for name in ORDER if name in scores]


def primary(scores: Mapping[str, float]) -> str:
    """The score by which models are told apart."""
    return shown(scores)[0]


def is_share(name: str) -> bool:
    """Whether a score is a share of one, the higher the better."""
    return name != "loss"
