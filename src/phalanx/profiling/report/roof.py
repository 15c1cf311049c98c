"""The machine's roof as rooflines tell it, and how high each pass stands below it."""

from collections.abc import Iterable

from phalanx.pages.figures import many
from phalanx.profiling.results import Pass, Profile, Roofline


def roofs(profiles: Iterable[Profile]) -> list[tuple[float, float]]:
    """Return the different roofs, each (bytes/s, FLOP/s): one for all passes of one machine."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for profile in profiles:
        for one in profile.passes.values():
            if one.roofline is not None and one.roofline.ridge > 0:
                bandwidth, peak = roof(one.roofline)
                # Two digits: rounding alone makes no second machine.
                found.setdefault((f"{bandwidth:.1e}", f"{peak:.1e}"), (bandwidth, peak))
    return list(found.values())


def roof(line: Roofline) -> tuple[float, float]:
    """Return (bytes/s, FLOP/s) of the roof that allows ``attainable`` at ``intensity``."""
    if line.intensity < line.ridge:
        bandwidth = line.attainable / line.intensity
        return bandwidth, bandwidth * line.ridge
    return line.attainable / line.ridge, line.attainable


def rate(value: float, unit: str) -> str:
    """Return ``188 GFLOP/s``: the prefix stands with the unit."""
    shown = many(value)
    number = shown.rstrip("kMGTP")
    return f"{number} {shown[len(number) :]}{unit}"


def achieved(one: Pass) -> tuple[float | None, float | None, float | None]:
    """Return the FLOP/s that the predicted time makes of the work, with its interval.

    Without a prediction: what the roof allows, which no pass exceeds.
    """
    if one.prediction is None or not one.prediction.seconds:
        return (one.roofline.attainable if one.roofline else None), None, None
    work = (one.executed or one.algorithm).work
    times = (one.prediction.seconds, one.prediction.high, one.prediction.low)
    middle, low, high = (work / seconds if seconds else None for seconds in times)
    return middle, low, high
