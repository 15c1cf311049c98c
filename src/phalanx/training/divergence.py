"""What is said when the loss of a step is not a number."""

import torch

from phalanx.errors import PhalanxError

LISTED = 4


class DivergedError(PhalanxError):
    """The loss stopped being a number."""


def diverged(
    step: int, loss: float, norm: float, samples: torch.Tensor | None, skipped: int, allowed: int
) -> DivergedError:
    """The error for a step, counted from 1, whose loss or gradient is not finite.

    Args:
        step: which.
        loss: of its batch.
        norm: of the gradient.
        samples: where the samples in question begin in the stream of tokens; None: not known.
        skipped: steps that were passed over before.
        allowed: how many may be.
    """
    before = (
        f" {skipped} steps were passed over before, as many as train.skip_nonfinite allows."
        if allowed
        else ""
    )
    return DivergedError(
        f"The loss is {loss} and the gradient's norm {norm} at step {step}{_where(samples)}: "
        f"training has diverged. Expected finite numbers.{before} Lower train.learning_rate and "
        "train.muon_learning_rate, set train.precision to float32, or have such steps passed over "
        f"by {'a larger ' if allowed else ''}train.skip_nonfinite."
    )


def _where(samples: torch.Tensor | None) -> str:
    if samples is None:
        return ""
    starts = samples.tolist()
    more = f" and {len(starts) - LISTED} more" if len(starts) > LISTED else ""
    listed = ", ".join(map(str, starts[:LISTED]))
    return f", in the samples starting at token {listed}{more}"
