"""What the cost of a kernel is made of, and the little arithmetic that its formulas share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Product = tuple[int, int, int, int]
Arguments = Sequence[Any]


@dataclass(frozen=True)
class Cost:
    """The cost of one kernel.

    Args:
        matmul: FLOPs inside matrix products and convolutions.
        other: FLOPs outside them.
        depth: dependent scalar operations.
        chain: dependent kernels that it stands for: 1, but for a fused recurrent layer, which is
            one launch and runs through its positions inside.
        product: (batch, m, n, k) of a matrix product, ``batch`` times (m, k) @ (k, n); of a
            convolution the implicit one; of a kernel that fuses several, one with their FLOPs
            altogether. 2 batch m n k = ``matmul``. None where nothing is multiplied.
    """

    matmul: int = 0
    other: int = 0
    depth: int = 0
    chain: int = 1
    product: Product | None = None


Formula = Callable[[Arguments, Sequence[Tensor]], Cost]


def of_product(product: Product, other: int, depth: int, chain: int = 1) -> Cost:
    """The cost of a kernel whose matrix products are ``product``."""
    batch, m, n, k = product
    return Cost(2 * batch * m * n * k, other, depth, chain, product)


def log2_ceil(count: int) -> int:
    """The depth of a balanced tree over ``count`` leaves; 0 for none or one."""
    return max(0, int(count) - 1).bit_length()


def dot_depth(terms: int) -> int:
    """Depth of one entry of a matrix product: a multiplication, then a sum over ``terms``."""
    return 1 + log2_ceil(terms)


def softmax_depth(count: int) -> int:
    """Maximum and sum, and three scalar operations beside them."""
    return 3 + 2 * log2_ceil(count)


def norm_depth(width: int) -> int:
    """Layer norm: mean and variance, and eight scalar operations beside them."""
    return 8 + 2 * log2_ceil(width)
