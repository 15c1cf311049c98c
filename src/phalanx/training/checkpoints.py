"""The checkpoints of a run: published whole, verified before they are used, the oldest deleted.

``checkpoints/step-00000200`` never changes once it bears its name; ``last`` and ``best`` are links
to two of them. A step that is saved again (its validation came after a resume) gets a second name,
``step-00000200-1``: nothing is ever written into a directory that exists.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phalanx import durable
from phalanx.errors import PhalanxError

FOLDER, LAST, BEST = "checkpoints", "last", "best"
_NAME = re.compile(r"step-(\d{8,})(?:-(\d+))?")


@dataclass(frozen=True)
class Recovered:
    """What was found to go on from.

    Args:
        path: the newest checkpoint that is as it was written; None where there is none at all.
        refused: what is wrong with the newer ones, which were set aside.
    """

    path: Path | None
    refused: tuple[str, ...] = ()


class Checkpoints:
    """The checkpoints in a run directory. Only one process may write them (see ``Lock``).

    Args:
        run: the run directory.
        keep: how many of the newest stay; the best stays besides.
    """

    def __init__(self, run: Path, keep: int) -> None:
        self.run = run
        self.keep = keep
        self.folder = run / FOLDER

    def save(self, step: int, fill: Callable[[Path, Path], None], *, best: bool) -> Path:
        """Publish a checkpoint, let ``last`` (and ``best``) point to it, delete old ones.

        Args:
            step: steps taken.
            fill: writes the files, given the directory to write into and its later name.
            best: whether it is the best so far.

        Raises:
            StorageError: it could not be written; those before are untouched.
        """
        self.folder.mkdir(exist_ok=True)
        taken = [number for at, number, _ in self._all() if at == step]
        suffix = f"-{max(taken) + 1}" if taken else ""
        path = self.folder / f"step-{step:08}{suffix}"
        durable.publish(path, lambda temporary: fill(temporary, path))
        self.link(path, best=best)
        self._rotate()
        return path

    def link(self, path: Path, *, best: bool) -> None:
        """Let ``last`` point to a checkpoint, and ``best`` too where it is the best."""
        for name in (LAST, BEST)[: 1 + best]:
            durable.point(self.run / name, f"{FOLDER}/{path.name}")

    def recover(self) -> Recovered:
        """Find the newest checkpoint that is whole; newer ones are set aside, never used.

        Raises:
            PhalanxError: there are checkpoints, and all of them are damaged. They keep their names:
                under others a second attempt would find none at all, and begin anew.
        """
        refused: list[str] = []
        damaged: list[Path] = []
        for _, _, path in reversed(self._all()):
            try:
                durable.verify(path)
            except durable.DamagedError as error:
                refused.append(str(error))
                damaged.append(path)
            else:
                for other in damaged:
                    self._set_aside(other)
                self._drop_dangling_links()
                return Recovered(path, tuple(refused))
        if refused:
            raise PhalanxError(
                f"{self.folder}: no checkpoint is whole:\n  " + "\n  ".join(refused) + "\n"
                "Expected at least one to go on from. Restore one from a copy, or begin anew in "
                "another directory."
            )
        return Recovered(None)

    def _rotate(self) -> None:
        linked = {os.path.realpath(self.run / name) for name in (LAST, BEST)}
        for _, _, path in self._all()[: -self.keep]:
            if os.path.realpath(path) not in linked:
                durable.remove(path)

    def _set_aside(self, path: Path) -> None:
        aside, number = path.with_name(f"damaged-{path.name}"), 1
        while aside.exists():
            aside, number = path.with_name(f"damaged-{path.name}.{number}"), number + 1
        path.rename(aside)

    def _drop_dangling_links(self) -> None:
        for name in (LAST, BEST):
            link = self.run / name
            if link.is_symlink() and not link.exists():
                link.unlink()

    def _all(self) -> list[tuple[int, int, Path]]:
        """(step, number, path) of each checkpoint, the oldest first."""
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        named = [(match, entry) for entry in entries if (match := _NAME.fullmatch(entry.name))]
        return sorted((int(match[1]), int(match[2] or 0), entry) for match, entry in named)
