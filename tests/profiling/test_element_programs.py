"""Random programs of views, partial and in-place writes, run twice: on tensors under the shadow,
and on arrays whose elements are objects that know what they were made of.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from phalanx.profiling.elements.depth import element_depth
from phalanx.profiling.elements.paths import paths

ROWS, COLUMNS, STEPS = 3, 4, 14
Objects = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Made:
    """An element: kernels on the longest chain to it, and on the shortest from each source."""

    deep: int
    near: dict[int, int]

    @classmethod
    def of(cls, *read: "Made") -> "Made":
        near: dict[int, int] = {}
        for item in read:
            for source, count in item.near.items():
                near[source] = min(near.get(source, count + 1), count + 1)
        return cls(max(item.deep for item in read) + 1, near)


_one = np.frompyfunc(Made.of, 1, 1)
_two = np.frompyfunc(Made.of, 2, 1)


def _over(rows: Objects) -> Objects:
    found = np.empty(rows.shape[:-1], object)
    for place in np.ndindex(found.shape):
        found[place] = Made.of(*rows[place])
    return found


def _product(a: Objects, b: Objects) -> Objects:
    found = np.empty((a.shape[0], b.shape[1]), object)
    for i, j in np.ndindex(found.shape):
        found[i, j] = Made.of(*a[i], *b[:, j])
    return found


def _scan(a: Objects) -> Objects:
    found = np.empty(a.shape, object)
    for i, j in np.ndindex(a.shape):
        found[i, j] = Made.of(*a[i, : j + 1])
    return found


def _assign(to: Any, value: Any) -> None:
    to[...] = value


class Program:
    """The same random steps on a pool of matrices, by either kind of arithmetic."""

    def __init__(self, seed: int, is_torch: bool) -> None:
        self.choose = random.Random(seed)
        self.is_torch = is_torch
        self.deepest = 0

    def run(self, x: Any) -> list[Any]:
        pool = [x.clone() if self.is_torch else x.copy(), x]
        for _ in range(STEPS):
            a, b = self.choose.choice(pool), self.choose.choice(pool)
            new = self._step(self.choose.randrange(11), a, b)
            if new is not None:
                pool.append(new)
            if not self.is_torch:
                self._look(pool)
        return pool

    def _look(self, pool: list[Any]) -> None:
        self.deepest = max(self.deepest, *(item.deep for array in pool for item in array.flat))

    def _kernel(
        self, by_torch: Callable[..., Any], by_object: Callable[..., Any], *read: Any
    ) -> Any:
        return (by_torch if self.is_torch else by_object)(*read)

    def _step(self, kind: int, a: Any, b: Any) -> Any:
        rows = self.choose.randrange(a.shape[0])
        columns = self.choose.randrange(a.shape[1])
        if kind == 0:
            return a.T
        if kind == 1:
            return a[rows:] if rows + 1 < a.shape[0] else a[:, columns:]
        if kind == 2:
            return self._kernel(torch.sin, _one, a)
        if kind == 3:  # broadcast a row
            return self._kernel(torch.add, _two, a, a[rows : rows + 1])
        if kind == 4:
            return self._kernel(lambda a: a.sum(1, keepdim=True), lambda a: _over(a)[:, None], a)
        if kind == 5:
            return self._kernel(lambda a: a.cumsum(1), _scan, a)
        if kind == 6 and a.shape[1] == b.shape[0]:
            return self._kernel(torch.mm, _product, a, b)
        if kind == 7:  # in place, on a part
            part, other = a[rows:], a[rows : rows + 1, columns : columns + 1]
            if self.is_torch:
                part.mul_(other.clone())
            else:
                _assign(part, _two(part.copy(), other.copy()))
        elif kind == 8:  # a column is overwritten
            _assign(a[:, columns], (a.clone() if self.is_torch else a.copy())[:, 0])
        elif kind == 9:
            return self._kernel(lambda a: a.flip(0), lambda a: a[::-1].copy(), a)
        elif kind == 10 and a.shape[1] == b.shape[1]:
            join = self._kernel(lambda *p: torch.cat(p), lambda *p: np.concatenate(p), a, b)
            return join[: ROWS + 1]
        return None


def _objects() -> Objects:
    x = np.empty((ROWS, COLUMNS), object)
    for number, place in enumerate(np.ndindex(x.shape)):
        x[place] = Made(0, {number: 0})
    return x


@pytest.mark.parametrize("seed", range(40))
def test_a_random_program_is_followed_exactly(seed: int) -> None:
    by_object = Program(seed, is_torch=False)
    expected = by_object.run(_objects())
    x = torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(seed)) + 0.5

    def flat(given: Tensor) -> Tensor:
        pool = Program(seed, is_torch=True).run(given.reshape(ROWS, COLUMNS).clone())
        return torch.cat([item.reshape(-1) for item in pool])[None]

    found = paths(flat, x.reshape(1, -1)).kernels_ij
    made = [item for array in expected for item in array.flat]
    for i in range(x.numel()):
        near = [item.near.get(i, np.inf) for item in made]
        np.testing.assert_array_equal(found[i], near)
    assert element_depth(lambda: flat(x.reshape(1, -1))).depth == by_object.deepest
