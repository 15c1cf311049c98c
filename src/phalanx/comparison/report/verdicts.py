"""What a verdict looks like: one of five tones, told apart by a mark as well as by colour.

The marks say how full the parallelism is, so that they read without colour: a full disc (parallel,
yes, near, high), a half disc (in between), a ring (serial, no, far, low).
"""

from typing import Literal

Tone = Literal["good", "middle", "poor", "open", "none"]

_TONES: dict[Tone, tuple[str, ...]] = {
    "good": (
        *("parallel", "yes", "constant", "one_step", "independent", "exact", "equal", "faster"),
        *("high", "good", "reaches", "stable", "holds"),
    ),
    "middle": (
        *("logarithmic", "chunked", "partly", "logarithmic_path", "sublinear", "same", "medium"),
        *("fair", "fades"),
    ),
    "poor": (
        *("serial", "no", "linear", "grows", "dependent", "differs", "slower", "low", "poor"),
        *("vanishes", "explodes", "fails", "not_learned", "out_of_reach"),
    ),
    "open": ("inconclusive",),
    "none": ("not_measured", "not_applicable", "pending"),
}
TONES: dict[str, Tone] = {key: tone for tone, keys in _TONES.items() for key in keys}

MARKS: dict[Tone, str] = {"good": "●", "middle": "◐", "poor": "○", "open": "?", "none": "·"}
ASCII_MARKS: dict[Tone, str] = {"good": "+", "middle": "~", "poor": "-", "open": "?", "none": "."}
STYLES: dict[Tone, str] = {
    "good": "bold blue",
    "middle": "cyan",
    "poor": "yellow",
    "open": "magenta",
    "none": "dim",
}


def tone(verdict: str) -> Tone:
    """Return the tone of a verdict's key; an unknown key has none."""
    return TONES.get(verdict, "none")
