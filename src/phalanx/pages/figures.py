"""Numbers as they are read: few digits, units that fit them, percent for shares."""

import math
import re

PERCENT = frozenset(
    {"share", "share_of_work", "share_of_peak", "share_of_time", "accuracy", "recall"}
)
SECONDS = frozenset({"seconds", "seconds_per_position", "seconds_per_token"})
MANY = frozenset(
    {"tokens_per_second", "positions_per_second", "flops_per_second", "flops", "parameters"}
)
NOTHING = "–"


def significant(value: float, digits: int = 3) -> str:
    """Return ``value`` with ``digits`` significant digits, plain where plain is short."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else NOTHING
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-3:
        mantissa, exponent = f"{value:.{max(digits - 2, 0)}e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if float(value).is_integer():
        return f"{value:,.0f}" if size >= 1e4 else f"{value:.0f}"
    return measured(value, digits)


def measured(value: float, digits: int = 3) -> str:
    """Return ``value`` with exactly ``digits`` significant digits, trailing zeros kept."""
    if value == 0 or not math.isfinite(value):
        return significant(value)
    # 9.996 rounds to four digits before the point is placed, so the digits are counted after it.
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)
    return f"{rounded:,.{decimals}f}" if abs(rounded) >= 1e4 else f"{rounded:.{decimals}f}"


def many(value: float, digits: int = 3) -> str:
    """Return a count with a decimal prefix: ``1.05M``, ``25.1k``."""
    if not math.isfinite(value):
        return significant(value)
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (1 - 0.5 * 10**-digits):
            return f"{measured(value / size, digits)}{letter}"
    return significant(value, digits)


def bytes_(value: float) -> str:
    """Return a size in binary units: ``212 MiB``."""
    for size, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(value) >= size:
            return f"{measured(value / size)} {unit}"
    return f"{value:.0f} B"


def duration(seconds: float) -> str:
    """Return a time in the unit that fits it: ``3.2 ms``, ``41 µs``, ``12.5 s``."""
    if not math.isfinite(seconds):
        return significant(seconds)
    if seconds == 0:
        return "0 s"
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")):
        if abs(seconds) >= size * 0.9995:
            return f"{measured(seconds / size)} {unit}"
    return f"{significant(seconds)} s"


def percent(value: float) -> str:
    """Return a share of one in percent, at most one digit after the point."""
    if not math.isfinite(value):
        return significant(value)
    scaled = value * 100
    if abs(scaled) >= 10 or scaled == 0:
        return f"{scaled:.1f}".removesuffix(".0") + "%"
    return f"{significant(scaled, 2)}%"


def figure(value: float | None, unit: str) -> str:
    """Return a verdict's figure in its unit; the words of the unit are the catalogue's."""
    if value is None:
        return NOTHING
    if unit in PERCENT:
        return percent(value)
    if unit in SECONDS:
        return duration(value)
    if unit in MANY:
        return many(value)
    if unit == "bytes":
        return bytes_(value)
    return significant(value)


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Return ``0.98–1.05``, the unit's sign once; empty without an interval."""
    if low is None or high is None:
        return ""
    first, last = figure(low, unit), figure(high, unit)
    number, sign = _split(first)
    return f"{number if sign == _split(last)[1] else first}–{last}"


def _split(shown: str) -> tuple[str, str]:
    """Return a figure's digits and its sign (``k``, `` ms``, ``%``) apart."""
    match = re.match(r"-?[\d.,]+(e-?\d+)?", shown)
    return (shown[: match.end()], shown[match.end() :]) if match else (shown, "")
