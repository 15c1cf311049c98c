"""The formats of text: one document a file, or one a row of JSONL, CSV, TSV or Parquet.

A file's ending names its format, a last ``.gz`` taken off; any ending that is not listed is text.
A .json file with a list in it has a document for each entry; another one is read as text.
"""

from collections.abc import Callable, Iterator
from pathlib import PurePath

from phalanx.data.decoding import decode
from phalanx.data.delimited import delimited
from phalanx.data.documents import Piece, pieces
from phalanx.data.json_rows import json_lines, json_list
from phalanx.data.opening import Source, blocks
from phalanx.data.parquet import parquet
from phalanx.data.reading import Findings, Reading


def read(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    """Yield the pieces of a file's documents.

    Rows without a value, or with nothing but white space, are counted and passed over.

    Raises:
        UsageError: the file cannot be read, is not what its name says, or has a fault that
            ``findings`` does not take.
    """
    name = source.shown.lower().removesuffix(".gz")
    return _READERS.get(PurePath(name).suffix, _text)(source, reading, findings)


def _text(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    return pieces(decode(blocks(source), findings, reading.encoding_errors))


def _json(source: Source, reading: Reading, findings: Findings) -> Iterator[Piece]:
    head = next(decode(blocks(source), Findings(source.shown), "replace"), "")
    read_as = json_list if head.lstrip().startswith("[") else _text
    return read_as(source, reading, findings)


_READERS: dict[str, Callable[[Source, Reading, Findings], Iterator[Piece]]] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": _json,
    ".csv": delimited,
    ".tsv": delimited,
    ".parquet": parquet,
}
