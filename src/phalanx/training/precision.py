"""Where and in which number format a model is trained.

``auto`` means whichever is faster, by a rule rather than by a stopwatch, so that two runs on one
machine always agree: bfloat16 where the hardware multiplies it natively and the model is at least
``NARROWEST`` wide, float32 otherwise. Below that width, conversions cost what the products save;
above it a step of each preset took 0.45 to 0.75 of its time in float32, one thread of a processor
with avx512_bf16. The exception is the CPU's LSTM kernel, whose backward pass in bfloat16 falls
behind beyond ``WIDEST_LSTM``. Weights, gradients and optimizer states are float32 in any case
(torch.autocast).
"""

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from phalanx.config import ModelConfig
from phalanx.errors import UsageError, did_you_mean

Precision = Literal["float32", "bfloat16"]

NARROWEST = 128
WIDEST_LSTM = 384
_CPUINFO = Path("/proc/cpuinfo")
_NATIVE_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, ARM
DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU where there is one.

    Raises:
        UsageError: no such device, or no GPU on this machine.
    """
    if name not in DEVICES:
        raise UsageError(f"device {name!r} is not known.{did_you_mean(name, DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "device 'cuda': torch sees no GPU on this machine. Use 'cpu', or install a torch built "
            "for CUDA; `phalanx doctor` shows what is here."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(name: str, config: ModelConfig, device: torch.device) -> Precision:
    """The number format of the matrix products: ``name``, or by the rule for ``auto``."""
    if name == "float32":
        return "float32"
    if name == "bfloat16":
        return "bfloat16"
    has_lstm = any("lstm" in mixer.split("+") for mixer in config.mixers)
    slow_lstm = has_lstm and device.type == "cpu" and config.width > WIDEST_LSTM
    pays = config.width >= NARROWEST and not slow_lstm and native_bfloat16(device)
    return "bfloat16" if pays else "float32"


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions that multiply bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(_NATIVE_FLAGS & _cpu_flags())


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a forward pass runs in that precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@cache
def _cpu_flags() -> frozenset[str]:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:  # not Linux: nothing is known, so nothing is claimed
        return frozenset()
    named = (line.partition(":") for line in lines)
    return frozenset(
        flag
        for name, _, flags in named
        if name.strip() in ("flags", "Features")
        for flag in flags.split()
    )
