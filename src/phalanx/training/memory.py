"""How much memory there is, whether a step fits into it, and what happens when it does not."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from phalanx.errors import PhalanxError, UsageError

R = TypeVar("R")

USABLE = 0.9
"""Share of what is available that a run may plan with: an estimate is no promise."""

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_UNLIMITED = 2**60  # what cgroups of the first version say where nothing is limited is above it
_REMEDY = (
    "Lower train.sequence_length, the size of the model or model.vocabulary, or set "
    "train.optimizer to muon, which keeps one moment a weight where adamw keeps two."
)
# What torch, the C++ library and oneDNN say when the system gives no memory.
_SAID = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "std::bad_alloc",
    "could not create a memory object",
    "out of memory",
)


def available_bytes(device: torch.device) -> int:
    """Bytes that this process can still take: of the GPU, or of main memory.

    The least of what the system has left, what the control groups of this process leave, and
    what its limit on address space (``ulimit -v``) leaves.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if sys.platform != "linux":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    rooms = (_free_memory(_PROC), _group_room(_PROC, _CGROUPS), _address_room(_PROC))
    return max(0, min(room for room in rooms if room is not None))


def resident_bytes() -> int:
    """Bytes of main memory that this process holds now; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    return _statm(_PROC)[1]


def fit(peak: Callable[[int], int], batch_size: int, available: int) -> int:
    """The largest micro-batch, by halving the batch, whose step fits.

    Args:
        peak: bytes of a run with micro-batches of so many sequences.
        batch_size: sequences of a step.
        available: bytes; see ``USABLE``.

    Raises:
        UsageError: not even one sequence at a time fits.
    """
    micro_batch = batch_size
    while (needed := peak(micro_batch)) > USABLE * available:
        if micro_batch == 1:
            raise UsageError(
                f"Training needs about {needed / 2**30:,.2f} GiB with one sequence at a time, and "
                f"{available / 2**30:,.2f} GiB are available. Expected at most {USABLE:.0%} of "
                f"that. {_REMEDY}"
            )
        micro_batch = (micro_batch + 1) // 2
    return micro_batch


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the system or the GPU gave no memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


def with_less_at_a_time(
    attempt: Callable[[int], R],
    micro_batch: int,
    drop: Callable[[], None],
    say: Callable[[str], object],
) -> tuple[R, int]:
    """Compute gradients in micro-batches, in half as large ones each time that memory runs out.

    ``attempt`` must change nothing but gradients: an optimizer's update that was cut short cannot
    be made again.

    Args:
        attempt: the gradients of one batch, given the size of the micro-batches.
        micro_batch: the size to begin with.
        drop: forgets the gradients of an attempt that failed.
        say: tells the user that the size was halved.

    Returns:
        What the attempt returned, and the size with which it did.

    Raises:
        PhalanxError: one sequence at a time needs too much.
    """
    while True:
        try:
            return attempt(micro_batch), micro_batch
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Only here, where the error is gone, are the tensors gone that its frames held.
        drop()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if micro_batch == 1:
            raise PhalanxError(
                "Out of memory with one sequence at a time. Expected that a step fits. "
                f"{_REMEDY} (The system said: {said})"
            )
        half = (micro_batch + 1) // 2
        say(
            f"warning: out of memory with {micro_batch} sequences at a time; going on with {half}. "
            "The batch and its gradient stay the same. Set train.micro_batch_size "
            f"{half} to begin with it."
        )
        micro_batch = half


def _free_memory(proc: Path) -> int | None:
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _address_room(proc: Path) -> int | None:
    import resource  # there is none on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit - _statm(proc)[0]


def _statm(proc: Path) -> tuple[int, int]:
    """Bytes of address space and of main memory of this process."""
    pages = (proc / "self/statm").read_text().split()
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * size, int(pages[1]) * size


def _group_room(proc: Path, groups: Path) -> int | None:
    """The least that any control group above this process leaves it; None without a limit."""
    rooms = []
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = groups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = groups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # Inside a container the path is that of the host, and the root stands for it.
        own = root / path.strip("/")
        rooms += [_room(at, *names) for at in (own, *own.parents) if at.is_relative_to(root)]
    return min((room for room in rooms if room is not None), default=None)


def _room(group: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    try:
        most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if most == "max" or int(most) >= _UNLIMITED:
        return None
    return int(most) - used + int(stat.get(reclaimable, 0))
