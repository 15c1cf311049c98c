"""Speeds of a machine that does not exist, whose every time is known by arithmetic."""

from phalanx.profiling.costs.cost import Cost, of_product
from phalanx.profiling.machine.calibration import Speeds
from phalanx.profiling.machine.probes import PROBES
from phalanx.profiling.machine.tables import Table, grid
from phalanx.profiling.tracing.graph import Kernel

LAUNCH = 1e-6
FLOPS = 1e11
BANDWIDTH = 1e10
PRODUCTS = {"mm": 1, "bmm": 1, "mm bfloat16": 4}


def speeds(threads: int = 1, unsteady: str | None = None) -> Speeds:
    """A launch is 1 us; products run at FLOPS, all else at a nanosecond for each unit of size."""

    def table(name: str) -> Table:
        axes = tuple(tuple(float(size) for size in axis) for axis in PROBES[name].axes)
        return Table(axes, tuple(LAUNCH + _seconds(name, point) for point in grid(axes)))

    return Speeds(
        key={"format": 1, "device": "cpu", "threads": threads},
        tables={name: table(name) for name in PROBES},
        peak={"float32": FLOPS, "bfloat16": 4 * FLOPS},
        bandwidth=BANDWIDTH,
        cold=Table(((1e6, 1e8),), (1e-15, 1e-10)),
        fresh=1e-9,
        spread=1.0,
        unsteady=unsteady,
    )


def _seconds(name: str, point: tuple[float, ...]) -> float:
    size = 1.0
    for each in point:
        size *= each
    return 2 * size / FLOPS / PRODUCTS[name] if name in PRODUCTS else 1e-9 * point[0]


def kernel(name: str, count: int, module: str = "", phase: str = "forward") -> Kernel:
    """A kernel that reads two and writes one array of ``count`` float32 numbers."""
    return Kernel(name, module, phase, Cost(0, count, 1), 12 * count, count, "float32", ())


def product(m: int, n: int, k: int, module: str = "", phase: str = "forward") -> Kernel:
    """One matrix product."""
    moved = 4 * (m * k + k * n + m * n)
    cost = of_product((1, m, n, k), 0, 1)
    return Kernel("mm", module, phase, cost, moved, m * n, "float32", ())
