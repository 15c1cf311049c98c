"""A document: the text of one file under a name, and how a file becomes one."""

from dataclasses import dataclass
from pathlib import Path

from phalanx.errors import UsageError

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Document:
    """The text of one file.

    Args:
        name: where the text came from, relative to what was asked for, with ``/`` between parts;
            it decides on which side of a split by file the document falls.
        text: the text, without a byte order mark and with ``\\n`` for ``\\r\\n``.
    """

    name: str
    text: str

    @property
    def bytes(self) -> int:
        """Length of the text in UTF-8."""
        return len(self.text.encode())


def decode_text(data: bytes, path: str | Path) -> str:
    """Return the text of a file's bytes.

    A UTF-8 byte order mark is dropped and ``\\r\\n`` becomes ``\\n``, so that a text trains the
    same model whichever system saved it. A lone ``\\r`` is kept: it is a character of the text.

    Raises:
        UsageError: the bytes are not UTF-8; the message names file, line and byte.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith(_UTF16_MARKS):
            found = "it starts with a UTF-16 byte order mark"
        else:
            # utf-8-sig counts from behind the mark.
            start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
            line = data.count(b"\n", 0, start) + 1
            found = f"{path}:{line} has the byte 0x{data[start]:02x} ({error.reason})"
        raise UsageError(
            f"{path} is not UTF-8 text: {found}. Expected UTF-8. "
            f"Convert it first, for example: iconv -f LATIN1 -t UTF-8 {path} > converted.txt"
        ) from None
    return text.replace("\r\n", "\n")


def read_text(path: Path) -> str:
    """Return the text of the file at ``path``, by the rules of ``decode_text``.

    Raises:
        UsageError: the file is missing, cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"No such file: {path}. Expected a text file, a directory, a glob or 'stdlib'. "
            f"Check the path (the current directory is {Path.cwd()})."
        ) from None
    except OSError as error:
        raise UsageError(
            f"Cannot read {path}: {error.strerror}. Expected a readable text file. "
            "Check its permissions."
        ) from None
    return decode_text(data, path)
