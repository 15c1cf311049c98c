"""Parquet, a table with typed columns; pyarrow is an extra."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from phalanx.data import rows
from phalanx.data.opening import Source
from phalanx.data.reading import GO_ON, Findings, Reading
from phalanx.data.rows import Choose, Header, Row
from phalanx.errors import UsageError

_ROWS = 256  # decoded at a time; pyarrow itself holds what it must of a row group


def parquet(source: Source, reading: Reading, findings: Findings, choose: Choose) -> Iterator[Row]:
    """Yield the rows; columns that nobody chose are not decoded.

    Raises:
        UsageError: pyarrow is missing, the file is no Parquet, or a wanted column is missing,
            there twice, or not UTF-8.
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
            schema = file.schema_arrow
            columns = choose(
                Header(source.shown, schema.names, kinds=_kinds(arrow, schema))
            ).columns
            names = list(dict.fromkeys(columns.values()))
            for name in names:
                if schema.names.count(name) > 1:
                    raise UsageError(
                        f"{source.shown} has the column {name!r} twice. Expected it once. "
                        "Rename one."
                    )
            classes = _classes(schema.metadata or {})
            number = 0
            for batch in file.iter_batches(_ROWS, columns=names, use_threads=False):
                for cells in zip(*(batch.column(name) for name in names), strict=True):
                    number += 1
                    found: dict[str, object] = {}
                    row = Row(f"{source.shown}, row {number}", found, columns)
                    for role, name in columns.items():
                        where, cell = row.where(role), cells[names.index(name)]
                        value = _value(arrow, cell, where, reading, findings)
                        value = _named(value, classes.get(name, ()))
                        found[role] = rows.clean(value, where, reading, findings)
                    yield row
    except (arrow.ArrowException, OSError) as error:
        raise UsageError(
            f"{source.shown} cannot be read as Parquet: {str(error).splitlines()[0]}. Expected "
            "what its name says. Fetch or write it again."
        ) from None


def _value(arrow: Any, cell: Any, place: str, reading: Reading, findings: Findings) -> object:
    """Return a cell as Python has it; lists item by item, for each may hold invalid bytes."""
    if arrow.types.is_list(cell.type) or arrow.types.is_large_list(cell.type):
        if not cell.is_valid:
            return None
        return [_value(arrow, item, place, reading, findings) for item in cell.values]
    try:
        return cell.as_py()
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
        return text


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names behind the numbers of each column of labels, where `datasets` wrote them."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        kinds = {name: kind.get("feature", kind) for name, kind in features.items()}
        return {
            name: kind["names"] for name, kind in kinds.items() if kind["_type"] == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _named(value: object, names: Sequence[str]) -> object:
    """Return the names for numbers of classes; -1 stands for a label that is not known."""
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if type(value) is int and names:
        return names[value] if 0 <= value < len(names) else None
    return value


def _kinds(arrow: Any, schema: Any) -> dict[str, str]:
    """Return the types of the columns that hold no text."""
    kinds = {}
    for name, kind in zip(schema.names, schema.types, strict=True):
        values = kind.value_type if arrow.types.is_dictionary(kind) else kind
        types = arrow.types
        if not (types.is_string(values) or types.is_large_string(values) or types.is_null(values)):
            kinds[name] = str(kind)
    return kinds


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
