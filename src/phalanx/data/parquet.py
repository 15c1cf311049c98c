"""Parquet, whose rows are documents; pyarrow is an extra."""

from collections.abc import Iterator
from typing import Any

from phalanx.data.documents import Piece
from phalanx.data.opening import Source
from phalanx.data.reading import GO_ON, NAME_COLUMN, Findings, Reading
from phalanx.data.rows import choose_column, value_pieces
from phalanx.errors import UsageError

_ROWS = 256  # decoded at a time; pyarrow itself holds what it must of a row group


def parquet(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    """Yield a document for each row.

    Raises:
        UsageError: pyarrow is missing, the file is no Parquet, or its column of text is missing,
            of another type, or not UTF-8.
    """
    findings.format = "Parquet"
    arrow, library = _pyarrow(source.shown)
    if source.shown.lower().endswith(".gz"):
        raise UsageError(
            f"{source.shown} is Parquet inside gzip, which is not read: Parquet compresses itself. "
            f"Unpack it first: gunzip -k {source.shown}"
        )
    try:
        with library.ParquetFile(source.path, page_checksum_verification=True) as file:
            column = choose_column(file.schema_arrow.names, reading.text_column, source.shown)
            _check_type(arrow, file.schema_arrow, column, source.shown)
            row = 0
            for batch in file.iter_batches(_ROWS, columns=[column], use_threads=False):
                for value in batch.column(0):
                    row += 1
                    place = f"{source.shown}, row {row}, {column!r},"
                    yield from _value_pieces(value, place, reading, findings)
    except (arrow.ArrowException, OSError) as error:
        raise UsageError(
            f"{source.shown} cannot be read as Parquet: {str(error).splitlines()[0]}. Expected "
            "what its name says. Fetch or write it again."
        ) from None


def _value_pieces(value: Any, place: str, reading: Reading, findings: Findings) -> Iterator[Piece]:
    try:
        text = value.as_py()
    except UnicodeDecodeError as error:
        where = f"{place} has the byte 0x{error.object[error.start]:02x} ({error.reason})"
        if reading.encoding_errors == "strict":
            findings.fault(
                f"{where}. Expected UTF-8. Write the file again, or go on with U+FFFD in the stead "
                f"of what is invalid: {GO_ON}."
            )
        findings.first_replaced = findings.first_replaced or where
        text = error.object.decode(errors="replace")
        findings.replaced += text.count("\ufffd")
    yield from value_pieces(text, place, reading, findings)


def _check_type(arrow: Any, schema: Any, column: str, shown: str) -> None:
    if schema.names.count(column) > 1:
        raise UsageError(f"{shown} has the column {column!r} twice. Expected it once. Rename one.")
    kind = schema.field(column).type
    values = kind.value_type if arrow.types.is_dictionary(kind) else kind
    types = arrow.types
    if not (types.is_string(values) or types.is_large_string(values) or types.is_null(values)):
        raise UsageError(
            f"{shown}: the column {column!r} holds {kind}. Expected text (string). "
            f"Write it as text, or name another: {NAME_COLUMN}."
        )


def _pyarrow(shown: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            f"{shown} is Parquet, and pyarrow, which reads it, is not installed. "
            "Install it: pip install 'phalanx[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet
