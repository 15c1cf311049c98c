"""Which call of a model needs what which other call chose: traced on the real calls."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from phalanx.inference.decoding import Decoding
from phalanx.profiling.tracing.trace import Tracer, TraceWarning


@dataclass(frozen=True)
class Call:
    """One call of the model in a generation.

    Args:
        read: the tokens that it was given: the whole prompt in the first call, then one.
        chosen: the token that was chosen from its scores.
        needs: numbers (from 0) of the earlier calls on whose choices this choice depends.
        depth: kernels on the longest chain that ends in the choice, from the very beginning.
    """

    read: tuple[int, ...]
    chosen: int
    needs: tuple[int, ...]
    depth: int


@dataclass(frozen=True)
class CallTrace:
    """The calls of one generation.

    Args:
        calls: in the order in which they ran.
    """

    calls: tuple[Call, ...]

    @property
    def dependent_calls(self) -> int:
        """Calls on the longest chain in which each needs the choice of the one before it."""
        chains: list[int] = []
        for call in self.calls:
            chains.append(1 + max((chains[number] for number in call.needs), default=0))
        return max(chains, default=0)


def trace_generation(decoding: Decoding, prompt: Sequence[int], count: int) -> CallTrace:
    """Run the prompt's pass and ``count`` - 1 steps of one row, following the data.

    No token is read by the host before all calls have run: what the trace finds is what the
    model's own arithmetic needs, not what this program waits for.
    """
    needs: list[tuple[int, ...]] = []
    depths: list[int] = []
    chosen: list[torch.Tensor] = []
    with torch.inference_mode(), _without_costs(), Tracer(decoding) as tracer:
        for number in range(count):
            with tracer.call():
                tokens_B = decoding.step(chosen[-1]) if chosen else decoding.prefill()
            found = tracer.sources_of(tokens_B)
            needs.append(tuple(n for n in range(number) if str(n) in found))
            depths.append(tracer.depth_of(tokens_B))
            tracer.source(tokens_B, str(number))
            chosen.append(tokens_B)
    ids = [int(tokens_B[0]) for tokens_B in chosen]
    reads = [tuple(prompt), *((token,) for token in ids[:-1])]
    return CallTrace(tuple(map(Call, reads, ids, needs, depths)))


@contextmanager
def _without_costs() -> Iterator[None]:
    """Dependence alone is asked for here: that an operator's FLOPs are not known says nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "operators without a cost formula", TraceWarning)
        yield
