"""Where text comes from: paths, directories, globs and the embedded corpus; and how it is split."""

import glob
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from phalanx.data.documents import Document, read_text
from phalanx.data.stdlib import stdlib_documents
from phalanx.errors import UsageError

STDLIB = "stdlib"
# What a directory contributes. A file that is named, or matched by a glob, may end in anything.
PROSE_SUFFIXES = (".txt", ".text", ".md", ".rst", ".org", ".tex", ".html", ".xml", ".log")
DATA_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".cfg")
CODE_SUFFIXES = (
    *(".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".go"),
    *(".java", ".js", ".ts", ".css", ".sh", ".sql"),
)
TEXT_SUFFIXES = frozenset((*PROSE_SUFFIXES, *DATA_SUFFIXES, *CODE_SUFFIXES))

Spec = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Corpus:
    """Text in two parts, one to learn from and one to be judged by.

    Args:
        train, validation: documents of each side, in a stable order; neither side is empty.
        name: what was asked for, in short.
        digest: sha256 of the texts, their boundaries and the side of each; not of file names.
        bytes: length of all text in UTF-8.
        files: number of files read.
        split: ``by file`` or ``by characters``.
    """

    train: list[Document]
    validation: list[Document]
    name: str
    digest: str
    bytes: int
    files: int
    split: str


def read_documents(paths: Spec) -> list[Document]:
    """Read text from paths: files, directories (text files at any depth), globs or ``stdlib``.

    Documents keep the order of the paths; within a directory or a glob they are sorted by name. A
    file reached twice is read once. A directory's hidden files and directories are passed over,
    and so are files without text in a directory or a glob. Encoding: see ``decode_text``.

    Args:
        paths: one path or several. A name that exists is that file or directory, whatever
            wildcards it contains; for a file called stdlib write "./stdlib".

    Raises:
        UsageError: a path is missing, a glob matches nothing, a directory holds no text file, a
            file is empty or is not UTF-8.
    """
    paths = _listed(paths)
    if not paths or "" in paths:  # an empty path would be the current directory
        raise UsageError(
            "No text was given. Expected a file, a directory, a glob or 'stdlib'. Name one."
        )
    documents: list[Document] = []
    seen: set[Path | str] = set()
    for given in paths:
        if given == STDLIB:
            if STDLIB not in seen:
                documents += stdlib_documents()
            seen.add(STDLIB)
            continue
        # The real path tells files apart but is not read: that of a shell's <(...) does not exist.
        found = {path.resolve(): (name, path) for name, path in _files(given)}
        new = [found[real] for real in found if real not in seen]
        seen.update(found)
        read = [Document(name, read_text(path)) for name, path in new]
        with_text = [document for document in read if document.text.strip()]
        if read and not with_text:
            files = "1 file" if len(read) == 1 else f"{len(read)} files"
            raise UsageError(
                f"No text in {given}: {files} read, nothing but white space. Expected some text. "
                "Give another file."
            )
        documents += with_text
    return documents


def load_corpus(spec: Spec, validation_fraction: float = 0.1) -> Corpus:
    """Read text and split it into a training and a validation side.

    - Several files, and ``stdlib``: by file. A file's name alone decides its side (a hash), so it
      stays where it is when other files come and go.
    - One file, or several that the hash divides badly (a side with less than half or more than
      twice its share): by characters. The first part of each file trains, the rest validates.

    Args:
        spec: what ``read_documents`` takes.
        validation_fraction: share of the text to validate on, between 0 and 1.

    Raises:
        UsageError: as ``read_documents``; or the fraction or the text leaves one side empty.
    """
    if not 0.0 < validation_fraction < 1.0:
        raise UsageError(
            f"validation fraction {validation_fraction} leaves one side without text. Expected a "
            "number between 0 and 1, such as 0.1."
        )
    paths = _listed(spec)
    documents = read_documents(paths)
    train, validation = split_by_file(documents, validation_fraction)
    total = sum(document.bytes for document in documents)
    share = sum(document.bytes for document in validation) / total
    split = "by file"
    low, high = validation_fraction / 2, min(2 * validation_fraction, (1 + validation_fraction) / 2)
    if paths != [STDLIB] and not (train and low <= share <= high):
        split = "by characters"
        train, validation = split_by_characters(documents, validation_fraction)
    if not train or not validation:
        raise UsageError(
            f"{_name(paths)} has {total} bytes of text: too little for a validation fraction of "
            f"{validation_fraction}. Expected text on both sides. Give more text."
        )
    return Corpus(
        train=train,
        validation=validation,
        name=_name(paths),
        digest=_digest(train, validation),
        bytes=total,
        files=len(documents),
        split=split,
    )


def split_by_file(
    documents: Iterable[Document], fraction: float
) -> tuple[list[Document], list[Document]]:
    """Return (train, validation); a document's side is a function of its own name alone."""
    train: list[Document] = []
    validation: list[Document] = []
    for document in documents:
        head = hashlib.sha256(document.name.encode("utf-8", "surrogateescape")).digest()[:8]
        position = int.from_bytes(head, "big") / 2**64
        (validation if position < fraction else train).append(document)
    return train, validation


def split_by_characters(
    documents: Iterable[Document], fraction: float
) -> tuple[list[Document], list[Document]]:
    """Return (train, validation); the first ``1 - fraction`` of each document's characters trains.

    The cut is rounded down: 1,115,394 characters at 0.1 give 1,003,854 and 111,540.
    """
    train: list[Document] = []
    validation: list[Document] = []
    for document in documents:
        # The small term undoes binary rounding: 0.7 * 10 is 7, not 6.999...
        cut = int(len(document.text) * (1.0 - fraction) + 1e-9)
        for side, text in ((train, document.text[:cut]), (validation, document.text[cut:])):
            if text:
                side.append(Document(document.name, text))
    return train, validation


def _files(given: str) -> list[tuple[str, Path]]:
    """Return (name, path) of each file that ``given`` stands for, at least one."""
    path = Path(os.path.expanduser(given))
    if path.is_dir():
        found = list(_text_files(path))
        if not found:
            raise UsageError(
                f"The directory {given} holds no text file. Expected files ending in "
                f"{', '.join(sorted(TEXT_SUFFIXES))}. Name the files or give a glob "
                f"such as '{given}/*' to read others."
            )
        return sorted(found, key=lambda item: PurePath(item[0]).parts)
    if not path.exists() and glob.has_magic(str(path)):
        pattern = str(path)
        matches = (Path(match) for match in glob.glob(pattern, recursive=True))
        matched = sorted((match for match in matches if not match.is_dir()), key=lambda p: p.parts)
        if not matched:
            raise UsageError(
                f"The glob {given} matches no file. Expected at least one text file. Check the "
                f"pattern, and quote it in the shell (the current directory is {Path.cwd()})."
            )
        fixed = _fixed_part(pattern)
        return [(match.relative_to(fixed).as_posix(), match) for match in matched]
    return [(path.name, path)]


def _text_files(root: Path) -> Iterable[tuple[str, Path]]:
    for directory, below, files in os.walk(root):
        below[:] = [part for part in below if not part.startswith(".")]
        for file in files:
            path = Path(directory, file)
            hidden = file.startswith(".")
            if not hidden and path.suffix.lower() in TEXT_SUFFIXES and path.is_file():
                yield path.relative_to(root).as_posix(), path


def _fixed_part(pattern: str) -> Path:
    """Return the directory in front of a glob's first wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _listed(spec: Spec) -> list[str]:
    return [str(spec)] if isinstance(spec, str | Path) else [str(path) for path in spec]


def _name(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _digest(train: list[Document], validation: list[Document]) -> str:
    digest = hashlib.sha256()
    for side, documents in ((b"train", train), (b"validation", validation)):
        for document in documents:
            data = document.text.encode()
            digest.update(b"%s %d\n" % (side, len(data)))  # framed: moving a boundary changes it
            digest.update(data)
    return digest.hexdigest()
