"""Long short-term memory (Hochreiter and Schmidhuber 1997), in the form of torch.nn.LSTM."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.mixers.recurrent import GatedCell, last_output
from phalanx.rows import Rows
from phalanx.schedules import recur
from phalanx.shapes import Column, Sequence
from phalanx.states import CellState

# Far enough that sigmoid(x + SATURATED) is exactly 1, and sigmoid(x - SATURATED) exactly 0.
SATURATED = 1e4


class LSTM(GatedCell[CellState]):
    """An LSTM layer with the weights of ``torch.nn.LSTM``: gates input, forget, cell, output."""

    gates = 4

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """As every cell, with the forget gate open at first (Gers et al. 2000)."""
        super().init_weights(generator)
        nn.init.ones_(self.bias_ih_l0.data[self.width : 2 * self.width])

    def advance(self, x_BD: Column, state: CellState) -> tuple[Column, CellState]:
        """One step of the recurrence."""
        gates_BG = F.linear(x_BD, self.weight_ih_l0, self.bias_ih_l0) + F.linear(
            state.hidden_BD, self.weight_hh_l0, self.bias_hh_l0
        )
        input_BD, forget_BD, new_BD, output_BD = gates_BG.chunk(4, -1)
        kept_BD = torch.sigmoid(forget_BD) * state.cell_BD
        cell_BD = kept_BD + torch.sigmoid(input_BD) * torch.tanh(new_BD)
        h_BD = torch.sigmoid(output_BD) * torch.tanh(cell_BD)
        length_B = state.length_B + 1
        return h_BD, replace(state, length_B=length_B, hidden_BD=h_BD, cell_BD=cell_BD, past=None)

    def whole(
        self, x_BTD: Sequence, rows: Rows, state: CellState | None
    ) -> tuple[Sequence, CellState | None]:
        """All positions by torch's fused kernel."""
        start = state or self.empty_state(x_BTD.shape[0], 0, x_BTD)
        weights, keep_BT = self.weights, rows.keep_BT
        if state is not None and keep_BT is not None:
            x_BTD, weights = self._hold_cell(x_BTD, keep_BT)
        y_BTD, cell_BD = recur.fused_lstm(x_BTD, start.hidden_BD, start.cell_BD, weights)
        if state is None:
            return y_BTD, None
        return y_BTD, replace(
            state,
            length_B=state.length_B + rows.consumed_B(),
            hidden_BD=last_output(y_BTD, rows, state.hidden_BD),
            cell_BD=cell_BD,
            past=None,
        )

    def _hold_cell(self, x_BTD: Sequence, keep_BT: Tensor) -> tuple[Sequence, tuple[Tensor, ...]]:
        # The kernel runs on through the padding and returns the cell at its end. One more input
        # that is 1 at padding shuts the input gate and opens the forget gate: the cell stands
        # still, exactly, and no length has to be known on the host.
        flags_BT1 = (~keep_BT).to(x_BTD.dtype)[..., None]
        column_G = self.bias_ih_l0.new_tensor([-SATURATED, SATURATED, 0.0, 0.0])
        column_G1 = column_G.repeat_interleave(self.width)[:, None]
        weight_ih = torch.cat([self.weight_ih_l0, column_G1], 1)
        return torch.cat([x_BTD, flags_BT1], -1), (weight_ih, *self.weights[1:])

    def empty_state(self, batch: int, capacity: int, like: Tensor) -> CellState:
        """The zero state (see CausalMixer.empty_state)."""
        count_B = torch.zeros(batch, dtype=torch.int64, device=like.device)
        zero_BD = like.new_zeros(batch, self.width)
        return CellState(count_B, count_B.clone(), zero_BD, zero_BD.clone())
