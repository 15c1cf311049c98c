"""The values of a Hugging Face config.json, read with their types checked."""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from phalanx.config import read_text
from phalanx.errors import UsageError

CONFIG = "config.json"
LARGEST = 10_000_000  # of a size of a model
T = TypeVar("T")


class Options:
    """The keys and values of a ``config.json``.

    Args:
        values: its content.
        source: the file, for the errors.
    """

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        self.values, self.source = values, source

    def integer(self, name: str, default: int | None = None, most: int = LARGEST) -> int:
        """A whole number above zero; without a default it must be there."""
        expected = f"a whole number from 1 to {most:,}"
        return self._read(name, default, lambda v: type(v) is int and 0 < v <= most, expected)

    def number(self, name: str, default: float | None = None) -> float:
        """A number above zero; without a default it must be there."""
        return float(self._read(name, default, _is_positive, "a number above 0"))

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        return self._read(name, default, lambda v: type(v) is bool, "true or false")

    def choice(self, name: str, default: str, known: Mapping[str, T]) -> T:
        """What one of the known words stands for."""
        word = self._read(name, default, lambda v: isinstance(v, str), "a word")
        if word not in known:
            raise self.wrong(name, f"one of {', '.join(sorted(known))}")
        return known[word]

    def only(self, name: str, expected: Collection[object], why: str = "") -> None:
        """Refuse any value but the expected ones; a key that is missing has the first.

        Raises:
            UsageError: phalanx has no such option.
        """
        value = self.values.get(name)
        if name in self.values and not any(value == e and type(value) is type(e) for e in expected):
            shown = " or ".join(json.dumps(one) for one in expected)
            raise self.wrong(name, f"{shown}{why}")

    def section(self, name: str) -> "Options | None":
        """The options below a key; None where it is null or missing."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "an object of keys and values")
        return Options(value, f"{self.source}: {name}")

    def wrong(self, name: str, expected: str) -> UsageError:
        """The error for a value that cannot be used."""
        value = json.dumps(self.values[name]) if name in self.values else "missing"
        return UsageError(f"{self.source}: {name} is {value[:200]}. Expected {expected}.")

    def _read(self, name: str, default: T | None, fits: Any, expected: str) -> T:
        value: Any = self.values.get(name)
        if value is None and default is not None:
            return default
        if not fits(value):
            raise self.wrong(name, expected)
        return cast(T, value)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file of at most 1 MiB.

    Raises:
        UsageError: it is missing, too large, not JSON or not an object.
    """
    try:
        values = json.loads(read_text(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot read it: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: not JSON: {error}. Expected an object of keys and values. It may be cut "
            "short: copy it again."
        ) from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected an object of keys and values.")
    return values


def _is_positive(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value < math.inf
