"""How positions of any model reach each other: by the element shadow, and by exact gradients.

The two are independent: the shadow follows what each kernel reads, the gradients are numbers.
Where one cannot be had the other still answers, and the result says what is missing and why.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from phalanx.errors import PhalanxError
from phalanx.profiling.elements.gradients import causality_of, gradients, norms_by_distance
from phalanx.profiling.elements.paths import Paths, paths
from phalanx.profiling.results import Positions
from phalanx.profiling.span import Law

_FEWEST = 3  # distances that a law needs

Matrix = NDArray[np.float64]
_Found = TypeVar("_Found")


def positions(fn: Callable[[Tensor], Tensor], x: Tensor, *, at: nn.Module | None) -> Positions:
    """Hops, causality, receptive field and gradients between the positions of ``fn(x)``.

    Args:
        fn: (B, T) ids or (B, T, D) vectors -> (B, T', D'), positions on axis 1; deterministic. A
            result without positions, (B, C), is one position that stands where the last one does.
        x: the input, on the CPU. Small: T <= 32.
        at: the module whose output stands for the input, such as the embedding of ids; None for
            vectors.
    """

    def by_position(given: Tensor) -> Tensor:
        y = fn(given)
        if not isinstance(y, Tensor):
            raise PhalanxError(
                f"positions need one tensor (B, T, D) for a result, got a {type(y).__name__}."
            )
        return y if y.dim() > 2 else y.reshape(y.shape[0], 1, -1)

    missing: list[str] = []
    found = _attempt(lambda: paths(by_position, x, at=at), "paths", missing)
    slopes_JBI: Tensor | None = None
    if at is None and not x.is_floating_point():
        missing.append("ids have no gradient: say which module embeds them")
    else:
        slopes_JBI = _attempt(lambda: gradients(by_position, x, at=at), "gradients", missing)
    length = x.shape[1]
    shape = None if found is None else found.kernels_ij.shape
    if slopes_JBI is not None:
        shape = (slopes_JBI.shape[2], slopes_JBI.shape[0])
    outputs = shape[1] if shape else length
    if outputs not in (1, length):
        missing.append(
            f"{length} positions give {outputs}, so that no distance between them is defined"
        )
    elif outputs == 1 and length > 1:
        missing.append("the result has one position, so that causality is not defined")
    elif found is not None and slopes_JBI is not None:
        missing += _disagreements(found, slopes_JBI)
    return _filled(length, outputs, found, slopes_JBI, missing)


def _filled(
    length: int,
    outputs: int,
    found: Paths | None,
    slopes_JBI: Tensor | None,
    missing: list[str],
) -> Positions:
    square = outputs == length
    causality = causality_of(slopes_JBI) if square and slopes_JBI is not None else None
    if causality is not None and slopes_JBI is not None and _shows_nothing(found, slopes_JBI):
        causality = None
        missing = [
            *missing,
            "with these weights every gradient between different positions is zero, so that "
            "gradients say nothing of causality",
        ]
    joined_ij = _joined(found, slopes_JBI)
    kernels = {} if found is None else _by_distance(found.kernels_ij, length)
    exchanges = {} if found is None else _by_distance(found.exchanges_ij, length)
    reached = {} if joined_ij is None else _by_distance(np.where(joined_ij, 0.0, np.inf), length)
    norms: list[float] = []
    if slopes_JBI is not None and outputs in (1, length):
        norms = norms_by_distance(slopes_JBI[-1:], [length - 1])
    return Positions(
        length=length,
        hops_ij=() if found is None else _rows(found.kernels_ij),
        exchanges_ij=() if found is None else _rows(found.exchanges_ij),
        causal_by_shadow=found.causal if square and found is not None else None,
        causal_by_gradient=None if causality is None else causality.causal,
        leak=0.0 if causality is None else causality.leak,
        receptive_field=max((d for d, v in reached.items() if np.isfinite(v)), default=None),
        gradient_by_distance=tuple(norms),
        hops_law=_law(kernels),
        exchanges_law=_law(exchanges),
        why_not="; ".join(missing),
    )


def _attempt(ask: Callable[[], _Found], what: str, missing: list[str]) -> _Found | None:
    try:
        return ask()
    except Exception as error:  # a user's own code runs in here, and may raise anything
        first = (str(error) or type(error).__name__).splitlines()[0]
        missing.append(f"no {what}: {first.rstrip('.')}")
        return None


def _joined(found: Paths | None, slopes_JBI: Tensor | None) -> NDArray[np.bool_] | None:
    # Which inputs each output depends on: by the shadow, or where it refused by the gradients.
    if found is not None:
        return np.isfinite(found.kernels_ij)
    return None if slopes_JBI is None else _depends(slopes_JBI)


def _depends(slopes_JBI: Tensor) -> NDArray[np.bool_]:
    size_JI = slopes_JBI.transpose(1, 2).flatten(2).abs().amax(-1)
    return np.asarray((size_JI != 0).T.numpy())


def _shows_nothing(found: Paths | None, slopes_JBI: Tensor) -> bool:
    # All zero, where the paths do not say that positions are apart indeed.
    apart = ~np.eye(slopes_JBI.shape[0], dtype=bool)
    joined = found is None or np.isfinite(found.kernels_ij[apart]).any()
    return bool(joined and apart.any() and not _depends(slopes_JBI)[apart].any())


def _disagreements(found: Paths, slopes_JBI: Tensor) -> list[str]:
    reached, depends = np.isfinite(found.kernels_ij), _depends(slopes_JBI)
    said = []
    unseen = int((depends & ~reached).sum())
    if unseen:
        said.append(
            f"{unseen} pairs of positions have a gradient where no path was found: their hops "
            "are wrong"
        )
    causal = causality_of(slopes_JBI).causal
    if causal != found.causal:
        if found.causal:
            said.append(
                "by its paths the model is causal, but there are gradients from later inputs"
            )
        else:
            said.append(
                "by its paths the model is not causal, but no gradient comes from later inputs: a "
                "path may carry a number that happens to be zero, or lead through what has no "
                "gradient (an argmax, detach)"
            )
    return said


def _by_distance(matrix_ij: Matrix, length: int) -> dict[int, float]:
    # Distance d -> the longest way over d; a single output stands where the last one would.
    outputs = matrix_ij.shape[1]
    if outputs == length:
        return {d: float(np.diagonal(matrix_ij, d).max()) for d in range(length)}
    if outputs == 1:
        return {length - 1 - i: float(matrix_ij[i, 0]) for i in range(length)}
    return {}


def _law(ways: dict[int, float]) -> Law | None:
    # Of the longest way over distances 1 to d, as far as positions are joined.
    points, most = {}, 0.0
    for d in sorted(ways):
        if d > 0 and np.isfinite(ways[d]):
            points[d] = most = max(most, ways[d])
    return Law.fit(points) if len(points) >= _FEWEST else None


def _rows(matrix_ij: Matrix) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(float(v) if np.isfinite(v) else None for v in row) for row in matrix_ij)
