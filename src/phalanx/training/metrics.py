"""The record of a run: one JSON object a line, as it happens."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from phalanx.durable import storage_error
from phalanx.errors import UsageError
from phalanx.jsonable import dumps
from phalanx.training.events import Event, as_line
from phalanx.training.history import FILE_NAME, parse


class MetricsLog:
    """Writes every event of a run to ``metrics.jsonl``, in the system's hands line by line.

    A step is ``{"kind": "step", "step": .., "tokens": .., "seconds": .., "loss": .., ...}``; a
    validation is ``{"kind": "validation", ...}`` with its scores beside; so are ``checkpoint``,
    ``resume`` and ``end``. ``seconds`` is training time without validations.

    Args:
        directory: of the run.
        resume_at: the step at which the run goes on; what was recorded beyond it is cut off, so
            that the record becomes that of a run which never stopped.
        validated: the step of the last validation before that; None: ``resume_at`` too. A run may
            go on from a checkpoint that was made just before a validation.

    Raises:
        StorageError: the file cannot be written.
        UsageError: it goes on, and the file is damaged in its middle.
    """

    def __init__(
        self, directory: Path, resume_at: int | None = None, validated: int | None = None
    ) -> None:
        self._path = directory / FILE_NAME
        try:
            if resume_at is not None:
                cut(self._path, resume_at, resume_at if validated is None else validated)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(self._path, error) from None

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            StorageError: the disk is full, for one; no part of the line is left behind.
        """
        line = (dumps(as_line(event)) + "\n").encode()
        size = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, size)
            raise storage_error(self._path, error) from None

    def sync(self) -> None:
        """Make what was written last through a crash of the machine.

        Raises:
            StorageError: it cannot be.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            raise storage_error(self._path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)


def cut(path: Path, step: int, validated: int) -> None:
    """Cut off a record beyond a step: later lines, a line that was never finished, and the end.

    Validations go that are later than the step ``validated``.

    Lines stand in the order of their steps, so what goes is the file's tail, and the file is only
    made shorter: no copy, no memory, and no moment at which a part of the rest is missing.

    Raises:
        UsageError: a line among those that stay is not JSON.
        OSError: the file cannot be written.
    """
    if not path.exists():
        return
    keep, position, unreadable = 0, 0, 0
    with path.open("r+b") as file:
        for number, line in enumerate(file, 1):
            position += len(line)
            values = parse(line) if line.endswith(b"\n") else None
            if values is None:
                unreadable = unreadable or number
            elif _beyond(values, step, validated):
                break
            elif unreadable:
                raise UsageError(
                    f"{path}:{unreadable}: not a JSON object, and lines before step {step} follow "
                    "it. Expected one a line. Remove that line to go on."
                )
            else:
                keep = position
        file.truncate(keep)
        os.fsync(file.fileno())


def _beyond(values: dict[str, Any], step: int, validated: int) -> bool:
    kind, at = values.get("kind"), values.get("step")
    last = validated if kind == "validation" else step
    return kind == "end" or (isinstance(at, float) and at > last)


class JsonLines:
    """Prints every event as one line of JSON, the objects of ``metrics.jsonl``, as it happens.

    Args:
        on_closed: called when the reader has gone, once; nothing is printed from then on.
        stream: None: stdout.

    Attributes:
        closed: the reader has gone.
    """

    def __init__(self, on_closed: Callable[[], object], stream: IO[str] | None = None) -> None:
        self._on_closed = on_closed
        self._stream = stream or sys.stdout
        self.closed = False

    def write(self, event: Event) -> None:
        """Print one event."""
        if self.closed:
            return
        try:
            print(dumps(as_line(event)), file=self._stream, flush=True)
        except BrokenPipeError:
            self.closed = True
            self._on_closed()
