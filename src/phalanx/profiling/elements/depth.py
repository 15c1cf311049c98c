"""How many dependent kernels the longest chain holds when kernels wait for elements, not tensors.

A bulk kernel is a false barrier: one product over a whole layer makes all of the next layer wait
for its last position, though its first one could go on. On real tensors at small T each element
is as deep as the deepest element that it reads, and one more: a stack of recurrent layers is then
the wavefront that it can run as.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from phalanx.profiling.elements.distances import Latest, Reading
from phalanx.profiling.elements.elements import Distances, Elements
from phalanx.profiling.elements.mode import ElementMode
from phalanx.profiling.elements.path_rules import Call, UnfollowedOperatorError, follow
from phalanx.profiling.elements.rules.call import whole
from phalanx.profiling.tracing.origins import tensors_known_to
from phalanx.profiling.tracing.shadow import storage_key


@dataclass(frozen=True)
class ElementDepth:
    """The longest chain from element to element.

    Args:
        depth: kernels on it. An upper bound where ``barriers`` is not empty.
        barriers: operators without a rule, and reads by the host: name -> count. All results of
            one were taken to depend on all that it reads.
    """

    depth: int
    barriers: dict[str, int]


def element_depth(run: Callable[[], object], *known: object) -> ElementDepth:
    """Follow ``run()``, its backward pass too where it has one, on real tensors.

    Args:
        run: the computation; what it, its closure and arguments hold stands at depth 0. Small:
            T <= 32.
        known: more that exists beforehand.

    Given tensors that are no parameters are taken at their values: where a mask among them
    makes a zero, a product with it depends on nothing.
    """
    with _DepthMode((run, *known)) as mode:
        run()
    return ElementDepth(mode.depth, dict(mode.barriers))


class _DepthMode(ElementMode):
    def __init__(self, known: object) -> None:
        super().__init__(Latest())
        self.barriers: Counter[str] = Counter()
        self.depth = 0
        self._control: Distances | None = None  # what the host has waited for
        self._held = list(tensors_known_to(known))  # so that no address is given to another
        self._known = {storage_key(tensor) for tensor in self._held}

    def given(self, tensor: Tensor) -> tuple[Distances, bool]:
        learned = isinstance(tensor, nn.Parameter) or tensor.requires_grad
        if learned or storage_key(tensor) in self._known:
            return np.zeros((1, 1), np.int16), not learned
        return self.nothing(), True

    def results(self, call: Call) -> list[Elements]:
        try:
            found = follow(call)
        except UnfollowedOperatorError:
            self.barriers[call.name] += 1
            found = call.everything()
        if self._control is not None:
            found = [self._after_host(call, item) for item in found]
        for item in found:
            self.depth = max(self.depth, -int(item.distance.min(initial=0)))
        return found

    def host_read(self, read: list[Elements], name: str) -> None:
        readings = [whole(item, 0) for item in read if item.reached]
        if not readings:
            return
        self.barriers[name] += 1
        if self._control is not None:
            readings.append(Reading(self._control[..., None]))
        self._control = self.counting.combine(readings, 0)
        self.depth = max(self.depth, -int(self._control.min()))

    def _after_host(self, call: Call, item: Elements) -> Elements:
        assert self._control is not None
        waits = self._control.reshape(1, 1, *[1] * len(item.shape), 1)
        later = call.counting.combine([Reading(waits)], len(item.shape))
        return Elements(item.shape, np.minimum(item.distance, later), item.fixed)
