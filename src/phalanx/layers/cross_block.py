"""A decoder layer that also attends to a memory: a block, and a second one that reads."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from phalanx.layers.block import Block
from phalanx.mixers.base import CausalMixer
from phalanx.mixers.cross_attention import CrossAttention, MemoryState
from phalanx.rows import Rows
from phalanx.shapes import Column, Index, PerRow, Sequence
from phalanx.states import State


@dataclass(frozen=True)
class CrossState:
    """What a layer carries: its own past, and the memory it reads."""

    own: State
    memory: MemoryState

    @property
    def length_B(self) -> PerRow:
        """Positions that each row has consumed."""
        return self.own.length_B

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.own.nbytes + self.memory.nbytes

    def select(self, rows_N: Index) -> "CrossState":
        """The state of the given rows, in that order."""
        return CrossState(self.own.select(rows_N), self.memory.select(rows_N))

    def put(self, slots_N: Index, other: "CrossState") -> "CrossState":
        """This state with row n of ``other`` in place of row ``slots_N[n]``."""
        return CrossState(self.own.put(slots_N, other.own), self.memory.put(slots_N, other.memory))

    def rewind(self, count_B: PerRow) -> "CrossState":
        """The state as it was ``count_B`` positions ago, row by row."""
        return replace(self, own=self.own.rewind(count_B))


class CrossBlock(nn.Module):
    """A causal mixer, cross-attention and a feed-forward network, joined as the two blocks join
    theirs: with post-norms this is the decoder layer of Vaswani et al. 2017.

    Args:
        own: a block around a causal mixer, without a feed-forward network.
        reading: a block around cross-attention, with the layer's feed-forward network.
    """

    def __init__(self, own: Block, reading: Block) -> None:
        super().__init__()
        self.own = own
        self.reading = reading

    @property
    def cross(self) -> CrossAttention:
        """The attention to the memory."""
        assert isinstance(self.reading.mixer, CrossAttention)
        return self.reading.mixer

    def forward(
        self,
        x_BTD: Sequence,
        rows: Rows,
        memory: MemoryState,
        state: State | None = None,
        *,
        undo: int = 0,
    ) -> tuple[Sequence, State | None]:
        """All positions against ``cross.remember(...)``; the state is that of the own past."""
        x_BTD, after = self.own(x_BTD, rows, state, undo=undo)
        return self.reading(x_BTD, rows, memory)[0], after

    def step(
        self, x_BD: Column, state: CrossState, active_B: PerRow | None = None
    ) -> tuple[Column, CrossState]:
        """One position; arguments and results as CausalMixer.step."""
        x_BD, own = self.own.step(x_BD, state.own, active_B)
        y_BD, _ = self.reading.step(x_BD, state.memory, active_B)
        assert own is not None
        return y_BD, CrossState(own, state.memory)

    def empty_state(self, memory: MemoryState, capacity: int, like: torch.Tensor) -> CrossState:
        """The state before the first position, reading ``memory``."""
        mixer = self.own.mixer
        assert isinstance(mixer, CausalMixer)
        return CrossState(mixer.empty_state(memory.length_B.shape[0], capacity, like), memory)
