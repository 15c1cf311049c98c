"""What generation will carry, asked before anything is allocated."""

import os

import torch

from phalanx.errors import UsageError
from phalanx.models import Decoder


def check_memory(model: Decoder, batch: int, capacity: int) -> None:
    """Refuse to carry more than the device has.

    Attention keeps keys and values of every position, so its state grows with ``capacity``; a
    recurrent state does not.

    Raises:
        UsageError: the states of ``batch`` rows of ``capacity`` positions are larger.
    """
    one, two = (model.empty_state(1, positions).nbytes for positions in (1, 2))
    needed = batch * (one + (two - one) * (capacity - 1))
    found = device_memory(model.embedding.weight.device)
    if needed > found:
        raise UsageError(
            f"{batch} rows of {capacity} positions carry {needed / 2**30:,.1f} GiB. Expected at "
            f"most {found / 2**30:,.1f} GiB, the memory of this device. Ask for fewer new tokens, "
            "or for fewer rows at once (batch_size)."
        )


def device_memory(device: torch.device) -> int:
    """Bytes of memory of a device, all of it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
