"""Which tensors of a phalanx model are which of a Hugging Face model, as a table read both ways."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Move:
    """Tensors here and the same ones there: the rows of all of ``ours`` are those of ``theirs``.

    Args:
        ours: names of modules, or of parameters; ``{}`` stands for the number of the layer.
        theirs: names there, without the prefix of the base model.
        transposed: whether a matrix is stored as (inputs, outputs) there.
        outside: whether it stands beside the base model and has no prefix.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    transposed: bool = False
    outside: bool = False

    def of_layer(self, layer: int) -> "Move":
        """The move of one layer."""
        return self._named(lambda name: name.replace("{}", str(layer)))

    def of_part(self, part: str) -> "Move":
        """The move of one parameter of the modules: ``.weight``, ``.bias`` or nothing."""
        return self._named(lambda name: name + part)

    def their_shapes(self, shapes: Shapes) -> dict[str, tuple[int, ...]]:
        """The shapes there, of the shapes here."""
        rows = sum(shapes[name][0] for name in self.ours)
        shape = (rows // len(self.theirs), *shapes[self.ours[0]][1:])
        return dict.fromkeys(self.theirs, shape[::-1] if self.transposed else shape)

    def to_ours(self, get: Callable[[str], Tensor], shapes: Shapes) -> dict[str, Tensor]:
        """The tensors here, of those that ``get`` gives by their names there."""
        found = [self._turned(get(name)) for name in self.theirs]
        rows = found[0] if len(found) == 1 else torch.cat(found)
        parts = rows.split([shapes[name][0] for name in self.ours])
        return dict(zip(self.ours, parts, strict=True))

    def to_theirs(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors there, of those here."""
        found = [weights[name] for name in self.ours]
        rows = found[0] if len(found) == 1 else torch.cat(found)
        parts = rows.chunk(len(self.theirs))
        return {
            name: self._turned(part).contiguous()
            for name, part in zip(self.theirs, parts, strict=True)
        }

    def _turned(self, tensor: Tensor) -> Tensor:
        return tensor.t() if self.transposed and tensor.ndim == 2 else tensor

    def _named(self, change: Callable[[str], str]) -> "Move":
        ours, theirs = (tuple(map(change, names)) for names in (self.ours, self.theirs))
        return replace(self, ours=ours, theirs=theirs)


_PARTS = (".weight", ".bias", "")


def same(ours: str, theirs: str, **options: Any) -> Move:
    """The move of one module that is one module there too."""
    return Move((ours,), (theirs,), **options)


def moves_of(table: tuple[Move, ...], shapes: Shapes, layers: int) -> list[Move]:
    """The moves of a table, a parameter each, that make up the parameters of a model.

    Args:
        table: the moves of a family; those of modules that the model does not have are left out.
        shapes: of the model's parameters, by name.
        layers: how many the model has.
    """
    found = [move for move in _every(table, layers) if move.ours[0] in shapes]
    covered = {name for move in found for name in move.ours}
    assert covered == shapes.keys(), f"not in the table: {covered ^ shapes.keys()}"
    return found


def _every(table: tuple[Move, ...], layers: int) -> Iterator[Move]:
    for move in table:
        numbered = [move]
        if "{}" in move.ours[0]:
            numbered = [move.of_layer(layer) for layer in range(layers)]
        for one in numbered:
            yield from (one.of_part(part) for part in _PARTS)
