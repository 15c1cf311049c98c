"""How information travels: from position to position, and from chosen token to chosen token."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phalanx.comparison.rules import NOTHING_WAITS
from phalanx.comparison.subjects import embedded_as
from phalanx.inference.decoding import Decoding
from phalanx.models import Decoder, SequenceModel
from phalanx.profiling.elements.paths import paths
from phalanx.profiling.span import Law
from phalanx.profiling.tracing.trace import Tracer, TraceWarning

DISTANCES = (16, 32, 64, 128)
FAR_DISTANCES = (256, 512, 768)
_FLAT_CHECK = 256
_LEAD = 16  # positions before the farthest source: the zero state before the first one is a
# constant, and a product with a constant zero carries nothing
_PROMPT = 4


@dataclass(frozen=True)
class Reach:
    """Kernels on the shortest path from earlier positions to the last output.

    Args:
        kernels: distance -> kernels; infinity where nothing arrives.
    """

    kernels: dict[int, float]

    @property
    def blocked(self) -> int | None:
        """The shortest distance that nothing crosses; None where all are crossed."""
        return min((d for d, count in self.kernels.items() if math.isinf(count)), default=None)

    @property
    def law(self) -> Law:
        """Growth of the path with the distance; only where nothing is blocked."""
        return Law.fit(self.kernels)

    @property
    def growth(self) -> tuple[float, float]:
        """Kernels per position of distance, and per doubling of it.

        A path in steps, as through a window, fits no law exactly: its growth is then that between
        the nearest and the farthest pair.
        """
        law = self.law
        return (law.slope, law.logarithm) if law.exact else (law.mean_slope, 0.0)


def reach(model: SequenceModel, distances: Sequence[int] = DISTANCES) -> Reach:
    """Paths over the given distances; where they look flat, over a longer one as well."""
    found = _reach(model, distances)
    if found.blocked is None and found.law.slope < NOTHING_WAITS:
        found = Reach(found.kernels | _reach(model, (_FLAT_CHECK,)).kernels)
    return found


def _reach(model: SequenceModel, distances: Sequence[int]) -> Reach:
    # From some inputs to the last output, all other inputs being constants.
    length = _LEAD + max(distances) + 1
    last = length - 1
    places = sorted(last - distance for distance in distances)
    weight = model.embedding.weight
    ids_BT = torch.zeros(1, length, dtype=torch.int64, device=weight.device)
    sources_1SD = weight.detach()[: len(places)][None].clone()
    others_1TD = torch.ones(1, length, weight.shape[1], dtype=weight.dtype, device=weight.device)

    def from_sources(x_1SD: Tensor) -> Tensor:
        pieces, start = [], 0
        for index, place in enumerate(places):
            pieces += [others_1TD[:, start:place], x_1SD[:, index : index + 1]]
            start = place + 1
        placed_1TD = torch.cat([*pieces, others_1TD[:, start:]], 1)
        with embedded_as(model, lambda _: placed_1TD):
            y_BTD, _ = model.hidden(ids_BT)
        return y_BTD[:, -1:]

    found = paths(from_sources, sources_1SD).kernels_ij[:, 0]
    return Reach({last - place: float(found[i]) for i, place in enumerate(places)})


def decades_per_position(norms: Mapping[int, float]) -> float:
    """Slope of log10 of a gradient's norm in the distance, by least squares.

    A gradient that vanished on the way counts as the smallest number. Where none crosses any
    distance at all, as in a fresh model whose branches start at zero, there is nothing to fit: NaN.
    """
    if max((norm for distance, norm in norms.items() if distance > 0), default=0.0) == 0.0:
        return math.nan
    distances = torch.tensor(sorted(norms), dtype=torch.float64)
    values = torch.tensor([norms[int(d)] for d in distances], dtype=torch.float64)
    logs = values.clamp(min=torch.finfo(torch.float64).tiny).log10()
    centred = distances - distances.mean()
    return float((centred * (logs - logs.mean())).sum() / centred.square().sum())


@dataclass(frozen=True)
class TokenChain:
    """Which generated token needs which earlier one.

    Args:
        chain: for each token, how many tokens the longest chain that ends in it holds.
        needs_last: share of the tokens but the first that need the one before them.
    """

    chain: tuple[int, ...]
    needs_last: float

    @property
    def per_token(self) -> float:
        """Dependent tokens added by a token, over the second half."""
        middle = len(self.chain) // 2 - 1
        return (self.chain[-1] - self.chain[middle]) / (len(self.chain) - 1 - middle)


def token_chain(model: Decoder, count: int = 8) -> TokenChain:
    """Generate ``count`` tokens as ``inference.generate`` does, following the choices.

    No token is read by the host: what is found is what the model needs, not what a program that
    prints waits for.
    """
    chosen: list[Tensor] = []
    needs: list[list[int]] = []
    with torch.inference_mode():
        decoding = Decoding(model, [[0] * _PROMPT], _PROMPT + count)
        with warnings.catch_warnings(), Tracer(decoding) as tracer:
            # Dependence alone is asked for: an operator whose FLOPs are not known says nothing.
            warnings.filterwarnings("ignore", "operators without a cost formula", TraceWarning)
            for number in range(count):
                with tracer.call():
                    token_B = decoding.step(chosen[-1]) if chosen else decoding.prefill()
                found = tracer.sources_of(token_B)
                needs.append([n for n in range(number) if str(n) in found])
                tracer.source(token_B, str(number))
                chosen.append(token_B)
    chain: list[int] = []
    for earlier in needs:
        chain.append(1 + max((chain[n] for n in earlier), default=0))
    last = [number - 1 in earlier for number, earlier in enumerate(needs) if number]
    return TokenChain(tuple(chain), sum(last) / len(last))
