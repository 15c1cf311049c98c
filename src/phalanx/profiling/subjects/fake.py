"""Copies of a module with other tensors in it: on meta, fake, or sharing the parameters' memory.

A copy never touches the module: parameters, buffers and every other tensor that it holds are
handed to ``copy.deepcopy`` as already copied, each object once, so that tied tensors stay tied and
no data is copied that is not asked for.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from phalanx.errors import PhalanxError
from phalanx.profiling.tracing.origins import tensors_in

Convert = Callable[[Tensor], Tensor]


def on_meta(module: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes and no data."""
    return copied(module, lambda tensor: torch.empty_like(tensor, device="meta"))


def sharing(module: nn.Module, device: str) -> nn.Module:
    """A copy on a device, with gradients, buffers and flags of its own.

    Parameters share their memory where they are on that device already: a pass does not write
    them. Everything else is copied, since a pass may (the averages of a batch norm).
    """

    def convert(tensor: Tensor) -> Tensor:
        moved = tensor.detach().to(device)
        return moved if isinstance(tensor, nn.Parameter) or moved is tensor else moved.clone()

    return copied(module, convert)


def without_zeros(module: nn.Module) -> tuple[nn.Module, int]:
    """A copy on the CPU in which no weight is all zero, and how many were.

    A branch that a fresh model begins at zero would hide what is behind it. The copy shares the
    memory of all other weights; a bias hides nothing.
    """
    copy, count = sharing(module, "cpu"), 0
    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            idle = parameter.is_floating_point() and parameter.numel() and not parameter.any()
            if idle and "bias" not in name.rpartition(".")[2]:
                scale = (parameter.shape[-1] if parameter.dim() else 1) ** -0.5
                parameter.data = scale * torch.randn_like(parameter)
                count += 1
    return copy, count


class Fake:
    """A copy of a module whose tensors say that they are on the CPU and hold no numbers.

    Args:
        module: to copy.

    Attributes:
        mode: while entered, torch computes shapes alone, with the CPU's own fused kernels.
        module: the copy, for use while ``mode`` is entered.
    """

    def __init__(self, module: nn.Module) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self.module = copied(module, self._fake)

    def _fake(self, tensor: Tensor) -> Tensor:
        with self.mode:
            return torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu"
            )


def copied(module: nn.Module, convert: Convert) -> nn.Module:
    """A copy of ``module`` with ``convert(tensor)`` in place of each tensor in it.

    A module that was compiled is copied as it was written.

    Raises:
        PhalanxError: something in the module cannot be copied.
    """
    memo: dict[int, Any] = {}
    held = list(tensors_in(module))  # kept alive, so that no id is given twice
    with torch.no_grad():
        for tensor in held:
            memo[id(tensor)] = _as(tensor, convert(tensor))
    try:
        made: nn.Module = copy.deepcopy(written(module), memo)
    except Exception as error:
        raise PhalanxError(
            f"{type(module).__name__}: cannot be copied, and a profile leaves the module that it "
            f"is given untouched: {type(error).__name__}: {error}. Give a module that "
            "copy.deepcopy can copy."
        ) from error
    for part in list(made.modules()):
        for name, child in list(part.named_children()):
            if written(child) is not child:
                setattr(part, name, written(child))
        part._compiled_call_impl = None
    return made


def written(module: nn.Module) -> nn.Module:
    """The module as it was written, where ``torch.compile`` has wrapped it."""
    inner = module._modules.get("_orig_mod")
    return module if inner is None else inner


def _as(tensor: Tensor, new: Tensor) -> Tensor:
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(new, tensor.requires_grad)
    return new.requires_grad_(tensor.requires_grad and tensor.is_leaf)
