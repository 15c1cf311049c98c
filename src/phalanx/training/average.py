"""An exponential average of a model's weights along its training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average over the updates so far; late weights count most.

    Update t (the first is 1) keeps ``min(decay, (1 + t) / (10 + t))`` of the average, so that the
    fresh weights that it begins with are soon forgotten, as TensorFlow's ExponentialMovingAverage
    does. Buffers are not averaged.

    Args:
        model: whose weights; the average begins with them as they are.
        decay: share of the average that one update keeps in the long run.

    Attributes:
        updates: how many it is over.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._parameters = dict(model.named_parameters())
        self._averages = [p.detach().clone() for p in self._parameters.values()]
        self._raw: list[Tensor] | None = None  # kept aside while the model holds the average

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an update."""
        self.updates += 1
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._averages, self._weights, 1.0 - kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average inside, and its own weights again afterwards."""
        assert self._raw is None, "the average is applied already"
        raw = [weight.clone() for weight in self._weights]
        try:
            self._raw = raw
            torch._foreach_copy_(self._weights, self._averages)
            yield
        finally:
            torch._foreach_copy_(self._weights, raw)
            self._raw = None

    def raw(self) -> dict[str, Tensor]:
        """The weights that are trained, by name; inside ``applied`` too. No copies."""
        weights = self._weights if self._raw is None else self._raw
        return dict(zip(self._parameters, weights, strict=True))

    def restore(self, updates: int, raw: dict[str, Tensor]) -> None:
        """Go on from a model that holds the average, and the weights that belong to it."""
        self.updates = updates
        torch._foreach_copy_(self._averages, self._weights)
        torch._foreach_copy_(self._weights, [raw[name] for name in self._parameters])

    @property
    def _weights(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self._parameters.values()]
