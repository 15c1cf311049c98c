"""This machine: what it is, and how fast its matrix products and its memory are."""

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Peaks:
    """What a device was measured to do, at its best of several runs.

    Args:
        flops: FLOP/s of a large matrix product, by dtype (``float32``, ``bfloat16``); one
            multiply-add is 2 FLOPs.
        bandwidth: bytes read a second by a sum over memory that no cache holds.
        launch: seconds that one tiny kernel takes, dispatch included.
    """

    flops: dict[str, float]
    bandwidth: float
    launch: float


def facts() -> dict[str, Any]:
    """What the machine is, as JSON values.

    Keys: processor, cores (usable by this process), threads (torch's), wait_policy
    (OMP_WAIT_POLICY or None), bf16 (names of the instruction sets that speed it up), compiler
    (path of a C++ compiler or None), gpu (name or None), python, torch, phalanx, system.
    """
    flags = _cpu_field("flags", "Features").split()
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "bf16": [name for name in ("avx512_bf16", "amx_bf16", "bf16") if name in flags],
        "compiler": compiler(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "phalanx": _version("phalanx"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    return _cpu_field("model name", "Hardware") or platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compiler() -> str | None:
    """The C++ compiler that ``torch.compile`` would find on the path, or None."""
    named = os.environ.get("CXX")
    candidates = ([named] if named else []) + ["g++", "clang++", "c++"]
    return next((found for name in candidates if (found := shutil.which(name))), None)


def peak_flops(
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    size: int | None = None,
    seconds: float = 0.4,
) -> float:
    """Best FLOP/s of a square matrix product of ``size`` (1024 on a CPU, 8192 on a GPU)."""
    width = size or (1024 if device == "cpu" else 8192)
    a = torch.randn(width, width, device=device).to(dtype)
    b = torch.randn(width, width, device=device).to(dtype)
    out = torch.empty_like(a)
    return 2 * width**3 / _best(lambda: torch.mm(a, b, out=out), device, seconds)


def bandwidth(device: str = "cpu", megabytes: int = 256, seconds: float = 0.4) -> float:
    """Best bytes a second of a sum over ``megabytes`` of memory, larger than any cache here."""
    x = torch.ones(megabytes * 2**20 // 4, device=device)
    return x.numel() * 4 / _best(lambda: x.sum(), device, seconds)


def launch_seconds(device: str = "cpu", seconds: float = 0.1, burst: int = 200) -> float:
    """Seconds of one kernel too small to matter, in a dependent chain: dispatch alone."""
    x = torch.zeros(1, device=device)

    def chain() -> None:
        for _ in range(burst):
            x.add_(1)

    return _best(chain, device, seconds) / burst


def peaks(device: str = "cpu", seconds: float = 0.4) -> Peaks:
    """Measure all of the above, each for about ``seconds``."""
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    return Peaks(
        {name: peak_flops(dtype, device, seconds=seconds) for name, dtype in dtypes.items()},
        bandwidth(device, seconds=seconds),
        launch_seconds(device, seconds=min(seconds, 0.1)),
    )


def synchronise(device: str) -> None:
    """Wait until the device has finished what it was given."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def _best(run: Callable[[], object], device: str, seconds: float) -> float:
    # The least time: everything that disturbs makes it longer. At least three runs after one.
    times: list[float] = []
    with torch.inference_mode():
        run()
        synchronise(device)
        end = time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            run()
            synchronise(device)
            times.append(time.perf_counter() - start)
    return min(times)


def _cpu_field(*names: str) -> str:
    if not _CPUINFO.exists():
        return ""
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
