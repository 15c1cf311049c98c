"""Which positions of a batch are real, where they stand, and what they may attend to.

Padding is to the right only. ``None`` states a fact about structure (every row full; one segment a
row), so that no form ever branches on data to find it out. In every mask True means keep.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from phalanx.shapes import Mask, PerPosition, PerRow, Sequence


@dataclass(frozen=True)
class Rows:
    """The rows of a batch.

    Args:
        positions_BT: int64, position of each token in its own sequence.
        lengths_B: int64, number of real positions in each row; None when every row is full.
        segments_BT: int64, the number of the packed document that each position belongs to,
            ascending along a row; None when each row is one document.

    Raises:
        ValueError: a tensor of the wrong rank or dtype.
    """

    positions_BT: PerPosition
    lengths_B: PerRow | None = None
    segments_BT: PerPosition | None = None

    def __post_init__(self) -> None:
        for name, rank in (("positions_BT", 2), ("lengths_B", 1), ("segments_BT", 2)):
            tensor = getattr(self, name)
            if tensor is not None and (tensor.dim() != rank or tensor.dtype != torch.int64):
                raise ValueError(
                    f"Rows.{name} is {tensor.dtype} of rank {tensor.dim()}; "
                    f"expected torch.int64 of rank {rank}"
                )

    @classmethod
    def full(
        cls,
        batch: int,
        length: int,
        device: torch.device | str | None = None,
        start_B: PerRow | None = None,
    ) -> "Rows":
        """Rows without padding, each ``length`` positions from ``start_B`` (0 where None)."""
        return cls(_positions(batch, length, device, start_B))

    @classmethod
    def padded(cls, lengths_B: PerRow, length: int, start_B: PerRow | None = None) -> "Rows":
        """Rows of ``lengths_B`` real positions each, padded to the right to ``length``."""
        positions_BT = _positions(lengths_B.shape[0], length, lengths_B.device, start_B)
        keep_BT = torch.arange(length, device=lengths_B.device) < lengths_B[:, None]
        # Padding stands at position 0: counted on, it might leave the table of positions.
        return cls(torch.where(keep_BT, positions_BT, 0), lengths_B)

    @classmethod
    def packed(cls, segments_BT: PerPosition, lengths_B: PerRow | None = None) -> "Rows":
        """Rows of packed documents: positions begin again where the segment changes."""
        slots_T = torch.arange(segments_BT.shape[1], device=segments_BT.device)
        begins_BT = torch.ones_like(segments_BT, dtype=torch.bool)
        begins_BT[:, 1:] = segments_BT[:, 1:] != segments_BT[:, :-1]
        positions_BT = slots_T - torch.where(begins_BT, slots_T, 0).cummax(1).values
        if lengths_B is not None:
            positions_BT = torch.where(slots_T < lengths_B[:, None], positions_BT, 0)
        return cls(positions_BT, lengths_B, segments_BT)

    @property
    def keep_BT(self) -> PerPosition | None:
        """True at real positions; None when all of them are real."""
        if self.lengths_B is None:
            return None
        slots_T = torch.arange(self.positions_BT.shape[1], device=self.positions_BT.device)
        return slots_T < self.lengths_B[:, None]

    def consumed_B(self) -> PerRow:
        """Number of real positions in each row."""
        if self.lengths_B is not None:
            return self.lengths_B
        batch, length = self.positions_BT.shape
        return self.positions_BT.new_full((batch,), length)

    def zero_padding(self, x_BTD: Sequence) -> Sequence:
        """Replace padding by zeros, whatever stands there: NaN times a zero mask stays NaN."""
        keep_BT = self.keep_BT
        return x_BTD if keep_BT is None else torch.where(keep_BT[..., None], x_BTD, 0)


SourceRows = Annotated[Rows, "B S"]
"""Rows of a sequence that another one reads: their axis is S, not T."""


def _positions(
    batch: int, length: int, device: torch.device | str | None, start_B: PerRow | None
) -> PerPosition:
    slots_T = torch.arange(length, device=device)
    if start_B is None:
        return slots_T.expand(batch, length)
    return start_B[:, None] + slots_T


def attention_mask(
    query_slots_BT: Tensor,
    key_slots_BS: Tensor,
    *,
    causal: bool,
    window: int | None = None,
    key_lengths_B: PerRow | None = None,
    query_segments_BT: PerPosition | None = None,
    key_segments_BS: Tensor | None = None,
) -> Mask:
    """Mask of the keys that each query may see, True = keep; batch axes may be 1.

    A slot is a place in the row's order, whatever position it is embedded at. ``window`` keeps keys
    fewer than ``window`` slots away; ``key_lengths_B`` keeps the filled slots; segments keep a
    query within its own document.
    """
    distance_BTS = query_slots_BT[:, :, None] - key_slots_BS[:, None, :]
    mask_BTS = distance_BTS >= 0 if causal else torch.ones_like(distance_BTS, dtype=torch.bool)
    if window is not None:
        mask_BTS = mask_BTS & (distance_BTS.abs() < window)
    if key_lengths_B is not None:
        mask_BTS = mask_BTS & (key_slots_BS < key_lengths_B[:, None])[:, None, :]
    if query_segments_BT is not None and key_segments_BS is not None:
        mask_BTS = mask_BTS & (query_segments_BT[:, :, None] == key_segments_BS[:, None, :])
    return mask_BTS
