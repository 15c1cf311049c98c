"""Ctrl-C and SIGTERM during work that can be left with what is done so far."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Interruption:
    """Whether somebody asked to stop; call it to know.

    Args:
        on_first: called when the first signal comes.

    Attributes:
        signal: what came first; None: nothing.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """True once a signal has come."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """0, or the code that the signal asks for."""
        return 0 if self.signal is None else EXIT_CODES[self.signal]

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: note the first, leave at once with the second."""
        if self.signal is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(EXIT_CODES[signal.Signals(number)])
        self.signal = signal.Signals(number)
        self._on_first()


@contextmanager
def interruption(on_first: Callable[[], None] = lambda: None) -> Iterator[Interruption]:
    """Let the first Ctrl-C or SIGTERM only be noted inside; a second one ends the program."""
    found = Interruption(on_first)
    if threading.current_thread() is not threading.main_thread():
        yield found  # signals are somebody else's
        return
    before = {number: signal.signal(number, found.handle) for number in EXIT_CODES}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
