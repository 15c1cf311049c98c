"""What happens to a run beside its steps and validations, and any of these as a line of JSON."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from phalanx.jsonable import finite

if TYPE_CHECKING:
    from phalanx.training.trainer import Step, Validation

Reason = Literal["steps", "seconds", "patience", "interrupted", "diverged", "failed"]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint was published.

    Args:
        step: steps taken so far.
        best: whether it is the best so far.
    """

    step: int
    best: bool


@dataclass(frozen=True)
class Resume:
    """A process goes on from a checkpoint.

    Args:
        step, tokens, seconds: of that checkpoint; ``seconds`` is training time.
    """

    step: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class End:
    """A process ended the run, or left it.

    Args:
        reason: the length, the clock or early stopping ended it; or it was interrupted and can go
            on; or the loss stopped being a number; or something failed.
        step, tokens, seconds: so far; ``seconds`` is training time.
    """

    reason: Reason
    step: int
    tokens: int
    seconds: float


Event: TypeAlias = "Step | Validation | Checkpoint | Resume | End"


def as_line(event: Event) -> dict[str, Any]:
    """An event as JSON values: its kind, its fields, and the scores of a validation beside them."""
    line: dict[str, Any] = {"kind": type(event).__name__.lower(), **asdict(event)}
    line |= line.pop("scores", {})
    result: dict[str, Any] = finite(line)
    return result
