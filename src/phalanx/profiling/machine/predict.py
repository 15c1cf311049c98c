"""How long a pass takes on this machine: its kernels, each at the speed measured for its family.

An eager step runs one kernel at a time, so the times add up: a table's seconds for each kernel
(dispatch included, operands in the cache), what Python, autograd and views add to it, the bytes
that come from memory because the cache has forgotten them, and the pages that the
system gives anew for a large result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from phalanx.profiling.machine.calibration import Speeds
from phalanx.profiling.machine.kernel_times import item_size, least_seconds, seconds, weight_bytes
from phalanx.profiling.machine.tables import Table
from phalanx.profiling.results import Prediction
from phalanx.profiling.tracing.graph import Kernel

# Time measured over time predicted, the 10th and 90th of 100 of the 165 cases of
# benchmarks/prediction.py with two threads (docs/log.md): 80 % of them lie between. With one thread
# they are closer, 0.83 and 1.23.
LOW, HIGH = 0.66, 1.45

# What an eager step spends beside its kernels, in launches (of an addition of two numbers from
# Python): for each kernel, and for each time that the forward pass enters another module (Python,
# views, in training the recording and its replay). Fitted to the same cases.
_PLAIN, _RECORDED = (0.25, 18.0), (1.3, 40.0)

_MAPPED = 2**25  # bytes from which glibc maps memory anew for each result


@dataclass(frozen=True)
class Parts:
    """Seconds of a pass by what they go to: launching kernels, moving data, arithmetic."""

    dispatch: float = 0.0
    memory: float = 0.0
    compute: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.dispatch + self.memory + self.compute


def predict(kernels: Sequence[Kernel], speeds: Speeds, *, setting: str = "") -> Prediction:
    """Predict the seconds of one run of ``kernels``, as executed, fused kernels whole.

    Args:
        kernels: in the order in which they run.
        speeds: of the machine.
        setting: what the prediction is for, where it is not what was traced.
    """
    parts = parts_of(kernels, speeds)
    total = parts.total
    return Prediction(
        seconds=total,
        low=total * LOW,
        high=total * HIGH,
        dispatch_share=parts.dispatch / total if total else 0.0,
        memory_share=parts.memory / total if total else 0.0,
        compute_share=parts.compute / total if total else 0.0,
        setting=setting,
    )


def parts_of(kernels: Sequence[Kernel], speeds: Speeds) -> Parts:
    """The seconds of a run, by what they go to."""
    trains = any(kernel.phase == "backward" for kernel in kernels)
    each, entered = _RECORDED if trains else _PLAIN
    dispatch = memory = compute = 0.0
    module = ""
    for kernel in kernels:
        alone = seconds(kernel, speeds.tables)
        least = min(alone, least_seconds(kernel, speeds.tables))
        dispatch += least + each * speeds.launch
        if kernel.phase == "forward" and kernel.module != module:
            dispatch += entered * speeds.launch
            module = kernel.module
        moving = min(alone - least, _moving(kernel, speeds))
        memory += moving
        compute += alone - least - moving
    memory += cold_seconds(kernels, speeds.cold)
    memory += speeds.fresh * sum(size for k in kernels if (size := _written(k)) >= _MAPPED)
    return Parts(dispatch, memory, compute)


def _written(kernel: Kernel) -> int:
    return kernel.written * item_size(kernel.dtype)


def _moving(kernel: Kernel, speeds: Speeds) -> float:
    """Seconds that moving the kernel's bytes takes by itself."""
    if kernel.cost is not None and kernel.cost.product is not None:
        work = kernel.cost.matmul / speeds.peak["float32"]
        moving = kernel.bytes_moved / speeds.bandwidth
        return moving if moving > work else 0.0
    table = speeds.tables["add"]
    return table.at(max(1.0, kernel.bytes_moved / 12)) - min(table.seconds)


def cold_seconds(kernels: Sequence[Kernel], cold: Table) -> float:
    """Seconds more for the weights that the cache has forgotten since they were last used.

    The larger operand of a product is taken for the weights. The same product again in the same
    module uses the same ones; between are the bytes that moved since, and before the first use
    those of the whole pass, which ran before.
    """
    moved = sum(kernel.bytes_moved for kernel in kernels)
    seen: dict[object, int] = {}
    total, now = 0.0, 0
    for kernel in kernels:
        now += kernel.bytes_moved
        if kernel.cost is None or kernel.cost.product is None:
            continue
        use = (kernel.module, kernel.phase, kernel.cost.product)
        since = now - seen[use] if use in seen else moved
        seen[use] = now
        total += cold.at(cold.held(0, since)) * weight_bytes(kernel)
    return total
