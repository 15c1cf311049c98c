"""Attention from one sequence to another, remembered once (Vaswani et al. 2017, section 3.2.3)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phalanx.mixers.base import CausalMixer
from phalanx.rows import Rows, attention_mask
from phalanx.schedules import attend
from phalanx.shapes import Column, Mask, PerRow, Sequence
from phalanx.states import State, TensorState


@dataclass(frozen=True)
class MemoryState(TensorState):
    """Keys and values of the sequence attended to; ``length_B`` is how much of it is real."""

    keys_BHSK: Tensor
    values_BHSK: Tensor

    def rewind(self, count_B: PerRow) -> "MemoryState":
        """The same memory: it does not grow with the positions that read it."""
        return self


class CrossAttention(CausalMixer):
    """Each position of one sequence attends to every real position of another.

    It is a causal mixer of the sequence that reads: no position depends on another. Its state is
    what is read (``remember``), and no call changes it.
    """

    schedules = ("reference", "sdpa")

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        head_width: int | None = None,
        bias: bool = True,
        schedule: str = "sdpa",
    ) -> None:
        super().__init__()
        if head_width is None and width % heads:
            raise ValueError(f"width {width} must be a multiple of heads {heads}")
        self.head_width = head_width or width // heads
        inner = heads * self.head_width
        self.query = nn.Linear(width, inner, bias=bias)
        self.key_value = nn.Linear(width, 2 * inner, bias=bias)
        self.output = nn.Linear(inner, width, bias=bias)
        self.use_schedule(schedule)
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Glorot weights as in torch.nn.MultiheadAttention, biases zero."""
        keys_and_values = self.key_value.weight.data.chunk(2)
        for matrix in (self.query.weight, *keys_and_values, self.output.weight):
            nn.init.xavier_uniform_(matrix, generator=generator)
        for linear in (self.query, self.key_value, self.output):
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
        self, x_BTD: Sequence, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Sequence, State | None]:
        """All positions of ``x_BTD`` against the memory, which is returned unchanged."""
        assert isinstance(state, MemoryState)
        x_BTD = rows.zero_padding(x_BTD)
        schedule: Callable[..., Tensor] = attend.SCHEDULES[self.schedule]
        mixed_BHTK = schedule(
            self._heads(self.query(x_BTD)),
            state.keys_BHSK,
            state.values_BHSK,
            _mask(state, x_BTD.shape[1]),
            False,
        )
        y_BTD = self._answer(mixed_BHTK.transpose(1, 2).flatten(2), x_BTD)
        return rows.zero_padding(y_BTD), state

    def step(
        self, x_BD: Column, state: State, active_B: PerRow | None = None
    ) -> tuple[Column, State]:
        """One position of each active row against the memory (see CausalMixer.step)."""
        lengths_B = None if active_B is None else active_B.long()
        rows = Rows(torch.zeros_like(state.length_B)[:, None], lengths_B)
        y_B1D, _ = self.forward(x_BD[:, None], rows, state)
        return y_B1D[:, 0], state

    def empty_state(self, batch: int, capacity: int, like: Tensor) -> MemoryState:
        """A memory of nothing: all that is read of it is zero."""
        nothing_BSD = like.new_zeros(batch, 0, self.query.in_features)
        return self.remember(nothing_BSD, Rows.full(batch, 0, like.device))

    def weights(self, x_BTD: Sequence, rows: Rows, state: MemoryState) -> Tensor:
        """How much each position (B, H, T, S) attends to each of the memory: 0 at padding of
        either, and 1 in sum over the memory elsewhere."""
        x_BTD = rows.zero_padding(x_BTD)
        mask_BTS = _mask(state, x_BTD.shape[1])
        if rows.keep_BT is not None:
            mask_BTS = mask_BTS & rows.keep_BT[..., None]
        usable_BTS, _ = attend.usable(mask_BTS)
        query_BHTK = self._heads(self.query(x_BTD))
        weights_BHTS = attend.weights(query_BHTK, state.keys_BHSK, usable_BTS, False)
        return torch.where(mask_BTS[:, None], weights_BHTS, 0)

    def _answer(self, mixed_BTD: Tensor, x_BTD: Sequence) -> Tensor:
        answer_BTD: Tensor = self.output(mixed_BTD)
        return answer_BTD

    def _heads(self, x_BTD: Sequence) -> Tensor:
        x_BHTK: Tensor = x_BTD.unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        return x_BHTK


class LuongAttention(CrossAttention):
    """tanh(W [c; h]): what position h read from the memory, joined with it (Luong et al. 2015,
    equation 5); the scores are ``general`` ones, h W s, in any number of heads."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        head_width: int | None = None,
        bias: bool = True,
        schedule: str = "sdpa",
    ) -> None:
        super().__init__(width, heads, head_width=head_width, bias=bias, schedule=schedule)
        self.output = nn.Linear(self.query.out_features + width, width, bias=bias)
        self.init_weights()

    def _answer(self, mixed_BTD: Tensor, x_BTD: Sequence) -> Tensor:
        return torch.tanh(self.output(torch.cat([mixed_BTD, x_BTD], -1)))


def _mask(state: MemoryState, length: int) -> Mask:
    slots_1S = torch.arange(state.keys_BHSK.shape[2], device=state.keys_BHSK.device)[None]
    mask_B1S = attention_mask(
        slots_1S.new_zeros(1, 1), slots_1S, causal=False, key_lengths_B=state.length_B
    )
    return mask_B1S.expand(-1, length, -1)
