"""JSON values (a machine's facts, a configuration) as readable lines."""

from typing import Any

from phalanx.pages.figures import bytes_, duration, many
from phalanx.pages.language import Catalogue


def value_lines(value: Any, words: Catalogue, term: str = "") -> list[str]:
    """Return a JSON value as readable lines; a mapping of equal values becomes that value."""
    if isinstance(value, dict):
        shown = {key: plain(item, words, term or str(key)) for key, item in value.items()}
        if len(shown) > 1 and len(set(shown.values())) == 1:
            return [next(iter(shown.values()))]
        return [f"{words.name('machine', str(key))}: {item}" for key, item in shown.items()]
    return [plain(value, words, term)]


def plain(value: Any, words: Catalogue, term: str = "") -> str:
    """Return a JSON value on one line."""
    if value is None:
        return words.text("none")
    if isinstance(value, bool):
        return words.text("true" if value else "false")
    if isinstance(value, int | float):
        if term == "launch" or term.endswith("seconds"):
            return duration(value)
        if "bytes" in term or term.endswith("memory"):
            return many(value) + "B/s" if "second" in term else bytes_(value)
        if isinstance(value, int) and abs(value) < 10**6:
            return f"{value:,}" if abs(value) >= 10**4 else str(value)
        return many(value) if abs(value) >= 1e4 else f"{value:.4g}"
    if isinstance(value, dict):
        return "; ".join(
            f"{words.name('machine', str(k))} {plain(v, words, str(k))}" for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        if not value:
            return words.text("none")
        return ", ".join(plain(item, words, term) for item in value)
    return words.sentence(str(value))
