"""The minimal GRU (Feng et al. 2024): gates that read the input alone, so a scan can train it.

h_t = (1 - z_t) h_{t-1} + z_t g_t with z_t = sigmoid(W_z x_t), g_t = W_g x_t: linear in h.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from phalanx.mixers.recurrent import RecurrentMixer
from phalanx.rows import Rows
from phalanx.schedules.scan import Replay, advance, scan, scan_from
from phalanx.shapes import Column, Sequence
from phalanx.states import ScanState


class MinGRU(RecurrentMixer[ScanState]):
    """A minimal GRU of ``inner`` hidden units, projected back to the width of the model."""

    schedules = ("serial", "scan")

    def __init__(
        self, width: int, inner: int | None = None, chunk: int = 16, schedule: str = "scan"
    ) -> None:
        super().__init__()
        self.inner = inner or width
        self.chunk = chunk
        self.input = nn.Linear(width, 2 * self.inner)
        self.output = nn.Linear(self.inner, width, bias=False)
        self.use_schedule(schedule)
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Glorot weights; update gates from open to nearly shut, so that the units begin by
        remembering from 1 to 20 positions, evenly spread."""
        for part in self.input.weight.data.chunk(2):
            nn.init.xavier_uniform_(part, generator=generator)
        nn.init.xavier_uniform_(self.output.weight, generator=generator)
        gates, candidates = self.input.bias.data.chunk(2)
        gates.copy_(torch.linspace(1.0, -3.0, self.inner, device=gates.device))
        nn.init.zeros_(candidates)

    def stacked_matrices(self) -> dict[torch.Tensor, int]:
        """Gate and candidate."""
        return {self.input.weight: 2}

    def advance(self, x_BD: Column, state: ScanState) -> tuple[Column, ScanState]:
        """One step of the recurrence."""
        a_BD, b_BD = self._coefficients(x_BD)
        h_BD, replay = advance(a_BD, b_BD, _replay(state), self.chunk)
        return self.output(h_BD), _continue(state, replay, state.length_B + 1)

    def whole(
        self, x_BTD: Sequence, rows: Rows, state: ScanState | None
    ) -> tuple[Sequence, ScanState | None]:
        """All positions by the chunked scan."""
        a_BTD, b_BTD = self._coefficients(x_BTD)
        if rows.segments_BT is not None:
            # A new document forgets: its first step multiplies what came before by zero.
            first_B = rows.segments_BT[:, 0] if state is None else state.segment_B
            before_BT = torch.cat([first_B[:, None], rows.segments_BT[:, :-1]], 1)
            a_BTD = torch.where((rows.segments_BT != before_BT)[..., None], 0, a_BTD)
        keep_BT = rows.keep_BT
        if keep_BT is not None:
            a_BTD = torch.where(keep_BT[..., None], a_BTD, 1)
            b_BTD = torch.where(keep_BT[..., None], b_BTD, 0)
        if state is None:
            return self.output(scan(a_BTD, b_BTD, self.chunk)), None
        consumed_B = rows.consumed_B()
        h_BTD, replay = scan_from(a_BTD, b_BTD, _replay(state), consumed_B, self.chunk)
        after = _continue(state, replay, state.length_B + consumed_B)
        if rows.segments_BT is not None:
            last_B = (consumed_B - 1).clamp(min=0)[:, None]
            entered_B = rows.segments_BT.gather(1, last_B)[:, 0]
            after = replace(
                after, segment_B=torch.where(consumed_B > 0, entered_B, state.segment_B)
            )
        return self.output(h_BTD), after

    def _coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gate, candidate = self.input(x).chunk(2, -1)
        update = torch.sigmoid(gate)
        return 1 - update, update * candidate

    def empty_state(self, batch: int, capacity: int, like: Tensor) -> ScanState:
        """The zero state, at the beginning of a chunk (see CausalMixer.empty_state)."""
        count_B = torch.zeros(batch, dtype=torch.int64, device=like.device)
        fresh = Replay.begin(like.new_zeros(batch, self.inner))
        hidden_BD, product_BD, offset_BD, carry_BD, steps_B = fresh
        return ScanState(
            count_B, count_B.clone(), hidden_BD, product_BD, offset_BD, carry_BD.clone(), steps_B
        )


def _replay(state: ScanState) -> Replay:
    return Replay(state.hidden_BD, state.product_BD, state.offset_BD, state.carry_BD, state.count_B)


def _continue(state: ScanState, replay: Replay, length_B: Tensor) -> ScanState:
    return replace(
        state,
        length_B=length_B,
        hidden_BD=replay.hidden_BD,
        product_BD=replay.product_BD,
        offset_BD=replay.offset_BD,
        carry_BD=replay.carry_BD,
        count_B=replay.count_B,
        past=None,
    )
