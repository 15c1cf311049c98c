"""What an output depends on by its exact gradients: causality, and how far a signal carries.

A causal model's output t has exactly zero gradient with respect to every later input. (Putting a
NaN there shows nothing: 0 * NaN is NaN.)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from phalanx.errors import PhalanxError


@dataclass(frozen=True)
class Causality:
    """Whether outputs are free of later inputs.

    Args:
        causal: every gradient of an output with respect to a later input is exactly zero.
        leak: the greatest absolute such gradient.
        where: (output position, input position) of that leak, or None.
    """

    causal: bool
    leak: float
    where: tuple[int, int] | None


def gradients(
    fn: Callable[..., Tensor],
    inputs: Tensor,
    *,
    at: nn.Module | None = None,
    outputs: Sequence[int] | None = None,
    seed: int = 0,
) -> Tensor:
    """d (random projection of output t) / d input s, for each output t wanted.

    Args:
        fn: ``fn(inputs) -> y`` with positions on axis 1 of both.
        inputs: (B, T, D) vectors, or (B, T) ids with ``at``.
        at: the module whose output stands for the inputs, such as the embedding of ids.
        outputs: output positions; all of them by default.
        seed: of the projection's random weights, one for each element of an output.

    Returns:
        (N, B, T, ...) gradients, one (B, T, ...) for each output position.

    Raises:
        PhalanxError: the outputs are no real numbers.
        ValueError: ``at`` ran more or less than once, or gave other positions than the inputs'.
    """
    captured: list[Tensor] = []

    def keep(produced: Tensor) -> Tensor:
        if produced.shape[:2] != inputs.shape[:2]:
            raise ValueError(
                f"`at` gave {tuple(produced.shape)}; it has to give (B, T, ...) with (B, T) = "
                f"{tuple(inputs.shape[:2])}."
            )
        # A leaf of its own: the gradient of what follows, weights frozen or not.
        fresh = produced.detach().requires_grad_()
        captured.append(fresh)
        return fresh

    if at is None:
        inputs = keep(inputs)
    with standing_for_input(at, keep), torch.enable_grad():
        y = fn(inputs)
    if not y.is_floating_point():
        raise PhalanxError(f"a result of {y.dtype} has no gradient; give one of real numbers.")
    chosen = range(y.shape[1]) if outputs is None else outputs
    if not y.requires_grad:  # depends on nothing
        return captured[0].new_zeros(len(chosen), *captured[0].shape)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(y[:, 0].shape, generator=generator, dtype=torch.float64)
    weights = weights.to(y.device, y.dtype)
    found = []
    for t in chosen:
        (gradient,) = torch.autograd.grad(
            (y[:, t] * weights).sum(), captured, retain_graph=True, allow_unused=True
        )
        found.append(torch.zeros_like(captured[0]) if gradient is None else gradient)
    return torch.stack(found)


@contextmanager
def standing_for_input(
    at: nn.Module | None, seen: Callable[[Tensor], Tensor | None]
) -> Iterator[None]:
    """Inside, ``at``'s output goes through ``seen``, which may replace it; None: nothing is done.

    Raises:
        ValueError: ``at`` ran more or less than once, on leaving.
    """
    if at is None:
        yield
        return
    times = 0

    def hook(module: nn.Module, given: Any, produced: Tensor) -> Tensor | None:
        nonlocal times
        times += 1
        return seen(produced)

    handle = at.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if times != 1:
        raise ValueError(f"`at` ran {times} times in one pass; it has to run once.")


def causality(
    fn: Callable[..., Tensor], inputs: Tensor, *, at: nn.Module | None = None, seed: int = 0
) -> Causality:
    """Check every output of ``fn`` against every later input; arguments as ``gradients``."""
    return causality_of(gradients(fn, inputs, at=at, seed=seed))


def causality_of(found: Tensor) -> Causality:
    """The same from the gradients (T, B, T, ...) of all outputs."""
    size_TS = found.abs().transpose(1, 2).flatten(2).amax(-1)
    # NaN compares as unequal to zero below: a broken model is not a causal one.
    later_TS = torch.where(torch.ones_like(size_TS).triu(1) > 0, size_TS, 0)
    causal = bool((later_TS == 0).all())
    worst = int(later_TS.argmax())
    where = None if causal else (worst // size_TS.shape[1], worst % size_TS.shape[1])
    return Causality(causal, float(later_TS.max()), where)


def gradient_by_distance(
    fn: Callable[..., Tensor],
    inputs: Tensor,
    *,
    at: nn.Module | None = None,
    outputs: Sequence[int] | None = None,
    seed: int = 0,
) -> list[float]:
    """Norm of d output_t / d input_(t-d) for d = 0, 1, ...; arguments as ``gradients``.

    By default from the last output, over all its past; with several outputs the root mean square
    over those that have a position d before them. The norm is over the batch row's vector, its
    mean square taken over rows.
    """
    last = inputs.shape[1] - 1
    chosen = [last] if outputs is None else list(outputs)
    found = gradients(fn, inputs, at=at, outputs=chosen, seed=seed)
    return norms_by_distance(found, chosen)


def norms_by_distance(found: Tensor, outputs: Sequence[int]) -> list[float]:
    """The same from the gradients (N, B, T, ...) of the outputs at N positions."""
    squares_NT = found.double().square().flatten(3).sum(-1).mean(1)  # (N, B, T, D) -> (N, T)
    norms = []
    for d in range(max(outputs) + 1):
        there = [squares_NT[n, t - d] for n, t in enumerate(outputs) if t >= d]
        norms.append(float(torch.stack(there).mean().sqrt()))
    return norms
