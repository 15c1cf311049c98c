"""Multi-head self-attention (Vaswani et al. 2017), with grouped queries (Ainslie et al. 2023)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.config import RotaryScaling
from phalanx.mixers.base import CausalMixer, Mixer
from phalanx.mixers.rotary import angles, turn
from phalanx.rows import Rows, attention_mask
from phalanx.schedules import attend
from phalanx.shapes import Column, Mask, PerPosition, PerRow, Sequence
from phalanx.states import KeyValueState, State


class HeadNorm(nn.Module):
    """Root-mean-square norm of each head's queries or keys, with a learned scale."""

    def __init__(self, head_width: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_width))
        self.epsilon = epsilon

    def forward(self, x_BHTK: Tensor) -> Tensor:
        """Normalize the last axis; same shape."""
        # Autocast lowers x alone, and the kernel takes one dtype; it computes in fp32 inside.
        return F.rms_norm(x_BHTK, (x_BHTK.shape[-1],), self.weight.to(x_BHTK.dtype), self.epsilon)


class _Attention(Mixer):
    """What causal and bidirectional attention share: projections, heads, positions.

    Args:
        width: of the vectors that come in and go out.
        heads: heads of queries.
        key_value_heads: heads of keys and values, each shared by as many query heads; None: as many
            as of queries.
        head_width: of each head; None: width / heads.
        window: positions that each sees, itself among them; None: all.
        rotary: whether positions turn queries and keys, and ``rotary_base`` and ``rotary_scaling``
            how fast (see ``mixers.rotary``).
        query_key_norm: whether queries and keys are normalized, with ``norm_epsilon``.
        bias: whether queries, keys, values and output have one; ``output_bias`` (None: the same)
            says it of the output alone.
        schedule: see ``schedules.attend``.

    Raises:
        ValueError: heads that do not fit the width or one another.
    """

    schedules = ("reference", "sdpa")
    causal: bool

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        key_value_heads: int | None = None,
        head_width: int | None = None,
        window: int | None = None,
        rotary: bool = False,
        rotary_base: float = 10_000.0,
        rotary_scaling: RotaryScaling | None = None,
        query_key_norm: bool = False,
        norm_epsilon: float = 1e-6,
        bias: bool = True,
        output_bias: bool | None = None,
        schedule: str = "sdpa",
    ) -> None:
        super().__init__()
        groups = key_value_heads or heads
        if (head_width is None and width % heads) or heads % groups:
            raise ValueError(
                f"width {width} must be a multiple of heads {heads}, "
                f"and heads of key_value_heads {groups}"
            )
        self.head_width = head_width or width // heads
        self.window = window
        self.query = nn.Linear(width, heads * self.head_width, bias=bias)
        self.key_value = nn.Linear(width, 2 * groups * self.head_width, bias=bias)
        self.output = nn.Linear(
            heads * self.head_width, width, bias=bias if output_bias is None else output_bias
        )
        if rotary and self.head_width % 2:
            raise ValueError(
                f"rotary positions need an even head width; given {self.head_width} "
                f"(width {width} over {heads} heads)"
            )
        self.rotary, self.rotary_base, self.rotary_scaling = rotary, rotary_base, rotary_scaling
        self.query_norm = HeadNorm(self.head_width, norm_epsilon) if query_key_norm else None
        self.key_norm = HeadNorm(self.head_width, norm_epsilon) if query_key_norm else None
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
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                nn.init.ones_(norm.weight)

    def stacked_matrices(self) -> dict[torch.Tensor, int]:
        """Keys and values."""
        return {self.key_value.weight: 2}

    def forward(
        self, x_BTD: Sequence, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Sequence, State | None]:
        """All positions (see Mixer.forward)."""
        x_BTD = rows.zero_padding(x_BTD)
        query_BHTK, key_BHTK, value_BHTK = self._project(x_BTD, rows.positions_BT)
        if state is None:
            mask_BTS, after = self._own_mask(rows), None
        else:
            assert isinstance(state, KeyValueState)
            after, slots_BT = state.append(key_BHTK, value_BHTK, rows.keep_BT, rows.segments_BT)
            key_BHTK, value_BHTK = after.keys_BHSK, after.values_BHSK
            mask_BTS = self._cached_mask(slots_BT, after, rows)
        mixed_BHTK = self._attend(query_BHTK, key_BHTK, value_BHTK, mask_BTS)
        y_BTD = self.output(mixed_BHTK.transpose(1, 2).flatten(2))
        return rows.zero_padding(y_BTD), after

    def _project(self, x_BTD: Sequence, positions_BT: PerPosition) -> tuple[Tensor, Tensor, Tensor]:
        # Head counts come from the shapes of the weights, so that they may be split over devices.
        query_BHTK = self.query(x_BTD).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        pair_BHTK = self.key_value(x_BTD).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        key_BHTK, value_BHTK = pair_BHTK.chunk(2, 1)
        if self.query_norm is not None and self.key_norm is not None:
            query_BHTK, key_BHTK = self.query_norm(query_BHTK), self.key_norm(key_BHTK)
        if self.rotary:
            cos, sin = angles(
                positions_BT, self.head_width, query_BHTK, self.rotary_base, self.rotary_scaling
            )
            query_BHTK, key_BHTK = turn(query_BHTK, cos, sin), turn(key_BHTK, cos, sin)
        return query_BHTK, key_BHTK, value_BHTK

    def _own_mask(self, rows: Rows) -> Mask | None:
        """Mask among the rows' own positions; None where ``causal`` alone says it all."""
        # Right padding lies in the future of every real position: causality hides it already.
        padded = rows.lengths_B is not None and not self.causal
        if not padded and self.window is None and rows.segments_BT is None:
            return None
        slots_1T = torch.arange(rows.positions_BT.shape[1], device=rows.positions_BT.device)[None]
        return attention_mask(
            slots_1T,
            slots_1T,
            causal=self.causal,
            window=self.window,
            key_lengths_B=rows.lengths_B if padded else None,
            query_segments_BT=rows.segments_BT,
            key_segments_BS=rows.segments_BT,
        )

    def _cached_mask(self, slots_BT: Tensor, state: KeyValueState, rows: Rows) -> Mask:
        # Every slot up to a query's own is filled: causality hides the empty ones.
        slots_1S = torch.arange(state.keys_BHSK.shape[2], device=slots_BT.device)[None]
        return attention_mask(
            slots_BT,
            slots_1S,
            causal=True,
            window=self.window,
            query_segments_BT=state.segments_BS.gather(1, slots_BT.clamp(max=state.capacity)),
            key_segments_BS=state.segments_BS,
        )

    def _attend(
        self, query_BHTK: Tensor, key_BHSK: Tensor, value_BHSK: Tensor, mask_BTS: Mask | None
    ) -> Tensor:
        repeats = query_BHTK.shape[1] // key_BHSK.shape[1]
        if repeats > 1:
            key_BHSK = key_BHSK.repeat_interleave(repeats, 1)
            value_BHSK = value_BHSK.repeat_interleave(repeats, 1)
        schedule: Callable[..., Tensor] = attend.SCHEDULES[self.schedule]
        return schedule(query_BHTK, key_BHSK, value_BHSK, mask_BTS, self.causal)


class Attention(_Attention, CausalMixer):
    """Causal self-attention: each position sees itself and the ``window`` - 1 before it (all of
    them where ``window`` is None)."""

    causal = True

    def step(
        self, x_BD: Column, state: State, active_B: PerRow | None = None
    ) -> tuple[Column, State]:
        """One position against the cached keys (see CausalMixer.step)."""
        lengths_B = None if active_B is None else active_B.long()
        rows = Rows(state.length_B[:, None], lengths_B)
        y_B1D, after = self.forward(x_BD[:, None], rows, state)
        assert after is not None
        return y_B1D[:, 0], after

    def empty_state(self, batch: int, capacity: int, like: Tensor) -> KeyValueState:
        """An empty cache (see CausalMixer.empty_state)."""
        groups = self.key_value.out_features // (2 * self.head_width)
        keys_BHSK = like.new_zeros(batch, groups, capacity + 1, self.head_width)
        lengths_B = torch.zeros(batch, dtype=torch.int64, device=like.device)
        segments_BS = lengths_B.new_zeros(batch, capacity + 1)
        return KeyValueState(lengths_B, keys_BHSK, torch.zeros_like(keys_BHSK), segments_BS)


class BidirectionalAttention(_Attention):
    """Self-attention in which each position sees every other, or those within the window."""

    causal = False
