"""Stop strings: the text of a row ends before the first of them."""

from collections.abc import Sequence

from phalanx.errors import UsageError


def check_stops(stops: Sequence[str]) -> None:
    """Refuse stop strings that mean nothing.

    Raises:
        UsageError: an empty one, or one that is no text (a lone surrogate).
    """
    for stop in stops:
        if not stop:
            raise UsageError(
                "A stop string is empty. Expected at least one character: every text contains "
                "the empty one."
            )
        try:
            stop.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"The stop string {stop!r} is not UTF-8 text. Expected text that a model can write."
            ) from None


class Stopper:
    """Lets a text through as it comes, up to the stop string that is complete first.

    What may be the beginning of a stop string is held back until more is known, so that no part of
    one is ever let through. Of stop strings that are complete with the same character the longest
    counts: what comes through does not depend on the pieces in which the text came.

    Args:
        stops: the stop strings, none of them empty.

    Attributes:
        found: a stop string has come; nothing goes through any more.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = sorted(stops, key=len, reverse=True)
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Take the next piece of the text; return what can be let through now."""
        passed = ""
        for character in text:
            if self.found:
                break
            self._held += character
            whole = next((stop for stop in self._stops if self._held.endswith(stop)), None)
            self.found = whole is not None
            free = len(self._held) - len(whole) if whole else self._free()
            passed += self._held[:free]
            self._held = "" if self.found else self._held[free:]
        return passed

    def flush(self) -> str:
        """The text has ended: return what was held back."""
        held, self._held = self._held, ""
        return held

    def _free(self) -> int:
        """How much of the held text cannot belong to a stop string, whatever follows."""
        count = len(self._held)
        starts = (s for s in range(count) if any(w.startswith(self._held[s:]) for w in self._stops))
        return next(starts, count)
