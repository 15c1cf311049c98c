"""What a kernel moves between memory and the processor, without caches."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from phalanx.profiling.costs.families import GATHERS
from phalanx.profiling.tracing.shadow import StorageShadow, size_of

Known = Sequence[tuple[Tensor, StorageShadow]]  # tensors, each with what is known of its memory


def bytes_moved(name: str, inputs: Known, written: Sequence[Tensor]) -> int:
    """Bytes that the operator ``name`` reads and writes."""
    moved = 0
    for tensor in written:
        moved += size_of(tensor)
    if name in GATHERS:
        (table, _), *indices = inputs
        picked = written[0].numel() * table.element_size()
        return moved + picked + sum(size_of(index) for index, _ in indices)
    for tensor, shadow in inputs:  # an expanded tensor is no larger than its storage
        moved += min(size_of(tensor), shadow.nbytes)
    return moved


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """``float32``."""
    return str(dtype).removeprefix("torch.")
