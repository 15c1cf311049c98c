"""Peak memory of a training step."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

HOW = (
    "weights, gradients, optimizer states and what the backward pass keeps, counted tensor by "
    "tensor; scratch memory of kernels is not in it"
)
HOW_CUDA = "greatest memory that torch allocated on the GPU during training"


def peak_memory(
    model: nn.Module, step: Callable[[], object], optimizers: list[torch.optim.Optimizer]
) -> int:
    """Bytes at the end of a forward pass, when most is held.

    Args:
        model: the model.
        step: forward, loss and backward at the training shape.
        optimizers: after their first step, so that their states exist.
    """
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    weights = {p.untyped_storage().data_ptr(): p.nbytes for p in model.parameters()}
    activations = sum(size for at, size in kept.items() if at not in weights)
    states = sum(
        value.nbytes
        for optimizer in optimizers
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    )
    model.zero_grad(set_to_none=True)
    return 2 * sum(weights.values()) + states + activations
