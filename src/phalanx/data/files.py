"""Which files a user means: paths, directories, globs and the embedded corpus."""

import glob
import os
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from phalanx.data.opening import Source, spooled
from phalanx.data.stdlib import stdlib_sources
from phalanx.errors import UsageError

STDLIB = "stdlib"
# What a directory contributes. A file that is named, or matched by a glob, may end in anything.
PROSE_SUFFIXES = (".txt", ".text", ".md", ".rst", ".org", ".tex", ".html", ".xml", ".log")
ROW_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
DATA_SUFFIXES = (".yaml", ".yml", ".toml", ".ini", ".cfg")
CODE_SUFFIXES = (
    *(".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".go"),
    *(".java", ".js", ".ts", ".css", ".sh", ".sql"),
)
TEXT_SUFFIXES = frozenset((*PROSE_SUFFIXES, *ROW_SUFFIXES, *DATA_SUFFIXES, *CODE_SUFFIXES))

Spec = str | Path | Sequence[str | Path]


def listed(spec: Spec) -> list[str]:
    """The paths that were asked for, one by one."""
    return [str(spec)] if isinstance(spec, str | Path) else [str(path) for path in spec]


def find_files(
    paths: Spec, suffixes: Collection[str] = TEXT_SUFFIXES
) -> list[tuple[str, list[Source]]]:
    """Return the files behind each path: itself, a directory's, a glob's or ``stdlib``'s.

    They keep the order of the paths; within a directory or a glob they are sorted by name. A file
    reached twice counts where it is reached first. A directory's hidden files and directories are
    passed over. A pipe is copied to a temporary file, since it can be read but once.

    Args:
        paths: one path or several. A name that exists is that file or directory, whatever
            wildcards it contains; for a file called stdlib write "./stdlib".
        suffixes: what a directory contributes, a last .gz taken off.

    Returns:
        (path as given, files not seen before) for each path.

    Raises:
        UsageError: a path is missing, a glob matches nothing, a directory holds no text file.
    """
    paths = listed(paths)
    if not paths or "" in paths:  # an empty path would be the current directory
        raise UsageError(
            "No text was given. Expected a file, a directory, a glob or 'stdlib'. Name one."
        )
    groups: list[tuple[str, list[Source]]] = []
    seen: set[Path] = set()
    for given in paths:
        new = []
        for source in stdlib_sources() if given == STDLIB else _files(given, suffixes):
            # It tells files apart but is not read: the one of a shell's <(...) does not exist.
            real = source.path.resolve()
            if real not in seen:
                seen.add(real)
                new.append(spooled(source))
        groups.append((given, new))
    return groups


def _files(given: str, suffixes: Collection[str]) -> list[Source]:
    """Return the files that ``given`` stands for, at least one."""
    pattern = os.path.expanduser(given)
    if os.path.isdir(pattern):
        found = _text_files(given, Path(pattern), suffixes)
        if not found:
            raise UsageError(
                f"The directory {given} holds no text file. Expected files ending in "
                f"{', '.join(sorted(suffixes))}, or one of them and .gz. Name the files or "
                f"give a glob such as '{given}/*' to read others."
            )
        return sorted(found, key=lambda source: PurePath(source.name).parts)
    if not os.path.exists(pattern) and glob.has_magic(pattern):
        matches = (Path(match) for match in glob.glob(pattern, recursive=True))
        matched = sorted((match for match in matches if not match.is_dir()), key=lambda p: p.parts)
        if not matched:
            raise UsageError(
                f"The glob {given} matches no file. Expected at least one text file. Check the "
                f"pattern, and quote it in the shell (the current directory is {Path.cwd()})."
            )
        fixed = _fixed_part(pattern)
        return [Source(path.relative_to(fixed).as_posix(), path, str(path)) for path in matched]
    if "\0" in given:
        raise UsageError(f"No such file: {given!r}. Expected a path without NUL. Check it.")
    return [Source(Path(pattern).name, Path(pattern), given)]


def _text_files(given: str, root: Path, suffixes: Collection[str]) -> list[Source]:
    def unreadable(error: OSError) -> None:
        raise UsageError(
            f"Cannot read the directory {error.filename}, in {given}: {error.strerror}. Expected "
            "one that can be listed. Check its permissions, or name the files."
        )

    found = []
    for directory, below, files in os.walk(root, onerror=unreadable):
        below[:] = [part for part in below if not part.startswith(".")]
        for file in files:
            path = Path(directory, file)
            if not file.startswith(".") and _is_text(file, suffixes) and path.is_file():
                found.append(Source(path.relative_to(root).as_posix(), path, str(path)))
    return found


def _is_text(file: str, suffixes: Collection[str]) -> bool:
    name = file.lower()
    inner = PurePath(name.removesuffix(".gz")).suffix
    return inner in suffixes or (name.endswith(".gz") and not inner)


def _fixed_part(pattern: str) -> Path:
    """Return the directory in front of a glob's first wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)
