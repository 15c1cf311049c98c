"""Labelled data, held in memory: read from files of every format, in two sides."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Generic

from phalanx.config import DataConfig
from phalanx.data import label_splits
from phalanx.data.files import STDLIB, Spec, find_files, listed
from phalanx.data.kinds import EXAMPLES, PAIRS, SENTENCES, Book, Kind, T, Unit
from phalanx.data.reading import Findings
from phalanx.data.samples import Example, Pair, Sentence
from phalanx.errors import UsageError

__all__ = [
    "EXAMPLES",
    "PAIRS",
    "SENTENCES",
    "Example",
    "Labelled",
    "Pair",
    "Sentence",
    "load_examples",
    "load_pairs",
    "load_sentences",
    "read_examples",
    "read_pairs",
    "read_sentences",
]


@dataclass(frozen=True)
class Labelled(Generic[T]):
    """What a task learns from, and what it is judged by.

    Args:
        train, validation: neither is empty; in the order of the files.
        name: what was asked for, in short.
        digest: sha256 of the samples and the side of each; not of file names.
        bytes: length of all texts in UTF-8, labels included.
        files: number of files.
        split: how the sides were made, in words.
        notes: what was read otherwise than it stands in the files, or flatters, a sentence each.
    """

    train: tuple[T, ...]
    validation: tuple[T, ...]
    name: str
    digest: str
    bytes: int
    files: int
    split: str
    notes: tuple[str, ...]


def load_examples(data: DataConfig) -> Labelled[Example]:
    """Read labelled texts to train on and to validate on.

    Raises:
        UsageError: a file is malformed, there is but one label, or one that validation alone has;
            the message names file and line.
    """
    return _load(EXAMPLES, data)


def load_sentences(data: DataConfig) -> Labelled[Sentence]:
    """Read tagged sentences to train on and to validate on.

    Raises:
        UsageError: a file is malformed, tags are of mixed schemes, or validation has a type of tag
            that training lacks; the message names file and line.
    """
    return _load(SENTENCES, data)


def load_pairs(data: DataConfig) -> Labelled[Pair]:
    """Read pairs of sentences to train on and to validate on.

    Raises:
        UsageError: a file is malformed; the message names file and line.
    """
    return _load(PAIRS, data)


def read_examples(paths: Spec, data: DataConfig, *, labelled: bool = True) -> list[Example]:
    """Read texts to judge a model by, or, without labels, to be labelled.

    Raises:
        UsageError: a file is malformed; the message names file and line.
    """
    return _read(EXAMPLES, paths, data, labelled)


def read_sentences(paths: Spec, data: DataConfig, *, labelled: bool = True) -> list[Sentence]:
    """Read sentences to judge a model by, or, without tags, to be tagged.

    Raises:
        UsageError: a file is malformed; the message names file and line.
    """
    return _read(SENTENCES, paths, data, labelled)


def read_pairs(paths: Spec, data: DataConfig, *, labelled: bool = True) -> list[Pair]:
    """Read pairs to judge a model by, or, without targets, sentences to be translated.

    Of these a blank one stays, as an empty source, so that answers stand beside what they answer.

    Raises:
        UsageError: a file is malformed; the message names file and line.
    """
    return _read(PAIRS, paths, data, labelled)


def units_of(kind: Kind[T], paths: Spec, labelled: bool = True) -> list[Unit]:
    """Return the files behind paths, those together that are read together.

    Raises:
        UsageError: a path is missing or stands for no file, or nothing was asked for.
    """
    if STDLIB in listed(paths):
        raise UsageError(
            f"No {kind.what} were given: {STDLIB!r} is text alone. Expected files. Name them on "
            "the command line, or as data.paths."
        )
    return kind.units([found for _, found in find_files(paths, kind.suffixes)], labelled)


def read_unit(kind: Kind[T], unit: Unit, data: DataConfig, book: Book, labelled: bool) -> list[T]:
    """Return the samples of one unit of files, at least one unless there was a fault.

    Raises:
        UsageError: a file is malformed or holds no samples.
    """
    pages: list[Findings] = []

    def page(shown: str) -> Findings:
        pages.append(book(shown))
        return pages[-1]

    samples = list(kind.read(unit, data, page, labelled))
    if samples or any(each.faulty for each in pages):
        return samples
    if unit[0].stamp[0] == 0:
        pages[0].fault(f"{unit[0].shown} is empty. Expected {kind.what}. Give another file.")
    else:
        passed = pages[0].missing + pages[0].blank
        found = f"{passed:,} without text" if passed else "nothing below a header, if there is one"
        pages[0].fault(
            f"{unit[0].shown} holds no {kind.what}: {found}. Expected some. Give another file."
        )
    return samples


def shared_files(train: Sequence[Unit], validation: Sequence[Unit]) -> Iterator[str]:
    """Yield a fault for each file that is given for both sides."""
    known = {source.path.resolve() for unit in train for source in unit}
    for unit in validation:
        for source in unit:
            if source.path.resolve() in known:
                yield (
                    f"{source.shown} is given for training and for validation. Expected samples to "
                    "be judged by that were not learnt from. Take it out of one of them."
                )


def divided(
    kind: Kind[T], train: Sequence[T], validation: Sequence[T], data: DataConfig
) -> tuple[list[T], list[T], str]:
    """Return both sides and how they were made: as given, or by a hash of what samples say."""
    if data.validation_paths:
        return list(train), list(validation), "by given files"
    left, right = label_splits.divide(train, kind.key, kind.labels, data.validation_fraction)
    return left, right, kind.split


def overlap(kind: Kind[T], train: Sequence[T], validation: Sequence[T]) -> list[T]:
    """Return the samples of validation that training holds too, labels aside."""
    known = {kind.key(sample) for sample in train}
    return [sample for sample in validation if kind.key(sample) in known]


def refused(
    kind: Kind[T], train: Sequence[T], validation: Sequence[T], data: DataConfig
) -> Iterator[str]:
    """Yield what training refuses that is no single row's fault, in words."""
    if not train or not validation:
        yield (
            f"{len(train) + len(validation):,} {kind.what} are too few to be divided: a side would "
            "be empty. Expected some to learn from and others to validate on, and of each label "
            "one at least to learn from. Give more, or files to validate on "
            "(data.validation_paths)."
        )
        return
    yield from kind.refused(train, validation, data)


def _load(kind: Kind[T], data: DataConfig) -> Labelled[T]:
    pages: list[Findings] = []

    def book(shown: str) -> Findings:
        pages.append(Findings(shown))
        return pages[-1]

    units: list[Unit] = units_of(kind, data.paths)
    others: list[Unit] = units_of(kind, data.validation_paths) if data.validation_paths else []
    for fault in shared_files(units, others):
        raise UsageError(fault)
    given = [sample for unit in units for sample in read_unit(kind, unit, data, book, True)]
    judged = [sample for unit in others for sample in read_unit(kind, unit, data, book, True)]
    train: list[T]
    validation: list[T]
    train, validation, split = divided(kind, given, judged, data)
    for fault in refused(kind, train, validation, data):
        raise UsageError(fault)
    notes = [note for page in pages for note in page.notes()]
    both = len(overlap(kind, train, validation))
    if both:
        notes.append(
            f"{both:,} of {len(validation):,} {kind.what} to validate on are also learnt from: "
            "figures flatter there"
        )
    paths = listed(data.paths)
    return Labelled(
        train=tuple(train),
        validation=tuple(validation),
        name=paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more",
        digest=_digest(train, validation),
        bytes=_bytes(kind, train) + _bytes(kind, validation),
        files=len([source for unit in (*units, *others) for source in unit]),
        split=split,
        notes=tuple(notes),
    )


def _read(kind: Kind[T], paths: Spec, data: DataConfig, labelled: bool) -> list[T]:
    units = units_of(kind, paths, labelled)
    return [s for unit in units for s in read_unit(kind, unit, data, Findings, labelled)]


def _bytes(kind: Kind[T], samples: Sequence[T]) -> int:
    return sum(len(text.encode()) for sample in samples for text in kind.texts(sample))


def _digest(train: Sequence[T], validation: Sequence[T]) -> str:
    digest = hashlib.sha256()
    for side in (train, validation):
        for sample in side:
            content = [getattr(sample, part.name) for part in fields(sample)[:-1]]
            digest.update(json.dumps(content).encode() + b"\n")
        digest.update(b"\n")
    return digest.hexdigest()
