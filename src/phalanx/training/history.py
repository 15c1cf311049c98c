"""A run's record read back, also while the run writes it or after it was killed. No torch."""

import json
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phalanx.errors import UsageError

FILE_NAME = "metrics.jsonl"
_STEP = b'{"kind": "step"'


class Columns:
    """Figures by name, one entry a line; NaN where a line has none that is finite."""

    def __init__(self) -> None:
        self.rows = 0
        self._columns: dict[str, array[float]] = {}

    def append(self, line: Mapping[str, Any]) -> None:
        """Add the numbers of a line."""
        for name, value in line.items():
            if isinstance(value, float):
                column = self._columns.setdefault(name, array("d", [math.nan]) * self.rows)
                column.append(value if math.isfinite(value) else math.nan)
        self.rows += 1
        for column in self._columns.values():
            if len(column) < self.rows:
                column.append(math.nan)

    def __getitem__(self, name: str) -> "array[float]":
        return self._columns.get(name, array("d", [math.nan]) * self.rows)

    def last(self, name: str) -> float | None:
        """The newest entry of a column; None where it is NaN or there is none."""
        value = self[name][-1] if self.rows else math.nan
        return None if math.isnan(value) else value


@dataclass
class History:
    """What a run recorded.

    Args:
        steps: step, tokens, seconds, loss, rate, gradient_norm.
        validations: step, tokens, seconds, training_loss, and the scores.
        checkpoints: step.
        resumes: step, tokens, seconds at which each later process went on.
        end: the line of the run's end, where it has one.
    """

    steps: Columns = field(default_factory=Columns)
    validations: Columns = field(default_factory=Columns)
    checkpoints: Columns = field(default_factory=Columns)
    resumes: Columns = field(default_factory=Columns)
    end: Mapping[str, Any] | None = None


def read(run: Path) -> History:
    """Read the record of a run directory.

    A last line that was never finished is passed over, and so are unknown kinds of lines.

    Raises:
        UsageError: there is no record, or a line of it is not a JSON object.
    """
    path = run / FILE_NAME
    return _gather(path, _lines(path))


def read_outline(run: Path) -> History:
    """Read a record as ``read`` does, but of the steps only the last: long records in no time."""
    path = run / FILE_NAME
    return _gather(path, _without_steps(_lines(path)))


def parse(line: bytes) -> dict[str, Any] | None:
    """A line's object, its numbers as floats; None where it is no JSON object."""
    try:
        values = json.loads(line, parse_int=float)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _gather(path: Path, lines: Iterator[tuple[int, bytes]]) -> History:
    history = History()
    columns = {
        "step": history.steps,
        "validation": history.validations,
        "checkpoint": history.checkpoints,
        "resume": history.resumes,
    }
    for number, line in lines:
        values = parse(line)
        if values is None:
            if not line.endswith(b"\n"):  # the last: killed while writing it, or writing it now
                continue
            raise UsageError(
                f"{path}:{number}: not a JSON object. Expected one a line, as training writes "
                "them. Remove the line."
            )
        kind = values.get("kind")
        if kind == "end":
            history.end = values
        elif isinstance(kind, str) and kind in columns:
            columns[kind].append(values)
    return history


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, 1)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}. Expected the record of a run, as `phalanx "
            "train` writes it."
        ) from None


def _without_steps(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """All lines but finished steps, and then the last of these."""
    last = None
    for number, line in lines:
        if line.startswith(_STEP) and line.endswith(b"\n"):
            last = number, line
        else:
            yield number, line
    if last is not None:
        yield last
