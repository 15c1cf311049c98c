"""The recurrent layer of Elman 1990: h_t = tanh(W x_t + b + U h_{t-1} + c), or relu."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.mixers.recurrent import GatedCell, last_output
from phalanx.rows import Rows
from phalanx.schedules import hoist, recur
from phalanx.shapes import Column, Sequence
from phalanx.states import RecurrentState

_NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu}


class RNN(GatedCell[RecurrentState]):
    """A tanh or relu recurrent layer with the weights of ``torch.nn.RNN``."""

    schedules = ("serial", "fused", "hoisted")
    gates = 1

    def __init__(self, width: int, nonlinearity: str = "tanh", schedule: str = "hoisted") -> None:
        super().__init__(width, schedule)
        self.nonlinearity = nonlinearity

    def advance(self, x_BD: Column, state: RecurrentState) -> tuple[Column, RecurrentState]:
        """One step of the recurrence."""
        input_BD = F.linear(x_BD, self.weight_ih_l0, self.bias_ih_l0)
        memory_BD = F.linear(state.hidden_BD, self.weight_hh_l0, self.bias_hh_l0)
        h_BD = _NONLINEARITIES[self.nonlinearity](input_BD + memory_BD)
        return h_BD, replace(state, length_B=state.length_B + 1, hidden_BD=h_BD, past=None)

    def whole(
        self, x_BTD: Sequence, rows: Rows, state: RecurrentState | None
    ) -> tuple[Sequence, RecurrentState | None]:
        """All positions by torch's kernel, or with all but the chain taken out of the loop."""
        start = state or self.empty_state(x_BTD.shape[0], 0, x_BTD)
        schedule = {"fused": recur.fused_rnn, "hoisted": hoist.rnn}[self.schedule]
        y_BTD = schedule(self.nonlinearity, x_BTD, start.hidden_BD, self.weights)
        if state is None:
            return y_BTD, None
        return y_BTD, continue_from(state, y_BTD, rows)

    def empty_state(self, batch: int, capacity: int, like: Tensor) -> RecurrentState:
        """The zero state (see CausalMixer.empty_state)."""
        return empty_hidden(batch, self.width, like)


def empty_hidden(batch: int, width: int, like: Tensor) -> RecurrentState:
    """A state of one zero vector a row."""
    count_B = torch.zeros(batch, dtype=torch.int64, device=like.device)
    return RecurrentState(count_B, count_B.clone(), like.new_zeros(batch, width))


def continue_from(state: RecurrentState, y_BTD: Sequence, rows: Rows) -> RecurrentState:
    """The state after outputs that are hidden vectors themselves."""
    return replace(
        state,
        length_B=state.length_B + rows.consumed_B(),
        hidden_BD=last_output(y_BTD, rows, state.hidden_BD),
        past=None,
    )
