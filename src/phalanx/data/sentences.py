"""Tagged sentences: CoNLL, or tables with the words of a sentence and their tags in two columns."""

from collections.abc import Iterator

from phalanx.config import DataConfig
from phalanx.data import columns, rows
from phalanx.data.conll import conll
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.rows import Row
from phalanx.data.samples import Sentence
from phalanx.data.tables import ending_of, rows_of


def sentences(
    source: Source, data: DataConfig, findings: Findings, labelled: bool
) -> Iterator[Sentence]:
    """Yield the sentences of a file; those without words are passed over and counted.

    Raises:
        UsageError: the file is malformed; the message names file and line.
    """
    table = None
    if ending_of(source) != ".tsv":  # a word a line, as CoNLL has it
        reading = Reading(data.text_column, data.encoding_errors)
        table = rows_of(source, reading, findings, columns.of_sentences(data))
    if table is None:
        yield from conll(source, data, findings, labelled)
        return
    for row in table:
        words = _items(row, "words", findings)
        tags = _items(row, "tags", findings) if labelled or "tags" in row.values else ()
        if words is None or tags is None:
            continue
        if not words:
            findings.blank += 1
        elif (labelled or tags) and len(tags) != len(words):
            findings.fault(
                f"{row.place} has {len(words)} words and {len(tags)} tags. Expected a tag for each "
                "word. Mend the row, or take it out."
            )
        else:
            yield Sentence(words, tags, row.place)


def _items(row: Row, role: str, findings: Findings) -> tuple[str, ...] | None:
    """Return the words or tags of a row: a list of texts, or a text divided at white space."""
    if role not in row.values:
        name = row.columns.get(role)
        expected = repr(name) if name else f"one of {', '.join(getattr(columns, role.upper()))}"
        findings.fault(
            f"{row.place} has no column of {role}. Expected {expected} in each row. Add it, or "
            f"name another: --{'text' if role == 'words' else 'tag'}-column."
        )
        return None
    value = row.values[role]
    if isinstance(value, str):
        value = value.split()
    if value is None:
        value = []
    if not isinstance(value, list):
        kind = rows.KINDS.get(type(value), "a number")
        findings.fault(
            f"{row.where(role)} holds {kind}. Expected a list of {role}, or a text of them with "
            "spaces between."
        )
        return None
    for item in value:
        if not isinstance(item, str) or not item.strip():
            kind = "an empty text" if item == "" else rows.KINDS.get(type(item), "a number")
            kind = "white space" if isinstance(item, str) and item else kind
            hint = " Write names, such as B-person, for numbers." if role == "tags" else ""
            findings.fault(
                f"{row.where(role)} holds {kind} among its {role}. Expected texts.{hint} Mend the "
                "row, or take it out."
            )
            return None
    return tuple(value)
