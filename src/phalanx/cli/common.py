"""What the verbs share: options that mean the same everywhere, dotted overrides, JSON.

Importing this must stay cheap: it is paid by every ``--help``. No torch, no pydantic.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

from cyclopts import Parameter, Token, convert

from phalanx.errors import UsageError
from phalanx.jsonable import finite

TERMINATED = 143  # the exit code after SIGTERM, and of the SystemExit that it becomes

Device = Annotated[str, Parameter(help="Where to compute: auto, cpu or cuda.")]
Json = Annotated[
    bool, Parameter(help="Print data as JSON on stdout; all else goes to stderr.", negative=())
]
Seed = Annotated[int, Parameter(help="Fixes everything that is drawn at random.")]

TaskName = Literal["language-modelling", "masked-lm", "classification", "tagging", "translation"]

Overrides = Annotated[tuple[tuple[str, str], ...], Parameter(parse=False)]
"""Dotted overrides of the configuration, ``("train.steps", "500")``, in the order given.

A verb that takes them declares the keyword-only parameter ``overrides: Overrides = ()``.
"""

_DOTTED = re.compile(r"--([A-Za-z_][\w-]*(?:\.[\w-]+)+)(?:=(.*))?", re.DOTALL)


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Take the dotted overrides out of a command line.

    Args:
        arguments: the words of the command line; nothing behind ``--`` is an override.

    Returns:
        The other words, and the overrides as pairs of key and text, in the order given.

    Raises:
        UsageError: an override without a value.
    """
    others: list[str] = []
    overrides: list[tuple[str, str]] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            others += [word, *words]
            break
        match = _DOTTED.fullmatch(word)
        if match is None:
            others.append(word)
            continue
        key, value = match[1].replace("-", "_"), match[2]  # as in the other options
        if value is None:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise UsageError(
                    f"--{key} has no value. Expected one, as in `--{key} VALUE` or `--{key}=VALUE`."
                )
        overrides.append((key, value))
    return others, overrides


def convert_strictly(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert the words of an option to its type, and round nothing to a whole number."""
    if kind in (int, int | None):
        for token in tokens:
            try:
                int(token.value)
            except ValueError:
                raise ValueError(f"expected a whole number (given {token.value!r}).") from None
    return convert(kind, tokens)


def print_json(data: Mapping[str, object]) -> None:
    """Print data on stdout as one JSON document; a figure that is not finite is null."""
    escaped = lacks_characters(sys.stdout)
    print(json.dumps(finite(data), indent=2, ensure_ascii=escaped, allow_nan=False))


def lacks_characters(stream: TextIO | None) -> bool:
    """Whether JSON needs escapes on a stream: data must not lose a character to a terminal.

    A stream that is closed from the start (None) takes everything.
    """
    return stream is not None and (stream.encoding or "").lower().replace("-", "") != "utf8"


def unknown_things(kind: str) -> str:
    """What a tokenizer of this kind does not know: ``characters`` or ``words``."""
    return "words" if kind in ("words", "wordpiece") else "characters"


def note(text: str) -> None:
    """Say something to the person at the terminal; stdout is kept for what was asked for."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class PredictAsk:
    """What ``phalanx predict`` was asked for.

    Args:
        texts: inputs of the command line.
        pairs: second texts, as many, or none.
        files: files of inputs; ``-`` is stdin.
        output: where to write; None: stdout.
        json: JSON lines on stdout.
        top: how many of the likeliest answers to tell; None: as the task does.
        options: how files are read: settings of DataConfig that were given.
    """

    texts: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    output: Path | None = None
    json: bool = False
    top: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluateAsk:
    """What ``phalanx evaluate`` was asked for.

    Args:
        data: files to judge the model by.
        options: how they are read: settings of DataConfig that were given.
        output: a directory for pictures and reports; None: none.
        json: the report as JSON on stdout.
    """

    data: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None
    json: bool = False


def given_options(**options: str | None) -> dict[str, str]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}
