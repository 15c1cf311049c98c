"""Attention from one sequence to another, remembered once (Vaswani et al. 2017, section 3.2.3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phalanx.rows import Rows, attention_mask
from phalanx.schedules import attend
from phalanx.shapes import Column, PerRow, Sequence
from phalanx.states import TensorState


@dataclass(frozen=True)
class MemoryState(TensorState):
    """Keys and values of the sequence attended to; ``length_B`` is how much of it is real."""

    keys_BHSK: Tensor
    values_BHSK: Tensor

    def rewind(self, count_B: PerRow) -> "MemoryState":
        """The same memory: it does not grow with the positions that read it."""
        return self


class CrossAttention(nn.Module):
    """Each position of one sequence attends to every real position of another."""

    schedules = attend.SCHEDULES

    def __init__(
        self, width: int, heads: int, *, bias: bool = True, schedule: str = "sdpa"
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} must be a multiple of heads {heads}")
        self.head_width = width // heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key_value = nn.Linear(width, 2 * width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)
        self.schedule = schedule
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Glorot weights as in torch.nn.MultiheadAttention, biases zero."""
        for linear in (self.query, self.key_value, self.output):
            for part in linear.weight.data.split(self.output.in_features):
                nn.init.xavier_uniform_(part, generator=generator)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def stacked_matrices(self) -> dict[torch.Tensor, int]:
        """Keys and values (see Mixer.stacked_matrices)."""
        return {self.key_value.weight: 2}

    def remember(self, memory_BSD: Sequence, rows: Rows) -> MemoryState:
        """Keys and values of the sequence to attend to, computed once."""
        pair_BHSK = self._heads(self.key_value(rows.zero_padding(memory_BSD)))
        keys_BHSK, values_BHSK = pair_BHSK.chunk(2, 1)
        return MemoryState(rows.consumed_B(), keys_BHSK, values_BHSK)

    def forward(
        self, x_BTD: Sequence, rows: Rows, state: MemoryState
    ) -> tuple[Sequence, MemoryState]:
        """All positions of ``x_BTD`` against the memory; the state is returned unchanged."""
        query_BHTK = self._heads(self.query(rows.zero_padding(x_BTD)))
        slots_1S = torch.arange(state.keys_BHSK.shape[2], device=x_BTD.device)[None]
        mask_B1S = attention_mask(
            slots_1S.new_zeros(1, 1), slots_1S, causal=False, key_lengths_B=state.length_B
        )
        mask_BTS = mask_B1S.expand(-1, x_BTD.shape[1], -1)
        schedule = self.schedules[self.schedule]
        mixed_BHTK = schedule(query_BHTK, state.keys_BHSK, state.values_BHSK, mask_BTS, False)
        return rows.zero_padding(self.output(mixed_BHTK.transpose(1, 2).flatten(2))), state

    def step(
        self, x_BD: Column, state: MemoryState, active_B: PerRow | None = None
    ) -> tuple[Column, MemoryState]:
        """One position of each active row against the memory."""
        lengths_B = None if active_B is None else active_B.long()
        rows = Rows(torch.zeros_like(state.length_B)[:, None], lengths_B)
        y_B1D, _ = self(x_BD[:, None], rows, state)
        return y_B1D[:, 0], state

    def _heads(self, x_BTD: Sequence) -> Tensor:
        x_BHTK: Tensor = x_BTD.unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        return x_BHTK
