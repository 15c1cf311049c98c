"""One pass over a file: how much text, where its documents end, and a hash of it all."""

import hashlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phalanx.data.documents import Piece
from phalanx.data.formats import read
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.errors import PhalanxError


@dataclass(frozen=True)
class Survey:
    """What one file holds. R: its documents.

    Args:
        source: the file.
        reading: how it was read.
        stamp: its size, time and identity, by which a later change is noticed.
        lengths_R: characters of each document.
        keys_R: 64 bits of each document's sha256, equal where texts are.
        bytes: length of the text in UTF-8.
        digest: sha256 of the documents' texts and where each ends.
        blank: whether there is nothing but white space.
        findings: what reading came upon.
    """

    source: Source
    reading: Reading
    stamp: tuple[int, int, int]
    lengths_R: NDArray[np.int64]
    keys_R: NDArray[np.uint64]
    bytes: int
    digest: str
    blank: bool
    findings: Findings

    @property
    def characters(self) -> int:
        """Length of the text."""
        return int(self.lengths_R.sum())


def survey(
    source: Source,
    reading: Reading,
    findings: Findings,
    listen: Callable[[Piece], None] = lambda piece: None,
) -> Survey:
    """Read a file once, holding a piece of it at a time and 16 bytes a document.

    Args:
        source: the file.
        reading: how it is read.
        findings: takes what reading comes upon.
        listen: is shown each piece.

    Raises:
        UsageError: see ``read``.
        PhalanxError: the file changed meanwhile.
    """
    stamp = source.stamp
    lengths, keys = array("q"), array("Q")
    size, blank = 0, True
    all_texts, this_text = hashlib.sha256(), hashlib.sha256()

    def end_of_document() -> None:
        digest = this_text.digest()
        all_texts.update(digest)
        keys.append(int.from_bytes(digest[:8], "big"))

    for piece in read(source, reading, findings):
        if piece.begins:
            if lengths:
                end_of_document()
            this_text = hashlib.sha256()
            lengths.append(0)
        data = piece.text.encode()
        this_text.update(data)
        lengths[-1] += len(piece.text)
        size += len(data)
        blank = blank and piece.text.isspace()
        listen(piece)
    if lengths:
        end_of_document()
    check_unchanged(source, stamp)
    lengths_R = np.array(lengths, dtype=np.int64)
    keys_R = np.array(keys, dtype=np.uint64)
    digest = all_texts.hexdigest()
    return Survey(source, reading, stamp, lengths_R, keys_R, size, digest, blank, findings)


def check_unchanged(source: Source, stamp: tuple[int, int, int]) -> None:
    """Refuse a file that is not what it was.

    Raises:
        PhalanxError: its size, time of writing or identity is another.
    """
    if source.stamp != stamp:
        raise changed(source)


def changed(source: Source) -> PhalanxError:
    """The error that names a file which is not what it was when it was first read."""
    return PhalanxError(
        f"{source.shown} changed while it was in use. Expected the same file from beginning to "
        "end. Start again, and write new text to another file."
    )
