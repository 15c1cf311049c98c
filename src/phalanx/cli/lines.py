"""Lines of text from a file or from stdin as they come, decoded one by one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from phalanx.errors import UsageError

_AT_ONCE = 2**16
_MARK = b"\xef\xbb\xbf"


class _LeftError(Exception):
    """Somebody asked to stop while nothing came."""


class LineReader:
    """The lines of a stream, those together that are there at the same time.

    A file comes in large pieces, and what a person or a program writes line by line comes line by
    line: nothing is waited for that is not needed yet.

    Args:
        stream: bytes of UTF-8; a byte order mark at its beginning is not text.
        name: of the file, for errors.
        errors: what is done about bytes that are not UTF-8, ``strict`` or ``replace``.
    """

    def __init__(self, stream: BinaryIO, name: str, errors: str = "strict") -> None:
        self._stream, self._name, self._errors = stream, name, errors
        self._waiting = False

    def leave(self) -> None:
        """Let a signal end the wait for the next line; to be called by its handler."""
        if self._waiting:
            raise _LeftError

    def __iter__(self) -> Iterator[list[str]]:
        """Lines without their ends (LF or CR LF), in lists that are not empty.

        Raises:
            UsageError: a line is not UTF-8; those before it have been yielded.
        """
        held, count = b"", 0
        while True:
            piece = self._read()
            data = held + piece
            if not count and not held:
                data = data.removeprefix(_MARK)
            # Only what is whole is a line, but for the last one, which may have no end.
            *whole, held = data.split(b"\n")
            if not piece and held:
                whole, held = [*whole, held], b""
            lines = list(self._decoded(whole, count))
            if lines:
                yield lines
            count += len(whole)
            if len(lines) < len(whole):
                raise self._fault(whole[len(lines)], count - len(whole) + len(lines) + 1)
            if not piece:
                return

    def _read(self) -> bytes:
        self._waiting = True
        try:
            return self._stream.read1(_AT_ONCE)  # type: ignore[attr-defined, no-any-return]
        except _LeftError:
            return b""
        finally:
            self._waiting = False

    def _decoded(self, lines: list[bytes], before: int) -> Iterator[str]:
        for line in lines:
            try:
                yield line.removesuffix(b"\r").decode(errors=self._errors)
            except UnicodeDecodeError:
                return

    def _fault(self, line: bytes, number: int) -> UsageError:
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return UsageError(
                f"{self._name}:{number}: not UTF-8 text, byte 0x{line[error.start]:02x} "
                f"({error.reason}). Expected UTF-8. Convert it first, for example with iconv."
            )
        raise AssertionError("the line is text")


@contextmanager
def opened_lines(name: str | None, errors: str = "strict") -> Iterator[LineReader]:
    """The lines of a file; of stdin for None and ``-``.

    Raises:
        UsageError: it cannot be read.
    """
    if name is None or name == "-":
        if sys.stdin is None:
            raise UsageError("stdin is closed. Expected text on it. Pipe it in, as in `< in.txt`.")
        yield LineReader(sys.stdin.buffer, "stdin", errors)
        return
    try:
        stream = open(name, "rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise UsageError(
            f"{name}: {error.strerror}. Expected a readable file of lines. Check the path."
        ) from None
    with stream:
        try:
            yield LineReader(stream, name, errors)
        except IsADirectoryError as error:
            raise UsageError(
                f"{name}: {error.strerror}. Expected a file of lines. Check the path."
            ) from None
