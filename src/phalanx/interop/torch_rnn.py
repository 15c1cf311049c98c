"""Weights of ``torch.nn.RNN``, ``LSTM`` and ``GRU``, moved to mixers and back.

Torch keeps the layers of a stack in one module, under names that end in ``l0``, ``l1`` ...; here
each layer is a mixer. Both name the weights of one layer alike.
"""

from collections.abc import Sequence

import torch
from torch import nn

from phalanx.errors import UsageError
from phalanx.mixers import GRU, LSTM, RNN, Mixer

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def mixers_from_torch(module: nn.RNNBase) -> list[RNN | LSTM | GRU]:
    """The layers of a torch module as mixers with copies of its weights, first layer first.

    Raises:
        UsageError: see copy_from_torch.
    """
    mixers = [_empty_mixer(module) for _ in range(module.num_layers)]
    copy_from_torch(module, mixers)
    first = next(module.parameters())
    return [mixer.to(first.device, first.dtype) for mixer in mixers]


def copy_from_torch(module: nn.RNNBase, mixers: Sequence[Mixer]) -> None:
    """Copy the weights of a torch module into mixers, one a layer, for instance those of
    ``[block.mixer for block in decoder.blocks]``; a module without biases gives zeros.

    Raises:
        UsageError: the module is bidirectional, has a projection, or takes an input of another
            width than its layers have; or the mixers are not as many, or not of that kind and
            width.
    """
    _check(module)
    pairs = zip(_cells(mixers, module), range(module.num_layers), strict=True)
    with torch.no_grad():
        for mixer, layer in pairs:
            for name in NAMES:
                target = getattr(mixer, f"{name}_l0")
                source = getattr(module, f"{name}_l{layer}", None)
                target.copy_(torch.zeros_like(target) if source is None else source)


def torch_from_mixers(mixers: Sequence[RNN | LSTM | GRU]) -> nn.RNNBase:
    """A torch module, ``batch_first``, with copies of the weights of a stack of equal mixers.

    Raises:
        UsageError: there is no mixer, or they differ in kind or width.
    """
    if not mixers:
        raise UsageError("no mixers were given; expected at least one RNN, LSTM or GRU")
    first = mixers[0]
    width, layers = first.width, len(mixers)
    module: nn.RNNBase
    if isinstance(first, RNN):
        module = nn.RNN(width, width, layers, first.nonlinearity, batch_first=True)
    else:
        kind = nn.LSTM if isinstance(first, LSTM) else nn.GRU
        module = kind(width, width, layers, batch_first=True)
    module = module.to(first.weight_ih_l0.device, first.weight_ih_l0.dtype)
    with torch.no_grad():
        for layer, mixer in enumerate(_cells(mixers, module)):
            for name in NAMES:
                getattr(module, f"{name}_l{layer}").copy_(getattr(mixer, f"{name}_l0"))
    return module


def _empty_mixer(module: nn.RNNBase) -> RNN | LSTM | GRU:
    if isinstance(module, nn.RNN):
        return RNN(module.hidden_size, module.nonlinearity)
    return (LSTM if isinstance(module, nn.LSTM) else GRU)(module.hidden_size)


def _check(module: nn.RNNBase) -> None:
    wrong = None
    if module.bidirectional:
        wrong = "is bidirectional"
    elif module.proj_size:
        wrong = f"projects its outputs to {module.proj_size}"
    elif module.input_size != module.hidden_size:
        wrong = f"takes inputs of width {module.input_size} into {module.hidden_size}"
    if wrong is not None:
        raise UsageError(
            f"this torch.nn.{module.mode.split('_')[0]} {wrong}; "
            "expected a one-way stack whose layers all have the width of the input"
        )


def _cells(mixers: Sequence[Mixer], module: nn.RNNBase) -> list[RNN | LSTM | GRU]:
    kind = type(_empty_mixer(module))
    if len(mixers) != module.num_layers:
        raise UsageError(f"{len(mixers)} mixers were given for {module.num_layers} layers")
    cells = [mixer for mixer in mixers if isinstance(mixer, kind)]
    widths = [cell.width for cell in cells]
    if len(cells) != len(mixers) or set(widths) != {module.hidden_size}:
        given = ", ".join(f"{type(mixer).__name__}" for mixer in mixers)
        raise UsageError(
            f"the mixers are {given}, of widths {widths}; "
            f"expected {kind.__name__} of width {module.hidden_size} in every layer"
        )
    if isinstance(module, nn.RNN):
        kinds = {cell.nonlinearity for cell in cells if isinstance(cell, RNN)}
        if kinds != {module.nonlinearity}:
            raise UsageError(f"the mixers are {kinds}; expected {module.nonlinearity} in every one")
    return list(cells)
