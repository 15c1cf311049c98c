"""What generation will carry, asked before anything is allocated."""

import os
from collections.abc import Callable
from functools import partial

import torch

from phalanx.errors import UsageError
from phalanx.models import Decoder
from phalanx.states import State


def check_memory(model: Decoder, batch: int, capacity: int) -> None:
    """Refuse to generate with more than the device has (see ``check_states``).

    Raises:
        UsageError: the states of ``batch`` rows of ``capacity`` positions are larger.
    """
    device = model.embedding.weight.device
    check_states(partial(model.empty_state, 1), batch, capacity, device)


def check_states(
    empty_state: Callable[[int], State], rows: int, capacity: int, device: torch.device
) -> None:
    """Refuse to carry more than the device has.

    Attention keeps keys and values of every position, so its state grows with ``capacity``; a
    recurrent state does not.

    Args:
        empty_state: makes the state of one row, given its capacity.
        rows: how many of them will be carried.
        capacity: positions of each.
        device: where.

    Raises:
        UsageError: the states are larger than the device's memory.
    """
    one, two = (empty_state(positions).nbytes for positions in (1, 2))
    needed = rows * (one + (two - one) * (capacity - 1))
    found = device_memory(device)
    if needed > found:
        raise UsageError(
            f"{rows} rows of {capacity} positions carry {needed / 2**30:,.1f} GiB. Expected at "
            f"most {found / 2**30:,.1f} GiB, the memory of this device. Ask for fewer new tokens, "
            "or for fewer rows at once (batch_size, beam)."
        )


def device_memory(device: torch.device) -> int:
    """Bytes of memory of a device, all of it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
