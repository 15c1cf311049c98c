"""Recurrent layers, position after position, and by the vendor's fused kernels.

The serial loop is the truth. The fused kernels are the ones that ``torch.nn.RNN``, ``LSTM`` and
``GRU`` call; they know no padding and no packed documents, so the mixers prepare what they are
given (mixers/recurrent.py).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from phalanx.rows import Rows
from phalanx.shapes import Column, PerRow
from phalanx.shapes import Sequence as Positions
from phalanx.states import RecurrentState

S = TypeVar("S", bound=RecurrentState)


def serial(
    step: Callable[[Column, S, PerRow | None], tuple[Column, S]],
    x_BTD: Positions,
    rows: Rows,
    state: S,
) -> tuple[Positions, list[S]]:
    """One step after another: h_t = f(x_t, h_{t-1}).

    Returns the outputs and the states before the first step and after each one.
    """
    keep_BT, outputs, states = rows.keep_BT, [], [state]
    for t in range(x_BTD.shape[1]):
        active_B = None if keep_BT is None else keep_BT[:, t]
        if rows.segments_BT is not None:
            entered = state.restart(rows.segments_BT[:, t])
            state = entered if active_B is None else entered.where(active_B, state)
        y_BD, state = step(x_BTD[:, t], state, active_B)
        outputs.append(y_BD)
        states.append(state)
    return torch.stack(outputs, 1) if outputs else x_BTD, states


def fused_rnn(
    nonlinearity: str, x_BTD: Positions, hidden_BD: Column, weights: Sequence[Tensor]
) -> Positions:
    """Outputs of a tanh or relu recurrent layer by torch's kernel; ``weights`` as torch.nn.RNN."""
    kernel = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[nonlinearity]
    return _fused(kernel, x_BTD, hidden_BD[None], weights)[0]


def fused_gru(x_BTD: Positions, hidden_BD: Column, weights: Sequence[Tensor]) -> Positions:
    """Outputs of a GRU layer by torch's kernel; ``weights`` as torch.nn.GRU orders them."""
    return _fused(torch.gru, x_BTD, hidden_BD[None], weights)[0]


def fused_lstm(
    x_BTD: Positions, hidden_BD: Column, cell_BD: Column, weights: Sequence[Tensor]
) -> tuple[Positions, Column]:
    """Outputs and last cell of an LSTM layer by torch's kernel; ``weights`` as torch.nn.LSTM."""
    y_BTD, _, cell_1BD = _fused(torch.lstm, x_BTD, (hidden_BD[None], cell_BD[None]), weights)
    return y_BTD, cell_1BD[0]


def _fused(
    kernel: Callable[..., tuple[Tensor, ...]],
    x_BTD: Positions,
    start: Tensor | tuple[Tensor, Tensor],
    weights: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    # arguments: has_biases, num_layers, dropout, train, bidirectional, batch_first
    return kernel(x_BTD, start, list(weights), True, 1, 0.0, torch.is_grad_enabled(), False, True)
