"""The record of a run: one JSON object a line, as it happens."""

import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from phalanx.training.trainer import Step, Validation

FILE_NAME = "metrics.jsonl"


class MetricsLog:
    """Writes steps and validations to ``metrics.jsonl``, flushed line by line.

    A step is ``{"kind": "step", "step": .., "tokens": .., "seconds": .., "loss": .., ...}``; a
    validation is ``{"kind": "validation", ...}`` with its scores beside. ``seconds`` is training
    time without validations.
    """

    def __init__(self, directory: Path) -> None:
        self._file = (directory / FILE_NAME).open("a", encoding="utf-8")

    def write(self, event: Step | Validation) -> None:
        """Append one event."""
        line: dict[str, object] = {"kind": type(event).__name__.lower(), **asdict(event)}
        if isinstance(event, Validation):
            line.pop("scores")
            line |= event.scores
        # NaN and infinity are not JSON; a perplexity may overflow.
        self._file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _finite(line: dict[str, object]) -> dict[str, object]:
    def value(given: object) -> object:
        number = isinstance(given, float) and not abs(given) < float("inf")
        return None if number else given

    return {key: value(given) for key, given in line.items()}
