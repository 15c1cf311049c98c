"""What recurrent mixers share: the serial loop, padding, packed documents, and undo."""

from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

import torch
from torch import nn

from phalanx.mixers.base import CausalMixer
from phalanx.rows import Rows
from phalanx.schedules import recur
from phalanx.shapes import Column, PerRow, Sequence
from phalanx.states import RecurrentState, State

S = TypeVar("S", bound=RecurrentState)


class RecurrentMixer(CausalMixer, Generic[S]):
    """A mixer that carries a state from each position to the next.

    A subclass gives the cell (``advance``), the empty state, and ``whole``: all positions by its
    fast schedule, where ``serves`` says that this schedule can take the rows.
    """

    @abstractmethod
    def advance(self, x_BD: Column, state: S) -> tuple[Column, S]:
        """The cell: output and state after one position of every row."""

    @abstractmethod
    def whole(self, x_BTD: Sequence, rows: Rows, state: S | None) -> tuple[Sequence, S | None]:
        """All positions by the fast schedule; ``x_BTD`` is zero at padding already."""

    def serves(self, rows: Rows) -> bool:
        """Whether the fast schedule can take such rows; the serial one takes all."""
        return True

    def step(self, x_BD: Column, state: State, active_B: PerRow | None = None) -> tuple[Column, S]:
        """One position, from the carried state (see CausalMixer.step)."""
        before: S = state  # type: ignore[assignment]  # a mixer is given back its own states
        y_BD, after = self.advance(x_BD, before)
        if active_B is None:
            return y_BD, after
        return torch.where(active_B[:, None], y_BD, 0), after.where(active_B, before)

    def forward(
        self, x_BTD: Sequence, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Sequence, State | None]:
        """All positions (see Mixer.forward)."""
        x_BTD = rows.zero_padding(x_BTD)
        before: S | None = state  # type: ignore[assignment]  # as in step
        # The kernels refuse a call without positions, which the loop answers by doing nothing.
        empty = x_BTD.shape[1] == 0
        if undo or empty or self.schedule == "serial" or not self.serves(rows):
            start: S = before or self.empty_state(x_BTD.shape[0], 0, x_BTD)
            y_BTD, states = recur.serial(self.step, x_BTD, rows, start)
            after = states[-1].remember(states, undo) if undo else states[-1]
            return y_BTD, None if before is None else after
        y_BTD, last = self.whole(x_BTD, rows, before)
        return rows.zero_padding(y_BTD), last

    @abstractmethod
    def empty_state(self, batch: int, capacity: int, like: torch.Tensor) -> S:
        """The state before the first position (see CausalMixer.empty_state)."""


class GatedCell(RecurrentMixer[S]):
    """A cell with the weights of torch.nn's layers, under their names.

    ``weight_ih_l0`` (G D, D), ``weight_hh_l0`` (G D, D) and two biases (G D), where G is the number
    of stacked gates: a ``state_dict`` moves to and from ``torch.nn.RNN``, ``LSTM`` and ``GRU``.
    """

    schedules: ClassVar[tuple[str, ...]] = ("serial", "fused")
    gates: int

    def __init__(self, width: int, schedule: str = "fused") -> None:
        super().__init__()
        self.width = width
        self.weight_ih_l0 = nn.Parameter(torch.empty(self.gates * width, width))
        self.weight_hh_l0 = nn.Parameter(torch.empty(self.gates * width, width))
        self.bias_ih_l0 = nn.Parameter(torch.empty(self.gates * width))
        self.bias_hh_l0 = nn.Parameter(torch.empty(self.gates * width))
        self.use_schedule(schedule)
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Glorot input weights and orthogonal recurrent ones, gate by gate; biases zero."""
        for gate in range(self.gates):
            rows = slice(gate * self.width, (gate + 1) * self.width)
            nn.init.xavier_uniform_(self.weight_ih_l0.data[rows], generator=generator)
            if not self.weight_hh_l0.is_meta:
                nn.init.orthogonal_(self.weight_hh_l0.data[rows], generator=generator)
        nn.init.zeros_(self.bias_ih_l0)
        nn.init.zeros_(self.bias_hh_l0)

    def stacked_matrices(self) -> dict[torch.Tensor, int]:
        """The gates, of inputs and of memory."""
        return {self.weight_ih_l0: self.gates, self.weight_hh_l0: self.gates}

    @property
    def weights(self) -> tuple[torch.Tensor, ...]:
        """The four tensors in the order of torch's kernels."""
        return self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0

    def serves(self, rows: Rows) -> bool:
        """The fused kernels know no packed documents."""
        return rows.segments_BT is None


def last_output(y_BTD: Sequence, rows: Rows, start_BD: Column) -> Column:
    """The output at each row's last real position; ``start_BD`` where there is none."""
    if rows.lengths_B is None:
        return y_BTD[:, -1]
    index_B = (rows.lengths_B - 1).clamp(min=0)
    picked_BD = y_BTD[torch.arange(y_BTD.shape[0], device=y_BTD.device), index_B]
    return torch.where((rows.lengths_B > 0)[:, None], picked_BD, start_BD)
