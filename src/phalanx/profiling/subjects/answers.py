"""What a module answered: the tensor that counts as its output, and a loss to train by."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.errors import UsageError

CROSS_ENTROPY, SQUARES = "cross entropy", "mean of squares"


def output_of(answer: object) -> Tensor:
    """The first tensor of numbers with two axes or more; of no such, the first of numbers.

    Raises:
        UsageError: there is no tensor of numbers in the answer.
    """
    found = [tensor for tensor in _tensors(answer) if tensor.is_floating_point()]
    if not found:
        raise UsageError(
            f"the module returned {_described(answer)}. Expected a tensor of floating-point "
            "numbers, or a tuple or dict with one."
        )
    return next((tensor for tensor in found if tensor.dim() > 1), found[0])


def own_loss(answer: object) -> Tensor | None:
    """The loss that the module itself returned, as Hugging Face's do when given labels."""
    loss = answer.get("loss") if isinstance(answer, Mapping) else getattr(answer, "loss", None)
    return loss if isinstance(loss, Tensor) else None


def loss_of(answer: object, ids: Tensor | None) -> Tensor:
    """A scalar to differentiate: the module's own loss, else ``cross_entropy`` against ``ids``
    where they are given, else the mean of the output's squares."""
    own = own_loss(answer)
    if own is not None:
        return own
    y = output_of(answer)
    if ids is None:
        return y.float().square().mean()
    return F.cross_entropy(y.flatten(0, 1).float(), ids.flatten())


def _tensors(answer: object) -> Iterator[Tensor]:
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping):
        for value in answer.values():
            yield from _tensors(value)
    elif isinstance(answer, (tuple, list)):
        for value in answer:
            yield from _tensors(value)


def _described(answer: Any) -> str:
    return f"a {answer.dtype} tensor" if isinstance(answer, Tensor) else type(answer).__name__
