"""The formats of text: one document a file, or one a row of JSONL, CSV, TSV or Parquet.

A file's ending names its format, a last ``.gz`` taken off; any ending that is not listed is text.
A .json file with a list in it has a document for each entry; another one is read as text.
"""

from collections.abc import Iterator

from phalanx.data import rows
from phalanx.data.decoding import decode
from phalanx.data.documents import Piece, pieces
from phalanx.data.opening import Source, blocks
from phalanx.data.reading import NAME_COLUMN, Findings, Reading
from phalanx.data.tables import rows_of


def read(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    """Yield the pieces of a file's documents.

    Rows without a value, or with nothing but white space, are counted and passed over.

    Raises:
        UsageError: the file cannot be read, is not what its name says, or has a fault that
            ``findings`` does not take.
    """
    table = rows_of(source, reading, findings, rows.choose_text(reading.text_column))
    if table is None:
        return pieces(decode(blocks(source), findings, reading.encoding_errors))
    return (piece for row in table for piece in _pieces(row, findings))


def _pieces(row: rows.Row, findings: Findings) -> Iterator[Piece]:
    if "text" not in row.values:
        findings.fault(
            f"{row.place} has no {row.columns['text']!r}, the column of the text. Expected it in "
            "each object. Add it, or null for a row without text."
        )
        return
    value = row.values["text"]
    if value is None:
        findings.missing += 1
    elif not isinstance(value, str):
        kind = rows.KINDS.get(type(value), "a number")
        findings.fault(
            f"{row.where('text')} holds {kind} where the text should be. Expected text, or null "
            f"for a row without. Convert it, or name another column: {NAME_COLUMN}."
        )
    elif len(value) > rows.RECORD:
        findings.fault(rows.too_long(row.where("text")))
    elif not value or value.isspace():
        findings.blank += 1
    else:
        yield from pieces([value])
