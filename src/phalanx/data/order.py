"""The order of samples, as a pure function of (seed, epoch, index).

A keyed hash replaces a generator: nothing that was drawn before, on any machine or by any number
of workers, can change what comes at a given place. So resuming needs no saved state.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_KEYS_AT_ONCE = 2**20


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finalizer of SplitMix64 of each value: a bijection on 64 bits that mixes well.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def random_bits(seed: int, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return 64 random bits for each index of an epoch, independent of every other index."""
    key = 0
    for part in (seed, epoch):
        words = np.array([(key + _GOLDEN + part) & _MASK], dtype=np.uint64)
        key = int(mix(mix(words) + np.uint64(_GOLDEN))[0])
    return mix(mix(indices.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(key)))


def permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of ``count`` samples in one epoch: an int64 permutation of 0..count-1."""
    return _permutation(seed, epoch, count).copy()


# A batch may straddle two epochs. Computing one takes a sort, 20 bytes a sample while it lasts and
# 8 after: for 8 million windows, a billion tokens at 128 positions, 160 MB and 64 MB.
@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    keys = np.empty(count, dtype=np.uint64)
    for start in range(0, count, _KEYS_AT_ONCE):
        indices = np.arange(start, min(start + _KEYS_AT_ONCE, count), dtype=np.int64)
        keys[start : start + len(indices)] = random_bits(seed, epoch, indices)
    order: NDArray[np.int64] = np.argsort(keys, kind="stable").astype(np.int64, copy=False)
    order.setflags(write=False)
    return order


def sample_at(seed: int, positions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return which of ``count`` samples comes at each position of the endless training order.

    Position p is place ``p % count`` of epoch ``p // count``; each epoch has its own permutation.

    Args:
        seed: the seed of the order.
        positions: int64, none negative.
        count: samples in an epoch, at least 1.
    """
    epochs, places = np.divmod(positions, count)
    samples = np.empty_like(places)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        samples[chosen] = _permutation(seed, int(epoch), count)[places[chosen]]
    return samples
