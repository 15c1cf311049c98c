"""The gated recurrent unit (Cho et al. 2014), in the form of torch.nn.GRU."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.mixers.recurrent import GatedCell
from phalanx.mixers.rnn import continue_from, empty_hidden
from phalanx.rows import Rows
from phalanx.schedules import hoist, recur
from phalanx.shapes import Column, Sequence
from phalanx.states import RecurrentState


class GRU(GatedCell[RecurrentState]):
    """A GRU layer with the weights of ``torch.nn.GRU``: gates reset, update, new."""

    schedules = ("serial", "fused", "hoisted")
    gates = 3

    def __init__(self, width: int, schedule: str = "hoisted") -> None:
        super().__init__(width, schedule)

    def advance(self, x_BD: Column, state: RecurrentState) -> tuple[Column, RecurrentState]:
        """One step of the recurrence."""
        input_BG = F.linear(x_BD, self.weight_ih_l0, self.bias_ih_l0)
        memory_BG = F.linear(state.hidden_BD, self.weight_hh_l0, self.bias_hh_l0)
        input_reset_BD, input_update_BD, input_new_BD = input_BG.chunk(3, -1)
        memory_reset_BD, memory_update_BD, memory_new_BD = memory_BG.chunk(3, -1)
        reset_BD = torch.sigmoid(input_reset_BD + memory_reset_BD)
        update_BD = torch.sigmoid(input_update_BD + memory_update_BD)
        new_BD = torch.tanh(input_new_BD + reset_BD * memory_new_BD)
        h_BD = (1 - update_BD) * new_BD + update_BD * state.hidden_BD
        return h_BD, replace(state, length_B=state.length_B + 1, hidden_BD=h_BD, past=None)

    def whole(
        self, x_BTD: Sequence, rows: Rows, state: RecurrentState | None
    ) -> tuple[Sequence, RecurrentState | None]:
        """All positions by torch's kernel, or with all but the chain taken out of the loop."""
        start = state or self.empty_state(x_BTD.shape[0], 0, x_BTD)
        schedule = {"fused": recur.fused_gru, "hoisted": hoist.gru}[self.schedule]
        y_BTD = schedule(x_BTD, start.hidden_BD, self.weights)
        if state is None:
            return y_BTD, None
        return y_BTD, continue_from(state, y_BTD, rows)

    def empty_state(self, batch: int, capacity: int, like: Tensor) -> RecurrentState:
        """The zero state (see CausalMixer.empty_state)."""
        return empty_hidden(batch, self.width, like)
