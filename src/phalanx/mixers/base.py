"""The contract of a mixer: the only place where positions exchange information."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn

from phalanx.rows import Rows
from phalanx.shapes import Column, PerRow, Sequence
from phalanx.states import State


class Mixer(nn.Module, ABC):
    """A layer that mixes positions, in its parallel form.

    ``schedules`` names the orders in which it can compute, the reference first; ``schedule`` is the
    one in use. A schedule never changes a result.
    """

    schedules: ClassVar[tuple[str, ...]]
    schedule: str

    def use_schedule(self, name: str) -> None:
        """Compute by another schedule.

        Raises:
            ValueError: the mixer has no such schedule.
        """
        if name not in self.schedules:
            raise ValueError(
                f"{type(self).__name__} has no schedule {name!r}; "
                f"expected one of {', '.join(self.schedules)}"
            )
        self.schedule = name

    @abstractmethod
    def forward(
        self, x_BTD: Sequence, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Sequence, State | None]:
        """All positions of ``rows`` in one call.

        Args:
            x_BTD: inputs; what stands at padding is never read.
            rows: which positions are real, and where.
            state: what came before, consumed by the call; None starts afresh.
            undo: how many positions the returned state must be able to rewind, row by row.

        Returns:
            Outputs (B, T, D), zero at padding, and the state after them (None in, None out).
        """

    @abstractmethod
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh weights, and fill the buffers."""

    def stacked_matrices(self) -> dict[torch.Tensor, int]:
        """Matrices that stack several linear maps along their rows, each with how many; an
        optimizer that looks at a matrix as a map takes them apart."""
        return {}


class CausalMixer(Mixer):
    """A mixer whose output at t depends on inputs up to t alone, so that it has a step form."""

    @abstractmethod
    def step(
        self, x_BD: Column, state: State, active_B: PerRow | None = None
    ) -> tuple[Column, State]:
        """One position, from the carried state.

        Args:
            x_BD: the input at the next position of each row.
            state: what came before; consumed.
            active_B: True in rows that advance (None: all). The others give zero and stand still.
        """

    @abstractmethod
    def empty_state(self, batch: int, capacity: int, like: torch.Tensor) -> State:
        """The state before the first position, for up to ``capacity`` positions a row, with the
        dtype and device of ``like``."""
