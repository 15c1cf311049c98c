"""Random numbers of a training step, as a pure function of where they are drawn."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from phalanx.data.order import random_bits

# The order of samples has the indices from -1 on: these count down from here.
_FIRST_INDEX = -2


@contextmanager
def keyed_randomness(device: torch.device, seed: int, step: int, part: int) -> Iterator[None]:
    """Whatever is drawn inside depends on (seed, step, part) alone, and moves nothing outside.

    Args:
        device: its generator and the CPU's are seeded, and put back as they were afterwards.
        seed: of the run.
        step: counted from 0.
        part: of the step's batch, counted from 0.
    """
    key = int(random_bits(seed, step, np.array([_FIRST_INDEX - part], dtype=np.int64))[0])
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(key)
        for each in devices:
            torch.cuda.default_generators[each.index].manual_seed(key)
        yield
