"""How the wall time of a comparison is shared out, and what is left out when there is too little.

One table, read from top to bottom. A part takes its weight's share of the time that is left, so
that what an earlier part saves or overspends is shared by those behind it; training comes last
among the measurements and takes what remains. A part whose share is below its least time is left
out, and the report says why.
"""

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from phalanx.errors import UsageError


@dataclass(frozen=True)
class Part:
    """One part of a comparison.

    Args:
        name: as in PARTS.
        weight: share of the time left, relative to the parts that are still to come.
        least: seconds below which the part gives nothing.
        most: seconds beyond which it would learn nothing more.
    """

    name: str
    weight: float
    least: float = 0.0
    most: float = math.inf


PARTS = (
    Part("machine", 14, least=2.0, most=60.0),
    Part("levels", 6, least=0.8, most=30.0),
    Part("gradients", 3, least=0.4, most=20.0),
    Part("recall", 17, least=5.0, most=120.0),
    Part("scaling", 12, least=4.0, most=120.0),
    Part("sizes", 8, least=4.0, most=15.0),
    Part("tagging", 11, least=6.0, most=120.0),
    Part("training", 58, least=1.0),
    Part("closing", 1, least=0.0, most=20.0),  # gradients of trained models, samples
)
TASK_PARTS = (
    Part("inference", 18, least=2.0, most=90.0),
    Part("training", 82, least=1.0),
)
REPORT = 1.5  # seconds kept for writing the report, and 1 % of the budget for what is not foreseen


class Budget:
    """A total of wall time, counted from when the program started.

    Args:
        seconds: in all.
        started: reading of ``clock`` at the start.
        clock: seconds; another one for tests.
        parts: what it is shared out to, in order; None: PARTS.
    """

    def __init__(
        self,
        seconds: float,
        started: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        parts: Sequence[Part] | None = None,
    ) -> None:
        self.seconds = seconds
        self.parts = PARTS if parts is None else tuple(parts)
        self._clock = clock
        self._started = clock() if started is None else started

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def left(self) -> float:
        """Seconds until the report has to be written."""
        return self.seconds - self.elapsed - REPORT - 0.01 * self.seconds

    def share(self, name: str) -> float | None:
        """Seconds for a part that starts now; None where they would be too few to be of use."""
        names = [part.name for part in self.parts]
        coming = self.parts[names.index(name) :]
        part, total = coming[0], sum(p.weight for p in coming)
        seconds = min(self.left * part.weight / total, part.most)
        return None if seconds < part.least or seconds <= 0 else seconds

    def why_left_out(self, name: str) -> str:
        """The sentence that the report shows for a part without a share."""
        least = next(part.least for part in self.parts if part.name == name)
        return (
            f"The budget of {self.seconds:g} s leaves no time for it "
            f"(at least {least:g} s would be needed)."
        )


def parse_seconds(given: str | float) -> float:
    """Seconds of a number or of a text such as ``240``, ``60s``, ``5m`` or ``1.5h``.

    Raises:
        UsageError: anything else, or less than a second.
    """
    units = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-z]*)\s*", str(given).lower())
    if match is None or match[2] not in units or float(match[1]) * units[match[2]] < 1:
        raise UsageError(
            f"budget {given!r}: expected seconds of wall time, such as 240, 60s, 5m or 2h."
        )
    return float(match[1]) * units[match[2]]
