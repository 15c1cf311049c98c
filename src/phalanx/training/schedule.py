"""The learning rate along a run, as a share of its peak: warm-up, then decay."""

import math

from phalanx.config import TrainingConfig

LONGEST_WARM_UP = 0.1
"""Warm-up ends by this share of the run, however short the run is."""

STABLE_DECAY = 0.2
"""The share of the run over which warm-up-stable-decay decays, unless told otherwise."""


def rate(config: TrainingConfig, step: int, progress: float) -> float:
    """The share of the peak learning rate at a step.

    Warm-up rises linearly over ``warmup_steps`` (or a tenth of the run, where that is shorter). The
    decay falls from 1 to ``final_fraction`` over the last ``decay_fraction`` of the run, at most
    all of it behind the warm-up. ``wsd`` falls as 1 - sqrt(share of the decay that is done), over a
    fifth of the run unless told otherwise (Hägele et al. 2024, section 3).

    Args:
        config: the shape.
        step: counted from 0.
        progress: from 0 to 1, the share of the run that is done: ``step / steps``, or by the clock
            where a budget in seconds ends it. The decay follows it, so it is always completed.
    """
    warm_up = min(config.warmup_steps / config.steps, LONGEST_WARM_UP)
    rising = max((step + 1) / (config.warmup_steps + 1), progress / LONGEST_WARM_UP)
    if rising < 1.0:
        return rising
    usual = STABLE_DECAY if config.decay == "wsd" else 1.0
    fraction = usual if config.decay_fraction is None else config.decay_fraction
    start = max(1.0 - fraction, warm_up)
    if config.decay == "constant" or progress <= start:
        return 1.0
    done = min((progress - start) / (1.0 - start), 1.0)
    left = {"cosine": _cosine, "linear": _linear, "wsd": _one_minus_root}[config.decay](done)
    return config.final_fraction + (1.0 - config.final_fraction) * left


def _cosine(done: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _linear(done: float) -> float:
    return 1.0 - done


def _one_minus_root(done: float) -> float:
    return 1.0 - math.sqrt(done)
