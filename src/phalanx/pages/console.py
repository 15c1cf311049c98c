"""The terminal that tables are printed to: at most 100 columns."""

import io
from typing import IO

from rich.console import Console

WIDTH = 100


def make_console(file: IO[str] | None = None, *, stderr: bool = False) -> Console:
    """Return a console of at most 100 columns; 100 where the output is no terminal.

    An output without a character (Latin-1, ASCII) shows a question mark instead of failing.
    """
    console = Console(file=file, stderr=stderr, highlight=False)
    if isinstance(console.file, io.TextIOWrapper) and console.options.ascii_only:
        console.file.reconfigure(errors="replace")
    width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.width = width
    return console
