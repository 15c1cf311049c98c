"""The position-wise feed-forward network: one function, applied to each position alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.config import FeedForwardConfig
from phalanx.shapes import Vectors

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "squared_relu": lambda x: F.relu(x).square(),  # So et al. 2021 (Primer)
}


class FeedForward(nn.Module):
    """activation(x W1 + b1) W2 + b2 (Vaswani et al. 2017, equation 2)."""

    def __init__(self, width: int, inner: int, activation: str = "relu", bias: bool = True) -> None:
        super().__init__()
        self.input = nn.Linear(width, inner, bias=bias)
        self.output = nn.Linear(inner, width, bias=bias)
        self.activation = activation
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Glorot weights, zero biases."""
        for linear in self.children():
            assert isinstance(linear, nn.Linear)
            nn.init.xavier_uniform_(linear.weight, generator=generator)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(self, x: Vectors) -> Vectors:
        """Each position on its own; same shape."""
        y: Tensor = self.output(_ACTIVATIONS[self.activation](self.input(x)))
        return y


class GatedFeedForward(FeedForward):
    """(silu(x G) * x W1) W2, called SwiGLU (Shazeer 2020; Llama)."""

    def __init__(self, width: int, inner: int, bias: bool = True) -> None:
        super().__init__(width, inner, "swiglu", bias)
        self.gate = nn.Linear(width, inner, bias=bias)
        self.init_weights()

    def forward(self, x: Vectors) -> Vectors:
        """Each position on its own; same shape."""
        y: Tensor = self.output(F.silu(self.gate(x)) * self.input(x))
        return y


def make_feed_forward(width: int, config: FeedForwardConfig) -> FeedForward:
    """The feed-forward network of a configuration."""
    if config.activation == "swiglu":
        return GatedFeedForward(width, config.width, config.bias)
    return FeedForward(width, config.width, config.activation, config.bias)
