"""What is timed, and what a measurement says beside its points."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from phalanx.profiling.machine.timing import Timing, spread

Axis = Literal["length", "batch", "threads"]


class Run(NamedTuple):
    """One thing that is timed."""

    batch: int
    length: int
    threads: int

    @property
    def size(self) -> int:
        """Positions in all."""
        return self.batch * self.length


@dataclass
class Notes:
    """What is found beside the points.

    Args:
        spreads: of the control, the largest of each axis.
        reasons: what is not to be trusted ("times", "speed-ups") -> mode -> why.
        said: sentences.
    """

    spreads: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def scattered(self, axis: Axis, control: Timing) -> None:
        """Keep the largest spread of an axis."""
        self.spreads[axis] = max(spread(control.seconds), self.spreads.get(axis, 0.0))

    def inconclusive(self) -> str | None:
        """Why no verdict may rest on the times, the first reason of each kind; or None."""
        lines = [
            f"The {what} of {', '.join(whys)} are inconclusive: {next(iter(whys.values()))}."
            for what, whys in self.reasons.items()
        ]
        return " ".join(lines) or None


def shown(run: Run, here: int) -> str:
    """A run in words; ``here``: threads that need no mention."""
    threads = "" if run.threads == here else f" with {count(run.threads, 'thread')}"
    return f"{count(run.batch, 'row')} of {run.length}{threads}"


def count(number: int, what: str) -> str:
    """A number with its noun: 1 row, 2 rows."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def time_text(seconds: float) -> str:
    """Seconds as text."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
