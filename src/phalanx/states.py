"""What a mixer carries from one call to the next: a key/value cache or a recurrent state.

A call consumes its state: use the one it returns. Where autograd may look back, states are
functional; under ``torch.inference_mode`` they are fixed-capacity buffers written in place.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from phalanx.shapes import Index, PerRow


class State(Protocol):
    """What every state answers; nobody reaches into its tensors.

    ``length_B`` counts the positions that each row has consumed; ``nbytes`` is the memory held.
    """

    @property
    def length_B(self) -> PerRow:
        """Positions that each row has consumed."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...

    def select(self, rows_N: Index) -> Self:
        """The state of the given rows, in that order."""
        ...

    def put(self, slots_N: Index, other: Self) -> Self:
        """This state with row n of ``other`` in place of row ``slots_N[n]``."""
        ...

    def rewind(self, count_B: PerRow) -> Self:
        """The state as it was ``count_B`` positions ago, row by row."""
        ...


def _write_rows(target: Tensor, slots_N: Index, rows: Tensor) -> Tensor:
    if torch.is_inference_mode_enabled():
        return target.index_copy_(0, slots_N, rows)
    return target.index_copy(0, slots_N, rows)


@dataclass(frozen=True)
class TensorState:
    """A state made of tensors whose first axis is the batch."""

    length_B: PerRow

    def _tensors(self) -> dict[str, Tensor]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _map(self, change: Callable[[str, Tensor], Tensor]) -> Self:
        return replace(self, **{name: change(name, t) for name, t in self._tensors().items()})

    @property
    def nbytes(self) -> int:
        """Bytes held by the state's tensors."""
        return sum(tensor.nbytes for tensor in self._tensors().values())

    def select(self, rows_N: Index) -> Self:
        """The state of the given rows, in that order."""
        return self._map(lambda _, tensor: tensor.index_select(0, rows_N))

    def put(self, slots_N: Index, other: Self) -> Self:
        """This state with row n of ``other`` in place of row ``slots_N[n]``."""
        others = other._tensors()
        return self._map(lambda name, tensor: _write_rows(tensor, slots_N, others[name]))


@dataclass(frozen=True)
class KeyValueState(TensorState):
    """Keys and values of the positions seen; rewinding only forgets how many count.

    The buffers have one slot more than their capacity: padding is written there, so that a ragged
    write needs neither a branch nor a copy.
    """

    keys_BHSK: Tensor
    values_BHSK: Tensor
    segments_BS: Tensor

    @property
    def capacity(self) -> int:
        """Positions that fit."""
        return self.keys_BHSK.shape[2] - 1

    def append(
        self,
        keys_BHTK: Tensor,
        values_BHTK: Tensor,
        keep_BT: Tensor | None,
        segments_BT: Tensor | None,
    ) -> tuple["KeyValueState", Tensor]:
        """Write T positions behind those held; return the state and the slots (B, T) they took.

        Raises:
            RuntimeError: more positions than the capacity (on a GPU, a device-side assertion).
        """
        length = keys_BHTK.shape[2]
        slots_T = torch.arange(length, device=keys_BHTK.device)
        slots_BT = self.length_B[:, None] + slots_T
        # A position too many must fail as an index out of range, not land among the padding.
        target_BT = slots_BT + (slots_BT >= self.capacity)
        if keep_BT is None:
            added_B = torch.full_like(self.length_B, length)
        else:
            target_BT = torch.where(keep_BT, target_BT, self.capacity)
            added_B = keep_BT.sum(1)
        if segments_BT is None:
            last_BT = (self.length_B - 1).clamp(min=0)[:, None].expand(-1, length)
            segments_BT = self.segments_BS.gather(1, last_BT)
        index = target_BT[:, None, :, None].expand_as(keys_BHTK)
        state = KeyValueState(
            length_B=self.length_B + added_B,
            keys_BHSK=_scatter(self.keys_BHSK, 2, index, keys_BHTK),
            values_BHSK=_scatter(self.values_BHSK, 2, index, values_BHTK),
            segments_BS=_scatter(self.segments_BS, 1, target_BT, segments_BT),
        )
        return state, slots_BT

    def rewind(self, count_B: PerRow) -> "KeyValueState":
        """The state as it was ``count_B`` positions ago, row by row."""
        return replace(self, length_B=self.length_B - count_B)


def _scatter(target: Tensor, axis: int, index: Tensor, source: Tensor) -> Tensor:
    source = source.to(target.dtype)
    if torch.is_inference_mode_enabled():
        return target.scatter_(axis, index, source)
    return target.scatter(axis, index, source)


@dataclass(frozen=True)
class RecurrentState(TensorState):
    """A hidden vector a row, and the document that it belongs to.

    ``past`` holds the same fields 0, 1, ... positions ago on a leading axis, when a call was asked
    to keep them (``undo``): a recurrence is never inverted, it is remembered.
    """

    segment_B: PerRow
    hidden_BD: Tensor
    past: dict[str, Tensor] | None = field(default=None, kw_only=True)

    def where(self, active_B: PerRow, other: Self) -> Self:
        """This state in the active rows, ``other`` in the rest."""
        others = other._tensors()

        def choose(name: str, tensor: Tensor) -> Tensor:
            mask = active_B.reshape(-1, *[1] * (tensor.dim() - 1))
            return torch.where(mask, tensor, others[name])

        return self._map(choose)

    def restart(self, segment_B: PerRow) -> Self:
        """This state with the rows that enter another document forgetting the one before."""
        fresh = self._map(lambda _, tensor: torch.zeros_like(tensor))
        kept = replace(fresh, length_B=self.length_B, segment_B=segment_B)
        return self.where(self.segment_B == segment_B, kept)

    def remember(self, states: list[Self], undo: int) -> Self:
        """This state, with what rewinding up to ``undo`` of the given states' steps needs.

        Args:
            states: the states before the first step and after each one; in a row that stood still
                a step repeats the state before it.
            undo: how many positions back a later ``rewind`` may go.
        """
        consumed_B = self.length_B - states[0].length_B
        back_N = torch.arange(undo + 1, device=consumed_B.device)
        step_NB = (consumed_B - back_N[:, None]).clamp(min=0)
        rows_B = torch.arange(consumed_B.shape[0], device=consumed_B.device)
        steps = [state._tensors() for state in states]
        past = {name: torch.stack([s[name] for s in steps])[step_NB, rows_B] for name in steps[0]}
        return replace(self, past=past)

    def rewind(self, count_B: PerRow) -> Self:
        """The state as it was ``count_B`` positions ago, row by row.

        Raises:
            ValueError: the call that made this state was not asked to keep its past.
        """
        if self.past is None:
            raise ValueError(
                "this recurrent state keeps no past to rewind to; "
                "expected one made by forward(..., undo=n) with n >= the count"
            )
        past, rows_B = self.past, torch.arange(count_B.shape[0], device=count_B.device)
        earlier = self._map(lambda name, _: past[name][count_B, rows_B])
        return replace(earlier, past=None)

    @property
    def nbytes(self) -> int:
        """Bytes held by the state's tensors, its kept past included."""
        return super().nbytes + sum(t.nbytes for t in (self.past or {}).values())

    def _map(self, change: Callable[[str, Tensor], Tensor]) -> Self:
        # Any change but a rewind leaves the kept past behind: it belongs to one call.
        return replace(super()._map(change), past=None)


@dataclass(frozen=True)
class CellState(RecurrentState):
    """The state of an LSTM: hidden vector and cell."""

    cell_BD: Tensor


@dataclass(frozen=True)
class ScanState(RecurrentState):
    """The state of a linear recurrence that is scanned in chunks.

    Beside the hidden vector it carries where the chunk stands, so that single steps round exactly
    as the scan does: the product and the offset of the steps since the chunk began, the hidden
    vector at its beginning, and how many steps that was.
    """

    product_BD: Tensor
    offset_BD: Tensor
    carry_BD: Tensor
    count_B: Tensor
