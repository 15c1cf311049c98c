"""Where phalanx keeps what it can make again."""

import os
from pathlib import Path

from phalanx.errors import UsageError

VARIABLE = "PHALANX_CACHE"


def cache_directory() -> Path:
    """``$PHALANX_CACHE``, else ``$XDG_CACHE_HOME/phalanx``, else ``~/.cache/phalanx``.

    It may not exist yet, and may be deleted whenever no phalanx is running.

    Raises:
        UsageError: there is no home directory.
    """
    if given := os.environ.get(VARIABLE):
        return Path(os.path.expanduser(given)).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # a relative one is to be ignored (XDG Base Directory Specification)
        return Path(base, "phalanx")
    try:
        return Path.home() / ".cache" / "phalanx"
    except RuntimeError:
        raise UsageError(
            "There is no home directory to keep a cache in. Expected a place for the tokens of a "
            f"text. Set {VARIABLE} to a directory."
        ) from None
