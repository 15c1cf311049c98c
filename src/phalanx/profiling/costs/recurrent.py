"""Costs of fused recurrent layers and cells: one launch, a chain of positions inside."""

from collections.abc import Sequence

from torch import Tensor

from phalanx.profiling.costs.cost import Arguments, Cost, Formula, log2_ceil, of_product

# Dependent kernels of one position, (forward, backward), in torch's own decomposition.
_LSTM, _GRU, _RNN = (7, 8), (9, 9), (3, 3)
_CUDNN_MODES = (_RNN, _RNN, _LSTM, _GRU)
_MKLDNN_GRU = 3


def _recurrent(length: int, rows: int, weights: Sequence[Tensor], steps: int, times: int) -> Cost:
    matrices = [weight for weight in weights if weight.dim() == 2]
    entries = sum(weight.numel() for weight in matrices)
    gates = matrices[0].shape[0]
    if entries % gates:  # an LSTM's projection may have any number of rows
        gates = 1
    inner = log2_ceil(max(weight.shape[-1] for weight in matrices))
    other = length * rows * sum(weight.shape[0] for weight in matrices)
    product = (times * length, rows, gates, entries // gates)
    return of_product(product, times * other, length * (steps + inner), length * steps)


def _mkldnn_rnn(backward: bool) -> Formula:
    # The backward kernel always gives the gradients of inputs and initial states too.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, weights = args[0], args[1:3]
        kind = _GRU if args[14 if backward else 9] == _MKLDNN_GRU else _LSTM
        steps = kind[int(backward)]
        return _recurrent(x.shape[0], x.shape[1], weights, steps, 2 if backward else 1)

    return cost


def _cudnn_rnn(backward: bool) -> Formula:
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        x, weights = args[0], args[1]
        mode, layers, batch_first = (args[i] for i in ((10, 13, 14) if backward else (6, 9, 10)))
        length, rows = (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])
        steps = _CUDNN_MODES[mode][int(backward)] * layers
        return _recurrent(length, rows, weights, steps, 2 if backward else 1)

    return cost


def _cell(each: int, depth: int) -> Formula:
    # The gates of one position, whose products are kernels of their own: ``each`` scalar
    # operations a result.
    def cost(args: Arguments, outs: Sequence[Tensor]) -> Cost:
        return Cost(0, each * outs[0].numel(), depth)

    return cost


FORMULAS: dict[str, Formula] = {
    "mkldnn_rnn_layer": _mkldnn_rnn(False), "mkldnn_rnn_layer_backward": _mkldnn_rnn(True),
    "_cudnn_rnn": _cudnn_rnn(False), "_cudnn_rnn_backward": _cudnn_rnn(True),
    # LSTM: two sums and an activation a gate, then f c + i g and o tanh(c). GRU: likewise, then
    # n + z (h - n). Backward: of four (three) gates' inputs, outs[0] holds all.
    "_thnn_fused_lstm_cell": _cell(20, 7), "_thnn_fused_gru_cell": _cell(16, 8),
    "_thnn_fused_lstm_cell_backward": _cell(5, 8), "_thnn_fused_gru_cell_backward": _cell(5, 8),
    "_thnn_fused_lstm_cell_backward_impl": _cell(5, 8),
}  # fmt: skip
