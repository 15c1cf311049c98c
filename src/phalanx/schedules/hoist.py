"""Recurrent layers with everything that need not wait taken out of the loop.

What stays inside is the chain alone: one product with the recurrent weights and the gates. The
input projection of all positions comes before it, as one product; the factors of the backward pass
are computed for all positions at once, and the weight gradients after it are one product each,
where a step-by-step backward makes T small ones. The vendor's CPU kernels of the plain RNN and the
GRU do not, so this is the faster of the two there (docs/log.md).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.shapes import Column
from phalanx.shapes import Sequence as Positions


def rnn(
    nonlinearity: str, x_BTD: Positions, hidden_BD: Column, weights: Sequence[Tensor]
) -> Positions:
    """Outputs of a tanh or relu recurrent layer; ``weights`` as torch.nn.RNN orders them."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    input_TBD = F.linear(x_BTD.transpose(0, 1), weight_ih, bias_ih + bias_hh)
    kind = input_TBD.dtype  # autocast may have lowered it; the chain keeps it
    y_TBD: Tensor = _RNN.apply(input_TBD, hidden_BD.to(kind), weight_hh.to(kind), nonlinearity)
    return y_TBD.transpose(0, 1)


def gru(x_BTD: Positions, hidden_BD: Column, weights: Sequence[Tensor]) -> Positions:
    """Outputs of a GRU layer; ``weights`` as torch.nn.GRU orders them."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    input_TBG = F.linear(x_BTD.transpose(0, 1), weight_ih, bias_ih)
    kind = input_TBG.dtype
    y_TBD: Tensor = _GRU.apply(input_TBG, hidden_BD.to(kind), weight_hh.to(kind), bias_hh.to(kind))
    return y_TBD.transpose(0, 1)


class _RNN(torch.autograd.Function):
    """h_t = f(input_t + U h_{t-1}), time first."""

    @staticmethod
    def forward(
        ctx: Any, input_TBD: Tensor, start_BD: Tensor, weight: Tensor, nonlinearity: str
    ) -> Tensor:
        h_SBD = torch.cat([start_BD[None], torch.empty_like(input_TBD)])  # S = T + 1
        h_S, input_T, weight_t = h_SBD.unbind(), input_TBD.unbind(), weight.t().contiguous()
        activate = {"tanh": torch.tanh_, "relu": torch.relu_}[nonlinearity]
        for t in range(len(input_T)):
            torch.addmm(input_T[t], h_S[t], weight_t, out=h_S[t + 1])
            activate(h_S[t + 1])
        ctx.save_for_backward(h_SBD, weight)
        ctx.nonlinearity = nonlinearity
        return h_SBD[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        h_SBD, weight = ctx.saved_tensors
        after_TBD = h_SBD[1:]
        slope_TBD = (
            1 - after_TBD * after_TBD if ctx.nonlinearity == "tanh" else (after_TBD > 0).to(weight)
        )
        delta_TBD = torch.empty_like(slope_TBD)
        delta_T, slope_T, g_T = delta_TBD.unbind(), slope_TBD.unbind(), gradients[0].unbind()
        last = len(g_T) - 1
        torch.mul(g_T[last], slope_T[last], out=delta_T[last])
        for t in reversed(range(last)):
            torch.addmm(g_T[t], delta_T[t + 1], weight, out=delta_T[t])
            delta_T[t].mul_(slope_T[t])
        g_weight = delta_TBD.flatten(0, 1).t() @ h_SBD[:-1].flatten(0, 1)
        return delta_TBD, delta_T[0] @ weight, g_weight, None


class _GRU(torch.autograd.Function):
    """The chain of torch.nn.GRU's equations, time first; gates reset, update, new."""

    @staticmethod
    def forward(
        ctx: Any, input_TBG: Tensor, start_BD: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        width, weight_t = start_BD.shape[1], weight.t().contiguous()
        h_SBD = torch.cat([start_BD[None], torch.empty_like(input_TBG[..., :width])])
        gates_TBG = torch.empty_like(input_TBG)  # reset, update, new, once activated
        memory_TBG = torch.empty_like(input_TBG)  # U h_{t-1} + c
        # One list of views each, made at once: slicing in the loop would cost as much as computing.
        h_S, memory_T = h_SBD.unbind(), memory_TBG.unbind()
        input_both_T, input_new_T = _both(input_TBG, width).unbind(), _new(input_TBG).unbind()
        memory_both_T, memory_new_T = _both(memory_TBG, width).unbind(), _new(memory_TBG).unbind()
        both_T, new_T = _both(gates_TBG, width).unbind(), _new(gates_TBG).unbind()
        reset_T, update_T, _ = (gate.unbind() for gate in gates_TBG.chunk(3, -1))
        for t in range(len(memory_T)):
            torch.addmm(bias, h_S[t], weight_t, out=memory_T[t])
            torch.add(input_both_T[t], memory_both_T[t], out=both_T[t])
            both_T[t].sigmoid_()
            torch.addcmul(input_new_T[t], reset_T[t], memory_new_T[t], out=new_T[t])
            new_T[t].tanh_()
            torch.lerp(new_T[t], h_S[t], update_T[t], out=h_S[t + 1])
        ctx.save_for_backward(h_SBD, gates_TBG, _new(memory_TBG), weight)
        return h_SBD[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        h_SBD, gates_TBG, memory_new_TBD, weight = ctx.saved_tensors
        reset_TBD, update_TBD, new_TBD = gates_TBG.chunk(3, -1)
        # What the gradient of h_t is multiplied by on its way to each gate's input.
        to_new_TBD = (1 - update_TBD) * (1 - new_TBD * new_TBD)
        to_update_TBD = (h_SBD[:-1] - new_TBD) * update_TBD * (1 - update_TBD)
        to_reset_TBD = to_new_TBD * memory_new_TBD * reset_TBD * (1 - reset_TBD)
        to_memory_TBG = torch.cat([to_reset_TBD, to_update_TBD, to_new_TBD * reset_TBD], -1)

        from_memory_TBG = torch.empty_like(gates_TBG)
        delta_TBD = gradients[0].clone(memory_format=torch.contiguous_format)  # gradient of h_t
        delta_T, update_T = delta_TBD.unbind(), update_TBD.unbind()
        from_memory_T, to_memory_T = from_memory_TBG.unbind(), to_memory_TBG.unbind()
        g_start_BD = torch.zeros_like(h_SBD[0])
        for t in reversed(range(len(delta_T))):
            torch.mul(delta_T[t].repeat(1, 3), to_memory_T[t], out=from_memory_T[t])
            before_BD = delta_T[t - 1] if t else g_start_BD
            before_BD.addcmul_(delta_T[t], update_T[t])
            before_BD.addmm_(from_memory_T[t], weight)
        width = h_SBD.shape[-1]
        from_input_TBG = torch.cat([_both(from_memory_TBG, width), delta_TBD * to_new_TBD], -1)
        flat_NG = from_memory_TBG.flatten(0, 1)
        g_weight = flat_NG.t() @ h_SBD[:-1].flatten(0, 1)
        return from_input_TBG, g_start_BD, g_weight, flat_NG.sum(0)


def _both(gates: Tensor, width: int) -> Tensor:
    """The reset and update parts of stacked gates."""
    return gates[..., : 2 * width]


def _new(gates: Tensor) -> Tensor:
    """The new part of stacked gates."""
    return gates.chunk(3, -1)[2]
