"""Errors meant for users: what was given, what was expected, what to do.

Nothing here imports torch: the command line raises these before it pays for the import.
"""

import difflib
from collections.abc import Iterable


class PhalanxError(Exception):
    """A failure that the user can act on; the command line prints it and exits with 1."""

    exit_code = 1


class UsageError(PhalanxError):
    """A wrong argument, configuration or input file; the command line exits with 2."""

    exit_code = 2


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or all known names."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {', '.join(names)}."
