"""Files that hold rows, whatever their format, as one stream of rows."""

from collections.abc import Callable, Iterator
from pathlib import PurePath

from phalanx.data.decoding import decode
from phalanx.data.delimited import delimited
from phalanx.data.json_rows import json_lines, json_list
from phalanx.data.opening import Source, blocks
from phalanx.data.parquet import parquet
from phalanx.data.reading import Findings, Reading
from phalanx.data.rows import Choose, Row

_Reader = Callable[[Source, Reading, Findings, Choose], Iterator[Row]]
_READERS: dict[str, _Reader] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": delimited,
    ".tsv": delimited,
    ".parquet": parquet,
}


def rows_of(
    source: Source, reading: Reading, findings: Findings, choose: Choose
) -> Iterator[Row] | None:
    """Return the rows of a file, or None where it holds none: text, or JSON that is no list.

    Args:
        source: the file; its ending names its format, a last ``.gz`` taken off.
        reading, findings: how it is read, and what takes what reading comes upon.
        choose: is shown the columns, and says which are read.

    Raises:
        UsageError: the file cannot be read, is not what its name says, or has a fault that
            ``findings`` does not take.
    """
    ending = ending_of(source)
    if ending == ".json" and _begins_a_list(source):
        return json_list(source, reading, findings, choose)
    reader = _READERS.get(ending)
    return None if reader is None else reader(source, reading, findings, choose)


def is_table(source: Source) -> bool:
    """Whether a file's ending is that of a table (or of JSON)."""
    return ending_of(source) in (".json", *_READERS)


def ending_of(source: Source) -> str:
    """The ending that names the format, in lower case."""
    return PurePath(source.shown.lower().removesuffix(".gz")).suffix


def _begins_a_list(source: Source) -> bool:
    head = next(decode(blocks(source), Findings(source.shown), "replace"), "")
    return head.lstrip().startswith("[")
