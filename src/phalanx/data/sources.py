"""Text to train on and to validate on: surveyed in one pass, then streamed from where it lies."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phalanx.data import splits
from phalanx.data.documents import Document, Piece, whole
from phalanx.data.files import STDLIB, Spec, find_files, listed
from phalanx.data.formats import read
from phalanx.data.opening import Source
from phalanx.data.reading import EncodingErrors, Findings, Reading
from phalanx.data.survey import Survey, changed, check_unchanged, survey
from phalanx.errors import UsageError

__all__ = ["STDLIB", "Corpus", "Side", "Spec", "load_corpus", "read_documents"]


@dataclass(frozen=True, eq=False)
class Part:
    """What a side takes of one file. R: the file's documents.

    Args:
        survey: the file.
        starts_R, stops_R: the side takes characters ``starts_R[r]`` to ``stops_R[r]`` of document
            r, none where they are equal.
    """

    survey: Survey
    starts_R: NDArray[np.int64]
    stops_R: NDArray[np.int64]

    def pieces(self) -> Iterator[Piece]:
        """Read the file again.

        Raises:
            PhalanxError: it is not what was surveyed.
        """
        source, lengths_R = self.survey.source, self.survey.lengths_R
        check_unchanged(source, self.survey.stamp)
        row, start, stop, place, begins = -1, 0, 0, 0, True
        for piece in read(source, self.survey.reading, Findings(source.shown)):
            if piece.begins:
                row, place, begins = row + 1, 0, True
                if row == len(lengths_R):
                    raise changed(source)
                start, stop = int(self.starts_R[row]), int(self.stops_R[row])
            text = piece.text[max(start - place, 0) : max(stop - place, 0)]
            place += len(piece.text)
            if text:
                yield Piece(text, begins)
                begins = False
        check_unchanged(source, self.survey.stamp)


@dataclass(frozen=True, eq=False)
class Side:
    """The documents to learn from, or those to be judged by.

    Iterating yields their pieces, read from disk anew each time: the text is never held whole. A
    file that changed since its survey is refused by name (PhalanxError).

    Args:
        parts: what is taken of each file.
    """

    parts: tuple[Part, ...]

    def __iter__(self) -> Iterator[Piece]:
        for part in self.parts:
            yield from part.pieces()

    def texts(self) -> list[str]:
        """All documents whole, for text that fits into memory."""
        return list(whole(self))

    @property
    def documents(self) -> int:
        """Number of documents."""
        return sum(int((part.stops_R > part.starts_R).sum()) for part in self.parts)

    @property
    def characters(self) -> int:
        """Length of the text."""
        return sum(int((part.stops_R - part.starts_R).sum()) for part in self.parts)

    @property
    def digest(self) -> str:
        """sha256 of the texts of its files, and of what is taken of each; not of file names."""
        digest = hashlib.sha256()
        for part in self.parts:
            digest.update(part.survey.digest.encode())
            digest.update(part.starts_R.astype("<i8").tobytes())
            digest.update(part.stops_R.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Text in two sides, one to learn from and one to be judged by.

    Args:
        train, validation: neither is empty; documents in a stable order.
        name: what was asked for, in short.
        digest: sha256 of the texts, where documents end, and the side of each; not of file names.
        bytes: length of all text in UTF-8.
        files: number of files with text.
        documents: number of documents in them: files of text, and rows.
        split: ``by file``, ``by row``, ``by document`` (files and rows), ``by characters`` or
            ``by given files``.
        notes: what was read otherwise than it stands in the files, a sentence each.
    """

    train: Side
    validation: Side
    name: str
    digest: str
    bytes: int
    files: int
    documents: int
    split: str
    notes: tuple[str, ...] = ()


def load_corpus(
    spec: Spec,
    validation_fraction: float = 0.1,
    *,
    validation_paths: Sequence[str] = (),
    text_column: str | None = None,
    encoding_errors: EncodingErrors = "strict",
) -> Corpus:
    """Survey text in one pass and split it into a training and a validation side.

    - ``validation_paths`` are the validation side, where given.
    - Else by document: files of text, ``stdlib``'s too, by their names alone (a hash), rows by
      their file's name and their number. So each stays where it is when others come and go, and
      a row when others are appended.
    - One document, or several that the hash divides badly (a side with less than half or more
      than twice its share): by characters. The first part of each trains, the rest validates.

    Memory is bounded by the length of a piece and of a row, and 40 bytes a document.

    Args:
        spec: files, directories, globs or ``stdlib``; see ``find_files`` and ``formats``.
        validation_fraction: share of the text to validate on, between 0 and 1.
        validation_paths: files to validate on instead of a share.
        text_column, encoding_errors: see ``Reading``.

    Raises:
        UsageError: text is missing, unreadable or not UTF-8; or one side would be empty.
    """
    reading = Reading(text_column, encoding_errors)
    return corpus_of(
        listed(spec),
        _surveyed(listed(spec), reading),
        _surveyed(listed(validation_paths), reading) if validation_paths else (),
        validation_fraction,
    )


def corpus_of(
    paths: Sequence[str],
    surveys: Sequence[Survey],
    validation: Sequence[Survey] = (),
    validation_fraction: float = 0.1,
) -> Corpus:
    """Divide what was surveyed; see ``load_corpus``.

    Args:
        paths: what was asked for.
        surveys: the files behind it that hold text.
        validation: files to validate on instead of a share.
        validation_fraction: the share.

    Raises:
        UsageError: one side would be empty, or a file would be on both.
    """
    if not 0.0 < validation_fraction < 1.0:
        raise UsageError(
            f"validation fraction {validation_fraction} leaves one side without text. Expected a "
            "number between 0 and 1, such as 0.1."
        )
    if validation:
        split = "by given files"
        _refuse_shared(surveys, validation)
        cuts = [one.lengths_R for one in surveys]
        cuts += [np.zeros_like(one.lengths_R) for one in validation]
    else:
        keep_whole = list(paths) == [STDLIB]
        cuts, split = split_surveys(surveys, validation_fraction, keep_whole=keep_whole)
    every = [*surveys, *validation]
    divided = list(zip(every, cuts, strict=True))
    train_side = _side((one, np.zeros_like(cut_R), cut_R) for one, cut_R in divided)
    validation_side = _side((one, cut_R, one.lengths_R) for one, cut_R in divided)
    name = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    total = sum(one.bytes for one in every)
    if not train_side.parts or not validation_side.parts:
        raise UsageError(
            f"{name} has {total} bytes of text: too little for a validation fraction of "
            f"{validation_fraction}. Expected text on both sides. Give more text."
        )
    return Corpus(
        train=train_side,
        validation=validation_side,
        name=name,
        digest=hashlib.sha256(f"{train_side.digest} {validation_side.digest}".encode()).hexdigest(),
        bytes=total,
        files=len(every),
        documents=sum(len(one.lengths_R) for one in every),
        split=split,
        notes=tuple(note for one in every for note in one.findings.notes()),
    )


def split_surveys(
    surveys: Sequence[Survey], fraction: float, *, keep_whole: bool = False
) -> tuple[list[NDArray[np.int64]], str]:
    """Return the cuts of each file's documents (see ``splits``), and the name of the split.

    Args:
        surveys: the files.
        fraction: share of the characters to validate on.
        keep_whole: divide no document, however badly the hash divides them all.
    """
    cuts = [
        (splits.by_row if s.findings.rows else splits.by_file)(s.source.name, s.lengths_R, fraction)
        for s in surveys
    ]
    total = sum(s.characters for s in surveys)
    share = 1.0 - sum(int(cut_R.sum()) for cut_R in cuts) / total
    low, high = fraction / 2, min(2 * fraction, (1 + fraction) / 2)
    if keep_whole or low <= share <= high:
        kinds = {s.findings.rows for s in surveys}
        return cuts, "by document" if len(kinds) > 1 else "by row" if True in kinds else "by file"
    return [splits.by_characters(s.lengths_R, fraction) for s in surveys], "by characters"


def read_documents(
    paths: Spec, *, text_column: str | None = None, encoding_errors: EncodingErrors = "strict"
) -> list[Document]:
    """Read text whole, where it is known to fit into memory; arguments as of ``load_corpus``.

    A file of text is a document under its name; a row is one under ``name:1`` and so on.

    Raises:
        UsageError: text is missing, unreadable or not UTF-8.
    """
    reading = Reading(text_column, encoding_errors)
    documents: list[Document] = []
    for given, sources in find_files(paths):
        found = [document for source in sources for document in _documents(source, reading)]
        with_text = [document for document in found if document.text.strip()]
        if sources and not with_text:
            raise _no_text(given, len(sources))
        documents += with_text
    return documents


def _documents(source: Source, reading: Reading) -> list[Document]:
    findings = Findings(source.shown)
    texts = list(whole(read(source, reading, findings)))
    if findings.rows:
        return [Document(f"{source.name}:{row}", text) for row, text in enumerate(texts, 1)]
    return [Document(source.name, text) for text in texts]


def _surveyed(paths: list[str], reading: Reading) -> list[Survey]:
    surveys: list[Survey] = []
    for given, sources in find_files(paths):
        found = [survey(source, reading, Findings(source.shown)) for source in sources]
        with_text = [one for one in found if not one.blank]
        if sources and not with_text:
            raise _no_text(given, len(sources))
        surveys += with_text
    return surveys


def _no_text(given: str, count: int) -> UsageError:
    files = "1 file" if count == 1 else f"{count} files"
    return UsageError(
        f"No text in {given}: {files} read, nothing but white space. Expected some text. "
        "Give another file."
    )


def _refuse_shared(train: Sequence[Survey], validation: Sequence[Survey]) -> None:
    known = {one.source.path.resolve() for one in train}
    for one in validation:
        if one.source.path.resolve() in known:
            raise UsageError(
                f"{one.source.shown} is given for training and for validation. Expected text to "
                "be judged by that was not learnt from. Take it out of one of them."
            )


def _side(parts: Iterable[tuple[Survey, NDArray[np.int64], NDArray[np.int64]]]) -> Side:
    return Side(tuple(Part(s, a_R, b_R) for s, a_R, b_R in parts if bool((b_R > a_R).any())))
