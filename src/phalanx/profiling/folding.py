"""Fold a long chain of names where it repeats: a loop reads as one line."""

from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_PERIOD = 64  # kernels of one position of a recurrent layer are 2 to 20, of a layer 60


@dataclass(frozen=True)
class _Loop:
    times: int
    body: tuple["str | _Loop", ...]

    def __str__(self) -> str:
        parts = [f"({part})" if isinstance(part, _Loop) else part for part in self.body]
        return f"x{self.times}: {' -> '.join(parts)}"


def fold(names: Sequence[str]) -> tuple[str, ...]:
    """``[a, b, c, b, c, d]`` -> ``("a", "x2: b -> c", "d")``.

    Loops of three rounds or more are folded first, inner ones before outer ones, then pairs.
    """
    items: list[str | _Loop] = list(names)
    for rounds in (3, 2):
        for period in range(1, _LONGEST_PERIOD + 1):
            if period * rounds > len(items):
                break
            items = _fold_once(items, period, rounds)
    return tuple(str(item) for item in items)


def _fold_once(items: list[str | _Loop], period: int, rounds: int) -> list[str | _Loop]:
    folded: list[str | _Loop] = []
    start = 0
    while start < len(items):
        end = start + period
        while end < len(items) and items[end] == items[end - period]:
            end += 1
        times = (end - start) // period
        if times >= rounds:
            folded.append(_Loop(times, tuple(items[start : start + period])))
            start += times * period
        else:
            folded.append(items[start])
            start += 1
    return folded
