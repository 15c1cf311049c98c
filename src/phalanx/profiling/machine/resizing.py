"""The kernels of a pass at a size that was not traced, from those at a few sizes that were."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from phalanx.profiling.costs.cost import Cost
from phalanx.profiling.tracing.graph import Kernel


def through(sizes: Sequence[int], values: Sequence[float], at: int) -> float:
    """The polynomial of lowest degree through ``values`` at ``sizes`` (Lagrange), at ``at``."""
    return sum(
        value * prod((at - other) / (size - other) for other in sizes if other != size)
        for size, value in zip(sizes, values, strict=True)
    )


def same_sequence(traced: Sequence[Sequence[Kernel]]) -> bool:
    """Whether the traces run the same operators in the same modules, in the same order."""

    def order(kernels: Sequence[Kernel]) -> list[tuple[object, ...]]:
        return [(k.name, k.module, k.phase, _product(k) is None, k.cost is None) for k in kernels]

    return all(order(each) == order(traced[0]) for each in traced[1:])


def resized(traced: Sequence[Sequence[Kernel]], sizes: Sequence[int], at: int) -> list[Kernel]:
    """The kernels at size ``at``, when ``traced`` are those at ``sizes`` (see ``same_sequence``).

    Bytes, elements and FLOPs follow a polynomial through those that were traced; so does each
    side of a product, which is at most affine. Depth and chain stay those of the last.
    """
    return [_resized(kernels, sizes, at) for kernels in zip(*traced, strict=True)]


def _resized(kernels: Sequence[Kernel], sizes: Sequence[int], at: int) -> Kernel:
    def value(values: Sequence[float]) -> int:
        return max(0, round(through(sizes, values, at)))

    last = kernels[-1]
    costs = [kernel.cost or Cost() for kernel in kernels]
    products = [found for kernel in kernels if (found := _product(kernel)) is not None]
    cost = last.cost
    if cost is not None:
        cost = replace(
            cost,
            matmul=value([each.matmul for each in costs]),
            other=value([each.other for each in costs]),
        )
    if cost is not None and products:
        batch, m, n, k = (max(1, value(sides)) for sides in zip(*products, strict=True))
        cost = replace(cost, product=(batch, m, n, k), matmul=2 * batch * m * n * k)
    return last._replace(
        cost=cost,
        bytes_moved=value([kernel.bytes_moved for kernel in kernels]),
        written=value([kernel.written for kernel in kernels]),
    )


def _product(kernel: Kernel) -> tuple[int, int, int, int] | None:
    return None if kernel.cost is None else kernel.cost.product
