"""What stands between the last layer and the scores, where that is more than a linear map."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.shapes import Vectors


class Transform(nn.Module):
    """A linear layer of a head, applied to each vector alone, and what follows it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Glorot weights, zero biases."""
        nn.init.xavier_uniform_(self.dense.weight, generator=generator)
        nn.init.zeros_(self.dense.bias)


class Pooler(Transform):
    """tanh of a linear layer (Devlin et al. 2019: what BERT does to its first position)."""

    def forward(self, y: Vectors) -> Vectors:
        """Same shape."""
        return torch.tanh(self.dense(y))


class MaskedTransform(Transform):
    """norm(gelu(linear)), by which BERT guesses masked tokens (Devlin et al. 2019)."""

    def __init__(self, width: int, norm: nn.Module) -> None:
        super().__init__(width)
        self.norm = norm

    def forward(self, y: Vectors) -> Vectors:
        """Same shape."""
        # In autocast the linear layer gives bfloat16, and the norm is of float32 like y.
        transformed: Tensor = self.norm(F.gelu(self.dense(y)).to(y.dtype))
        return transformed


def make_transform(head: str, width: int, make_norm: Callable[[], nn.Module]) -> Transform | None:
    """The transform of a head by its name in a configuration; None for ``linear``."""
    if head == "pooler":
        return Pooler(width)
    return MaskedTransform(width, make_norm()) if head == "masked" else None
