"""Passes without gradients: how large, in which mode, and whether the scores are numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from phalanx.errors import PhalanxError

PASS_POSITIONS = 8192
"""Positions of one pass, padding included; more do not make a product faster."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and afterwards in the mode in which it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def check_scores(scores: Tensor) -> None:
    """Refuse what no answer can be read from.

    Raises:
        PhalanxError: a score is NaN or infinite.
    """
    if not scores.isfinite().all():
        raise PhalanxError(
            "The model's scores are not numbers (NaN or infinite). Its weights have probably "
            "diverged: train again with a lower learning rate."
        )
