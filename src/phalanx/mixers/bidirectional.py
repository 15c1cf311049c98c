"""Two causal mixers, one in each direction (Schuster and Paliwal 1997)."""

import torch
from torch import nn

from phalanx.mixers.base import CausalMixer, Mixer
from phalanx.rows import Rows
from phalanx.shapes import Sequence
from phalanx.states import State


class Bidirectional(Mixer):
    """Any two causal mixers, the second from right to left, joined by a linear layer.

    It has no step form: what stands to the right is not known yet.
    """

    schedules = ("parts",)
    schedule = "parts"

    def __init__(self, width: int, forwards: CausalMixer, backwards: CausalMixer) -> None:
        super().__init__()
        self.forwards = forwards
        self.backwards = backwards
        self.output = nn.Linear(2 * width, width)
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights for both directions and for what joins them."""
        self.forwards.init_weights(generator)
        self.backwards.init_weights(generator)
        nn.init.xavier_uniform_(self.output.weight, generator=generator)
        nn.init.zeros_(self.output.bias)

    def forward(
        self, x_BTD: Sequence, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Sequence, None]:
        """All positions (see Mixer.forward).

        Raises:
            ValueError: a state was given; a bidirectional mixer carries none.
        """
        if state is not None:
            raise ValueError("a bidirectional mixer carries no state; expected None")
        x_BTD = rows.zero_padding(x_BTD)
        there_BTD, _ = self.forwards(x_BTD, rows)
        mirrored = _reverse_rows(rows)
        back_BTD, _ = self.backwards(_reverse(x_BTD, rows), mirrored)
        both_BTD = torch.cat([there_BTD, _reverse(back_BTD, rows)], -1)
        return rows.zero_padding(self.output(both_BTD)), None


def _mirror(rows: Rows) -> torch.Tensor:
    """Index (B, T) that reverses the real positions of each row and leaves padding in place."""
    slots_T = torch.arange(rows.positions_BT.shape[1], device=rows.positions_BT.device)
    last_B1 = rows.consumed_B()[:, None] - 1
    return torch.where(slots_T <= last_B1, last_B1 - slots_T, slots_T)


def _reverse(x_BTD: Sequence, rows: Rows) -> Sequence:
    if rows.lengths_B is None:
        return x_BTD.flip(1)
    return x_BTD.gather(1, _mirror(rows)[..., None].expand_as(x_BTD))


def _reverse_rows(rows: Rows) -> Rows:
    # A token keeps its position, whichever way it is read; the numbers of documents must ascend.
    index_BT, segments_BT = _mirror(rows), rows.segments_BT
    if segments_BT is not None:
        segments_BT = -segments_BT.gather(1, index_BT)
    return Rows(rows.positions_BT.gather(1, index_BT), rows.lengths_B, segments_BT)
