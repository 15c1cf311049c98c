"""What `phalanx data check` reports: the text as training would read it, and what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phalanx.data.documents import Piece
from phalanx.data.files import Spec, find_files, listed
from phalanx.data.opening import Source
from phalanx.data.reading import Collected, EncodingErrors, Findings, Reading
from phalanx.data.sources import Corpus, corpus_of
from phalanx.data.survey import Survey, survey
from phalanx.errors import PhalanxError, UsageError

_CODE_POINTS = 0x110000
_HELD = 1 << 20  # characters counted at a time


class _Tally:
    """Lines and distinct characters of pieces as they pass."""

    def __init__(self) -> None:
        self.documents = self.lines = self.characters = self.longest_line = 0
        self._line = 0  # characters of the line that the last piece left open
        self._held: list[str] = []
        self._held_characters = 0
        self._seen: NDArray[np.bool_] = np.zeros(_CODE_POINTS, dtype=np.bool_)

    def take(self, piece: Piece) -> None:
        if piece.begins:
            self.documents += 1
            self.end_line()
        first, *others = map(len, piece.text.split("\n"))
        self._line += first
        if others:
            self.lines += len(others)
            self.longest_line = max(self.longest_line, self._line, *others)
            self._line = others[-1]
        self.characters += len(piece.text)
        self._held.append(piece.text)
        self._held_characters += len(piece.text)
        if self._held_characters >= _HELD:
            self._look()

    def end_line(self) -> None:
        """A document's last line counts though nothing ends it."""
        self.lines += self._line > 0
        self.longest_line = max(self.longest_line, self._line)
        self._line = 0

    def seen(self) -> NDArray[np.bool_]:
        """Whether each code point occurred."""
        self._look()
        return self._seen

    def _look(self) -> None:
        points = np.frombuffer("".join(self._held).encode("utf-32-le"), dtype=np.uint32)
        self._seen[points] = True
        self._held, self._held_characters = [], 0


@dataclass(frozen=True)
class FileReport:
    """One file.

    Args:
        path: the file, as its user knows it.
        format: what it was read as.
        documents, lines, characters, bytes: of its text; bytes are those of UTF-8.
        longest_line: in characters.
        distinct_characters: how many different ones.
        findings: what else reading came upon.
        faults: what training refuses, at most the first few.
        more_faults: how many there are besides.
    """

    path: str
    format: str
    documents: int
    lines: int
    characters: int
    bytes: int
    longest_line: int
    distinct_characters: int
    findings: Findings
    faults: tuple[str, ...]
    more_faults: int

    def remarks(self) -> list[str]:
        """What is worth knowing and no fault, a phrase each."""
        remarks = self.findings.found()
        if not self.documents and not self.faults:
            remarks.append("no text, passed over")
        return remarks

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "path": self.path,
            "format": self.format,
            "documents": self.documents,
            "lines": self.lines,
            "characters": self.characters,
            "bytes": self.bytes,
            "longest_line": self.longest_line,
            "distinct_characters": self.distinct_characters,
            **self.findings.as_dict(),
            "faults": list(self.faults),
            "more_faults": self.more_faults,
        }


@dataclass(frozen=True)
class DataReport:
    """All that was asked about.

    Args:
        files: one report a file.
        distinct_characters: how many different ones in all.
        duplicates: documents that are exact copies of one before them.
        shared: validation documents whose text is also learnt from, whole documents only.
        corpus: what training would get; None where it would refuse.
        faults: what training refuses that is no single file's.
    """

    files: tuple[FileReport, ...]
    distinct_characters: int
    duplicates: int
    shared: int
    corpus: Corpus | None
    faults: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether training would read the text."""
        return self.corpus is not None

    @property
    def documents(self) -> int:
        """Documents of all files."""
        return sum(file.documents for file in self.files)

    @property
    def lines(self) -> int:
        """Lines of all texts."""
        return sum(file.lines for file in self.files)

    @property
    def characters(self) -> int:
        """Characters of all texts."""
        return sum(file.characters for file in self.files)

    @property
    def bytes(self) -> int:
        """Length of all texts in UTF-8."""
        return sum(file.bytes for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        corpus = self.corpus
        return {
            "accepted": self.accepted,
            "total": {
                "documents": self.documents,
                "lines": self.lines,
                "characters": self.characters,
                "bytes": self.bytes,
                "longest_line": max((file.longest_line for file in self.files), default=0),
                "distinct_characters": self.distinct_characters,
                "duplicate_documents": self.duplicates,
            },
            "split": corpus
            and {
                "how": corpus.split,
                "train": {
                    "documents": corpus.train.documents,
                    "characters": corpus.train.characters,
                },
                "validation": {
                    "documents": corpus.validation.documents,
                    "characters": corpus.validation.characters,
                    "also_in_train": self.shared,
                },
                "sha256": corpus.digest,
            },
            "faults": list(self.faults),
            "files": [file.as_dict() for file in self.files],
        }


def check_data(
    spec: Spec,
    validation_fraction: float = 0.1,
    *,
    validation_paths: Sequence[str] = (),
    text_column: str | None = None,
    encoding_errors: EncodingErrors = "strict",
) -> DataReport:
    """Read text as ``load_corpus`` would (its arguments), but on beyond what it refuses.

    Raises:
        UsageError: a path is missing or stands for no file.
    """
    reading = Reading(text_column, encoding_errors)
    files: list[FileReport] = []
    faults: list[str] = []
    sides: list[list[Survey]] = []
    seen = np.zeros(_CODE_POINTS, dtype=np.bool_)
    for paths in (listed(spec), listed(validation_paths)):
        surveys: list[Survey] = []
        for given, sources in find_files(paths) if paths else []:
            looked = [_look_at(source, reading, seen) for source in sources]
            files += [report for report, _ in looked]
            with_text = [found for _, found in looked if found is not None and not found.blank]
            if looked and not with_text and not any(report.faults for report, _ in looked):
                faults.append(f"No text in {given}: nothing but white space. Give another file.")
            surveys += with_text
        sides.append(surveys)
    surveys, validation = sides
    corpus = None
    if not faults and not any(report.faults for report in files):
        try:
            corpus = corpus_of(listed(spec), surveys, validation, validation_fraction)
        except UsageError as error:
            faults.append(str(error))
    keys = np.concatenate([np.empty(0, np.uint64), *(s.keys_R for side in sides for s in side)])
    return DataReport(
        files=tuple(files),
        distinct_characters=int(seen.sum()),
        duplicates=len(keys) - len(np.unique(keys)),
        shared=0 if corpus is None else _shared(corpus),
        corpus=corpus,
        faults=tuple(faults),
    )


def _look_at(
    source: Source, reading: Reading, seen: NDArray[np.bool_]
) -> tuple[FileReport, Survey | None]:
    """Return the report of a file, and its survey where it could be read to its end."""
    findings, tally = Collected(source.shown), _Tally()
    try:
        found = survey(source, reading, findings, tally.take)
    except PhalanxError as error:
        found = None
        findings.faults.append(str(error))
    tally.end_line()
    seen |= tally.seen()
    report = FileReport(
        path=source.shown,
        format=findings.format,
        documents=0 if found and found.blank else tally.documents,
        lines=tally.lines,
        characters=tally.characters,
        bytes=found.bytes if found else 0,
        longest_line=tally.longest_line,
        distinct_characters=int(tally.seen().sum()),
        findings=findings,
        faults=tuple(findings.faults),
        more_faults=findings.more_faults,
    )
    return report, found


def _shared(corpus: Corpus) -> int:
    train, validation = (
        np.concatenate(
            [p.survey.keys_R[(p.stops_R - p.starts_R) == p.survey.lengths_R] for p in side.parts]
        )
        for side in (corpus.train, corpus.validation)
    )
    return int(np.isin(validation, train).sum())
