"""Bytes to text: UTF-8, in blocks, with one rule for marks, line ends and invalid bytes.

A byte order mark is dropped and ``\\r\\n`` becomes ``\\n``, so that a text trains the same model
whichever system saved it. A lone ``\\r`` is kept, and so is NUL: they are characters of the text.
Invalid bytes are refused, or read as U+FFFD where that was asked for.
"""

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from phalanx.data.reading import GO_ON, EncodingErrors, Findings
from phalanx.errors import UsageError

_REPLACEMENT = "\ufffd"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode(
    blocks: Iterable[bytes], findings: Findings, encoding_errors: EncodingErrors = "strict"
) -> Iterator[str]:
    """Decode the blocks of one file, whatever their lengths; never yields an empty text.

    Raises:
        UsageError: the bytes are not UTF-8; the message names file, line, byte and place.
    """
    held, waiting = b"", ""  # a character cut short; a \r that may begin \r\n
    offset, line = 0, 1
    begun = False
    for block in chain(blocks, (None,)):
        final = block is None
        data = held + (block or b"")
        if not begun:
            if len(data) < len(codecs.BOM_UTF8) and not final:
                held = data
                continue
            begun = True
            data, offset = _without_mark(data, findings)
        text, used = _decode(data, final, offset, line, findings, encoding_errors)
        held = data[used:]
        offset += used
        line += data.count(b"\n", 0, used)
        text = waiting + text
        waiting = "\r" if text.endswith("\r") and not final else ""
        text = newlines(text[: len(text) - len(waiting)], findings)
        findings.nuls += text.count("\0")
        if text:
            yield text


def newlines(text: str, findings: Findings) -> str:
    """Return a text with ``\\n`` for ``\\r\\n``."""
    count = text.count("\r\n")
    findings.line_ends += count
    return text.replace("\r\n", "\n") if count else text


def decode_text(data: bytes, path: str | Path) -> str:
    """Return the text of a file's bytes.

    Raises:
        UsageError: see ``decode``.
    """
    return "".join(decode([data], Findings(str(path))))


def _without_mark(data: bytes, findings: Findings) -> tuple[bytes, int]:
    if data.startswith(_UTF16_MARKS):
        raise UsageError(
            f"{findings.shown} is not UTF-8 text: it starts with a UTF-16 byte order mark. "
            "Expected UTF-8. "
            f"Convert it first: iconv -f UTF-16 -t UTF-8 {findings.shown} > converted.txt"
        )
    findings.mark = data.startswith(codecs.BOM_UTF8)
    skipped = len(codecs.BOM_UTF8) if findings.mark else 0
    return data[skipped:], skipped


def _decode(
    data: bytes,
    final: bool,
    offset: int,
    line: int,
    findings: Findings,
    encoding_errors: EncodingErrors,
) -> tuple[str, int]:
    """Return the text of ``data`` and how many bytes it took; fewer where a character is cut."""
    try:
        return codecs.utf_8_decode(data, "strict", final)
    except UnicodeDecodeError as error:
        if not findings.replaced:
            place = line + data.count(b"\n", 0, error.start)
            findings.first_replaced = (
                f"{findings.shown}:{place} has the byte 0x{data[error.start]:02x} "
                f"at offset {offset + error.start:,} ({error.reason})"
            )
            if encoding_errors == "strict":
                findings.fault(
                    f"{findings.shown} is not UTF-8 text: {findings.first_replaced}. Expected "
                    "UTF-8. Convert it first, for example: iconv -f LATIN1 -t UTF-8 "
                    f"{findings.shown} > converted.txt; or go on with U+FFFD in the stead of what "
                    f"is invalid: {GO_ON}."
                )
    text, used = codecs.utf_8_decode(data, "replace", final)
    # A U+FFFD that was in the file is these three bytes, and nothing else is.
    findings.replaced += text.count(_REPLACEMENT) - data.count(_REPLACEMENT.encode(), 0, used)
    return text, used
