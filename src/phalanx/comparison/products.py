"""The matrix products of a training pass: their share of the work, and how large they are."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phalanx.comparison.growth import pass_of
from phalanx.models import SequenceModel
from phalanx.profiling.tracing.dispatch import KernelMode
from phalanx.profiling.tracing.operators import Operator, tensors_of
from phalanx.profiling.tracing.trace import Tracer

LENGTH = 128


@dataclass(frozen=True)
class Products:
    """The products of one training pass at batch 1.

    Args:
        share: of the FLOPs inside matrix products.
        intensity: FLOPs per byte of operands and results inside them.
        kernels_per_token: kernels launched, per position.
        flops_per_kernel: FLOPs that may run at once on average: work / span.
        flops: inside matrix products, of the whole pass.
    """

    share: float
    intensity: float
    kernels_per_token: float
    flops_per_kernel: float
    flops: int


def products(model: SequenceModel, length: int = LENGTH) -> Products:
    """Trace a training pass over ``length`` positions; the model may stand on the meta device."""
    call = pass_of(model, "train", length)
    with Tracer(call) as tracer, _ProductMode() as mode:
        call()
    traced = tracer.result()
    intensity = mode.flops / mode.bytes if mode.bytes else 0.0
    return Products(
        traced.matmul_share,
        intensity,
        traced.kernels / length,
        traced.work / max(traced.span, 1),
        traced.matmul_work,
    )


class _ProductMode(KernelMode):
    """Adds up FLOPs and bytes of the kernels that are matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.bytes = 0

    def kernel(
        self, operator: Operator, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = func(*args, **kwargs)
        outs = list(tensors_of(result))
        cost = operator.cost(args, outs)
        if cost is not None and cost.matmul:
            self.flops += cost.matmul
            self.bytes += sum(_size(tensor) for tensor in (*operator.inputs(args, kwargs), *outs))
        return result


def _size(tensor: Tensor) -> int:
    # An expanded tensor is read once, however often it counts.
    repeated = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        repeated *= size if stride == 0 else 1
    return tensor.numel() // max(repeated, 1) * torch.finfo(torch.float32).bits // 8
