"""The decoder layer of the 2017 Transformer, which also attends to a memory."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from phalanx.layers.feed_forward import FeedForward
from phalanx.mixers.attention import Attention
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


class PostNormCrossBlock(nn.Module):
    """norm(x + self-attention), norm(x + cross-attention), norm(x + feed-forward)."""

    def __init__(self, width: int, heads: int, inner: int, activation: str = "relu") -> None:
        super().__init__()
        self.mixer = Attention(width, heads)
        self.cross = CrossAttention(width, heads)
        self.feed_forward = FeedForward(width, inner, activation)
        self.mixer_norm = nn.LayerNorm(width)
        self.cross_norm = nn.LayerNorm(width)
        self.feed_forward_norm = nn.LayerNorm(width)

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
        mixed_BTD, after = self.mixer(x_BTD, rows, state, undo=undo)
        x_BTD = self.mixer_norm(x_BTD + mixed_BTD)
        x_BTD = self.cross_norm(x_BTD + self.cross(x_BTD, rows, memory)[0])
        return self.feed_forward_norm(x_BTD + self.feed_forward(x_BTD)), after

    def step(
        self, x_BD: Column, state: CrossState, active_B: PerRow | None = None
    ) -> tuple[Column, CrossState]:
        """One position; arguments and results as CausalMixer.step."""
        mixed_BD, own = self.mixer.step(x_BD, state.own, active_B)
        x_BD = self.mixer_norm(x_BD + mixed_BD)
        x_BD = self.cross_norm(x_BD + self.cross.step(x_BD, state.memory, active_B)[0])
        y_BD = self.feed_forward_norm(x_BD + self.feed_forward(x_BD))
        return y_BD, CrossState(own, state.memory)

    def empty_state(self, memory: MemoryState, capacity: int, like: torch.Tensor) -> CrossState:
        """The state before the first position, reading ``memory``."""
        return CrossState(self.mixer.empty_state(memory.length_B.shape[0], capacity, like), memory)
