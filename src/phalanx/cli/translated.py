"""The forms in which translations are shown, and what is counted meanwhile."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from phalanx.cli.common import lacks_characters, note
from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.inference.alignment import Alignment
    from phalanx.inference.translating import Candidate, Translation, Translator

MOST_ALIGNED = 20
_NAMED = 10


@dataclass
class Counted:
    """What was translated so far.

    Attributes:
        lines: so many.
        cut: of them too long for the model.
        unknown: their tokens that stand for what the tokenizer does not know.
        open: translations that were cut at their length.
    """

    lines: int = 0
    cut: int = 0
    unknown: int = 0
    open: int = 0
    _cut_lines: list[int] = field(default_factory=list)

    def add(self, done: "Translation") -> int:
        """Count one; returns the number of its line, from 1."""
        self.lines += 1
        self.unknown += done.unknown
        self.open += any(not candidate.ended for candidate in done.candidates[:1])
        if done.cut:
            self.cut += 1
            self._cut_lines += [self.lines][: _NAMED - len(self._cut_lines)]
        return self.lines

    def named(self) -> str:
        """The lines that were cut, the first of them by their numbers."""
        more = " ..." if self.cut > len(self._cut_lines) else ""
        return ", ".join(map(str, self._cut_lines)) + more


def put(stream: TextIO, done: "Translation", line: int, n: int, *, json: bool) -> None:
    """Write one translation: a line of text, of JSON, or several with ``n`` above 1."""
    if json:
        print(_json(done, n, escaped=lacks_characters(stream)), file=stream, flush=True)
    elif n == 1:
        print(one_line(done.text), file=stream, flush=True)
    else:
        for candidate in done.candidates:
            text = one_line(candidate.text)
            print(f"{line}\t{candidate.score:.4f}\t{text}", file=stream, flush=True)


def one_line(text: str) -> str:
    """A translation as a line: a break within it becomes a space."""
    return " ".join(text.splitlines())


def _json(done: "Translation", n: int, *, escaped: bool) -> str:
    found = [_values(candidate) for candidate in done.candidates]
    record: dict[str, Any] = {"source": done.source, "cut": done.cut, **(found or [_EMPTY])[0]}
    if n > 1:
        record["candidates"] = found
    return json.dumps(record, ensure_ascii=escaped, allow_nan=False)


# What is said of an empty line.
_EMPTY: dict[str, Any] = {
    "text": "",
    "score": None,
    "log_probability": None,
    "tokens": [],
    "ended": True,
}


def _values(candidate: "Candidate") -> dict[str, Any]:
    return {
        "text": candidate.text,
        "score": candidate.score,
        "log_probability": candidate.log_probability,
        "tokens": candidate.tokens,
        "ended": candidate.ended,
    }


@dataclass
class Aligned:
    """The attention maps of the first lines, to be written to a file at the end."""

    path: Path
    maps: "list[Alignment]" = field(default_factory=list)

    @classmethod
    def into(cls, name: str) -> Self:
        """Maps for a new file.

        Raises:
            UsageError: it is there already, its ending is neither .json nor .svg, or its folder is
                missing.
        """
        path = Path(name)
        if path.suffix.lower() not in (".json", ".svg"):
            raise UsageError(
                f"--attention {name}: expected a file that ends in .json or .svg, the ending being "
                "its format."
            )
        if path.exists():
            raise UsageError(
                f"--attention {name} exists already. Expected a new file: nothing is overwritten. "
                "Remove it or choose another name."
            )
        if not path.parent.is_dir():
            raise UsageError(
                f"--attention {name}: there is no folder {path.parent}. Expected one that exists: "
                "make it, or choose another place."
            )
        return cls(path)

    def add(self, translator: "Translator", done: "Translation") -> None:
        """Keep the maps of one translation, unless there are enough."""
        from phalanx.inference.alignment import align

        most = 1 if self.path.suffix.lower() == ".svg" else MOST_ALIGNED
        if done.candidates and len(self.maps) < most:
            self.maps.append(align(translator, done))

    def write(self) -> None:
        """Write the file; nothing where nothing was translated.

        Raises:
            StorageError: it cannot be written.
        """
        from phalanx import durable
        from phalanx.pages.alignment import alignment_svg

        if not self.maps:
            note(f"warning: nothing was translated: {self.path} is not written")
            return
        if self.path.suffix.lower() == ".svg":
            [first] = self.maps
            layers = [map_HTS.numpy() for map_HTS in first.maps_LHTS]
            title = f"{first.text} → {first.translation}"
            content = alignment_svg(first.source, first.target, layers, title)
        else:
            content = (
                json.dumps([one.as_dict() for one in self.maps], ensure_ascii=False) + "\n"
            ).encode()
        durable.replace(self.path, content)
