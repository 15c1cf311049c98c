"""Fold a long chain of names where it repeats: a loop reads as one line."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_LONGEST_PERIOD = 64  # kernels of one position of a recurrent layer are 2 to 20, of a layer 60

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True)
class Loop(Generic[Item]):
    """``times`` rounds of ``body``."""

    times: int
    body: "tuple[Item | Loop[Item], ...]"

    def __str__(self) -> str:
        parts = (f"({part})" if isinstance(part, Loop) else str(part) for part in self.body)
        return f"x{self.times}: {' -> '.join(parts)}"


def fold(names: Sequence[str]) -> tuple[str, ...]:
    """``[a, b, c, b, c, d]`` -> ``("a", "x2: b -> c", "d")``."""
    return tuple(map(str, fold_items(names)))


def fold_items(given: Sequence[Item], longest: int = _LONGEST_PERIOD) -> list[Item | Loop[Item]]:
    """Loops of three rounds or more are folded first, inner ones before outer ones, then pairs.

    ``longest`` is the greatest number of parts in a round.
    """
    items: list[Item | Loop[Item]] = list(given)
    for rounds in (3, 2):
        for period in range(1, longest + 1):
            if period * rounds > len(items):
                break
            items = _fold_once(items, period, rounds)
    return items


def _fold_once(items: list[Item | Loop[Item]], period: int, rounds: int) -> list[Item | Loop[Item]]:
    folded: list[Item | Loop[Item]] = []
    start = 0
    while start < len(items):
        end = start + period
        while end < len(items) and items[end] == items[end - period]:
            end += 1
        times = (end - start) // period
        if times >= rounds:
            folded.append(Loop(times, tuple(items[start : start + period])))
            start += times * period
        else:
            folded.append(items[start])
            start += 1
    return folded
