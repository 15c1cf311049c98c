"""Does call t of a model need what call t-1 chose? Traced, not assumed."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from phalanx.profiling.tracing.trace import Trace, Tracer


@dataclass(frozen=True)
class CallChain:
    """Successive calls of a model, each of which chooses a token.

    Args:
        trace: of all calls together; ``trace.call_span`` is the number of dependent calls.
        needs_last: for each call but the first, whether its token depends on the token that the
            call before it chose (through any data or host read).
        depth: for each call, kernels on the longest chain that ends in its token.
        tokens: what was chosen, for each call.
    """

    trace: Trace
    needs_last: tuple[bool, ...]
    depth: tuple[int, ...]
    tokens: tuple[Tensor, ...]

    @property
    def kernels_per_call(self) -> float:
        """Dependent kernels added by a call, over the second half of the calls."""
        half = (len(self.depth) - 1) // 2
        if len(self.depth) < 2:
            return float(self.depth[0])
        return (self.depth[-1] - self.depth[half]) / (len(self.depth) - 1 - half)


def trace_calls(
    call: Callable[[int, Tensor], Tensor], token: Tensor, count: int, *known: object
) -> CallChain:
    """Run ``token = call(t, token)`` for t in 0 .. count-1 and trace which call needs which.

    Args:
        call: one call of the model and the choice of its token (``argmax``, a sample).
        token: the first token, given.
        count: the number of calls, at least 1.
        known: further modules and tensors that exist beforehand (those of ``call`` are found).
    """
    needs, depths, tokens = [], [], []
    with Tracer(call, token, known) as tracer:
        for t in range(count):
            with tracer.call():
                token = call(t, token)
            if t:
                needs.append(_name(t - 1) in tracer.sources_of(token))
            depths.append(tracer.depth_of(token))
            tokens.append(token)
            tracer.source(token, _name(t))
    return CallChain(tracer.result(), tuple(needs), tuple(depths), tuple(tokens))


def _name(call: int) -> str:
    return f"token {call}"
