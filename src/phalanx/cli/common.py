"""What the verbs share: options that mean the same everywhere, dotted overrides, JSON.

Importing this must stay cheap: it is paid by every ``--help``. No torch, no pydantic.
"""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

from cyclopts import Parameter

from phalanx.errors import UsageError

Device = Annotated[str, Parameter(help="Where to compute: auto, cpu or cuda.")]
Json = Annotated[
    bool, Parameter(help="Print data as JSON on stdout; all else goes to stderr.", negative=())
]
Seed = Annotated[int, Parameter(help="Fixes everything that is drawn at random.")]

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


def print_json(data: Mapping[str, object]) -> None:
    """Print data on stdout as one JSON document; a figure that is not finite is null."""
    print(json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def note(text: str) -> None:
    """Say something to the person at the terminal; stdout is kept for what was asked for."""
    print(text, file=sys.stderr, flush=True)
