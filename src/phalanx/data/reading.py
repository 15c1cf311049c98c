"""How files are read, what reading comes upon, and what happens at a fault."""

from dataclasses import dataclass
from typing import Literal

from phalanx.errors import UsageError

EncodingErrors = Literal["strict", "replace"]

# The options that errors speak of; `phalanx train` has a configuration.
NAME_COLUMN = "--text-column NAME"
GO_ON = "--encoding-errors replace"


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Args:
        text_column: the column of rows that holds the text; None: see ``rows.TEXT_COLUMNS``.
        encoding_errors: ``strict`` refuses what is not UTF-8, ``replace`` reads it as U+FFFD.
    """

    text_column: str | None = None
    encoding_errors: EncodingErrors = "strict"


@dataclass
class Findings:
    """What was found in one file so far; a fault stops the reading.

    Args:
        shown: the file, as its user knows it.
        format: what the file is read as: ``text``, or one of rows.
        mark: whether it began with a UTF-8 byte order mark, which is no text.
        line_ends: ``\\r\\n`` read as ``\\n``.
        nuls: NUL characters, which are text like any other.
        replaced: invalid bytes (or lone surrogates of a JSON escape) read as U+FFFD.
        first_replaced: where the first of them is: file, line and byte.
        missing: rows without a value in the text column, passed over.
        blank: rows with nothing but white space in it, passed over.
    """

    shown: str
    format: str = "text"
    mark: bool = False
    line_ends: int = 0
    nuls: int = 0
    replaced: int = 0
    first_replaced: str = ""
    missing: int = 0
    blank: int = 0

    @property
    def rows(self) -> bool:
        """Whether each row is a document; else the file is one."""
        return self.format != "text"

    def fault(self, message: str) -> None:
        """Something that training does not accept, but behind which reading could go on.

        Raises:
            UsageError: always. ``phalanx data check`` collects faults instead.
        """
        raise UsageError(message)

    def notes(self) -> list[str]:
        """What was read otherwise than it stands in the file, a sentence each."""
        notes = []
        if self.replaced:
            notes.append(
                f"{self.shown}: {self.replaced:,} invalid places read as U+FFFD, the first: "
                f"{self.first_replaced}"
            )
        if self.missing + self.blank:
            notes.append(
                f"{self.shown}: {self.missing + self.blank:,} rows without text passed over"
            )
        return notes
