"""How files are read, what reading comes upon, and what happens at a fault."""

from dataclasses import dataclass, field
from typing import Any, Literal

from phalanx.errors import UsageError

EncodingErrors = Literal["strict", "replace"]

# The options that errors speak of; `phalanx train` has a configuration.
NAME_COLUMN = "--text-column NAME"
GO_ON = "--encoding-errors replace"
_FAULTS_SHOWN = 5  # of one file, the others are counted


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
        remarks: what else its user should know of how it was read, a sentence each.
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
    remarks: list[str] = field(default_factory=list)

    @property
    def rows(self) -> bool:
        """Whether each row is a document; else the file is one."""
        return self.format != "text"

    @property
    def faulty(self) -> bool:
        """Whether a fault was met and reading went on."""
        return False

    def fault(self, message: str) -> None:
        """Something that training does not accept, but behind which reading could go on.

        Raises:
            UsageError: always. ``phalanx data check`` collects faults instead.
        """
        raise UsageError(message)

    def found(self) -> list[str]:
        """What is worth knowing and no fault, a phrase each."""
        found = []
        if self.mark:
            found.append("a UTF-8 byte order mark, dropped")
        if self.line_ends:
            found.append(f"{self.line_ends:,} line ends \\r\\n, read as \\n")
        if self.nuls:
            found.append(f"{self.nuls:,} NUL characters, kept as text: are they meant?")
        if self.replaced:
            found.append(
                f"{self.replaced:,} invalid places, U+FFFD in their stead; "
                f"the first: {self.first_replaced}"
            )
        if self.missing:
            found.append(f"{self.missing:,} rows without a value, passed over")
        if self.blank:
            found.append(f"{self.blank:,} rows of white space, passed over")
        return found + self.remarks

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "byte_order_mark": self.mark,
            "crlf": self.line_ends,
            "nul": self.nuls,
            "invalid": self.replaced,
            "first_invalid": self.first_replaced or None,
            "rows_without_value": self.missing,
            "blank_rows": self.blank,
        }

    def notes(self) -> list[str]:
        """What was read otherwise than it stands in the file, a sentence each."""
        notes = [f"{self.shown}: {remark}" for remark in self.remarks]
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


@dataclass
class Collected(Findings):
    """Findings that take faults down and let the reading go on.

    Args:
        faults: the first few.
        more_faults: how many there are besides.
    """

    faults: list[str] = field(default_factory=list)
    more_faults: int = 0

    @property
    def faulty(self) -> bool:
        """Whether a fault was met and reading went on."""
        return bool(self.faults)

    def fault(self, message: str) -> None:
        """Take it down."""
        if len(self.faults) < _FAULTS_SHOWN:
            self.faults.append(message)
        else:
            self.more_faults += 1
