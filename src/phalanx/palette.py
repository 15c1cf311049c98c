"""Colours and style of every picture: middle tones that read on light and on dark ground."""

from typing import Any

INK = "#768390"
SERIES = ("#d5622a", "#b98900", "#1f9d74", "#b9609d", "#2f81d8", "#768390", "#9c6a3c", "#2ba3a8")
MARKERS = ("o", "s", "^", "D", "P", "v", "p", "X")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "phalanx",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""What matplotlib is told (``rc_context``); with it the same data give the same bytes of SVG."""
