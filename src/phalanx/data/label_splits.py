"""Which samples train and which validate, where no files were given to validate on.

A hash of what a sample says decides, its label aside: equal texts fall on one side, and a sample
stays where it is when others are appended. The first sample of each label trains, whatever its
hash, and so do all that say the same, so that no label is met in validation alone.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from phalanx.data.splits import position

T = TypeVar("T")


def divide(
    samples: Sequence[T],
    key: Callable[[T], str],
    labels: Callable[[T], Iterable[str]],
    fraction: float,
) -> tuple[list[T], list[T]]:
    """Return the sides (train, validation), each in the order given.

    Where the hash gives validation nothing, the text with the lowest hash that may validate does.

    Args:
        samples: in the order of their files.
        key: what equal samples share.
        labels: of a sample; those that occur have to be learnt.
        fraction: the share to validate on, between 0 and 1.
    """
    seen: set[str] = set()
    kept: set[str] = set()
    for sample in samples:
        new = set(labels(sample)) - seen
        if new:
            seen |= new
            kept.add(key(sample))
    places = {name: position(name) for name in map(key, samples) if name not in kept}
    chosen = {name for name, place in places.items() if place < fraction}
    if not chosen and places and len(places) + len(kept) > 1:
        chosen = {min(places, key=places.__getitem__)}
    train: list[T] = []
    validation: list[T] = []
    for sample in samples:
        (validation if key(sample) in chosen else train).append(sample)
    return train, validation
