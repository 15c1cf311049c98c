"""What `phalanx data check --task` reports: labelled data as training would read it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phalanx.config import DataConfig, Task
from phalanx.data.kinds import EXAMPLES, PAIRS, SENTENCES, Kind, T, Unit
from phalanx.data.label_statistics import PLACES, Balance, Found, Lengths
from phalanx.data.labelled import divided, overlap, read_unit, refused, shared_files, units_of
from phalanx.data.looks import Look, Sides, look_at_examples, look_at_pairs, look_at_sentences
from phalanx.data.reading import Collected
from phalanx.errors import PhalanxError, UsageError


@dataclass(frozen=True)
class FileReport:
    """One file, or two that are read together.

    Args:
        path: the file, as its user knows it.
        side: ``train``, or ``validation`` where it was given for that.
        samples: rows, sentences or pairs that could be read.
        findings: what else reading came upon, and what training refuses.
    """

    path: str
    side: str
    samples: int
    findings: Collected

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "path": self.path,
            "side": self.side,
            "format": self.findings.format,
            "samples": self.samples,
            **self.findings.as_dict(),
            "remarks": list(self.findings.remarks),
            "faults": list(self.findings.faults),
            "more_faults": self.findings.more_faults,
        }


@dataclass(frozen=True)
class LabelledReport:
    """All that was asked about.

    Args:
        task: what is to be learnt.
        files: one report a file.
        faults: what training refuses that is no single row's.
        more_faults: how many of these there are besides.
        split: how the sides were made; None where nothing could be read.
        train, validation: how many samples each side has.
        lengths, balances: of all samples.
        found: what is worth knowing and no fault, with places.
        remarks: the same without places, a sentence each.
        scheme: how tags mark entities, for tagging.
    """

    task: Task
    files: tuple[FileReport, ...]
    faults: tuple[str, ...]
    more_faults: int
    split: str | None
    train: int
    validation: int
    lengths: tuple[Lengths, ...]
    balances: tuple[Balance, ...]
    found: tuple[Found, ...]
    remarks: tuple[str, ...]
    scheme: str | None

    @property
    def accepted(self) -> bool:
        """Whether training would read the data."""
        return not self.faults and not any(file.findings.faulty for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "task": self.task,
            "accepted": self.accepted,
            "split": self.split
            and {"how": self.split, "train": self.train, "validation": self.validation},
            "scheme": self.scheme,
            "lengths": [one.as_dict() for one in self.lengths],
            "balance": [one.as_dict() for one in self.balances],
            "found": [one.as_dict() for one in self.found],
            "remarks": list(self.remarks),
            "faults": list(self.faults),
            "more_faults": self.more_faults,
            "files": [file.as_dict() for file in self.files],
        }


def check_labelled(task: Task, data: DataConfig) -> LabelledReport:
    """Read labelled data as training would, but on beyond what it refuses.

    Args:
        task: classification, tagging or translation.
        data: files, columns and the share to validate on.

    Raises:
        UsageError: a path is missing or stands for no file, or the task has no labels.
    """
    if task == "classification":
        return _check(task, EXAMPLES, data, look_at_examples)
    if task == "tagging":
        return _check(task, SENTENCES, data, look_at_sentences)
    if task == "translation":
        return _check(task, PAIRS, data, look_at_pairs)
    raise UsageError(
        f"The task {task} learns from text alone. Expected classification, tagging or translation."
    )


def _check(
    task: Task,
    kind: Kind[T],
    data: DataConfig,
    look: Callable[["Sides[T]", DataConfig], Look],
) -> LabelledReport:
    units = units_of(kind, data.paths)
    others: list[Unit] = units_of(kind, data.validation_paths) if data.validation_paths else []
    faults = list(shared_files(units, others))
    files: list[FileReport] = []
    given: list[T] = []
    judged: list[T] = []
    whole = True
    for side, samples, part in (("train", given, units), ("validation", judged, others)):
        for unit in part:
            found = _read(kind, unit, data, side, files)
            samples.extend(found)
            whole = whole and bool(found)
    train, validation, split = divided(kind, given, judged, data)
    if whole:
        faults += refused(kind, train, validation, data)
    sides = Sides(given + judged, train, validation)
    seen: Look = look(sides, data) if given else Look(())
    shared = [sample.place for sample in overlap(kind, train, validation)]
    return LabelledReport(
        task=task,
        files=tuple(files),
        faults=tuple(faults[:PLACES]),
        more_faults=max(0, len(faults) - PLACES),
        split=split if given else None,
        train=len(train),
        validation=len(validation),
        lengths=tuple(seen.lengths),
        balances=tuple(seen.balances),
        found=tuple(
            each
            for each in (
                *seen.found,
                Found.of(f"{kind.what} to validate on that are also learnt from", shared),
            )
            if each.count
        ),
        remarks=tuple(seen.remarks),
        scheme=seen.scheme,
    )


def _read(
    kind: Kind[T], unit: Unit, data: DataConfig, side: str, files: list[FileReport]
) -> list[T]:
    """Return what can be read of a unit, and put a report for each of its files into ``files``."""
    pages: list[Collected] = []

    def book(shown: str) -> Collected:
        pages.append(Collected(shown))
        return pages[-1]

    try:
        samples = read_unit(kind, unit, data, book, True)
    except PhalanxError as error:
        samples = []
        if not pages:
            book(unit[0].shown)
        pages[0].faults.append(str(error))
    files += [FileReport(page.shown, side, len(samples), page) for page in pages]
    return samples
