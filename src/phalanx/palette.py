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

# Fonts that have what the main one lacks, Chinese for one; those that the machine has are used.
_FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Serif CJK SC", "Source Han Sans SC"),
    *("WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei"),
)


def fonts() -> list[str]:
    """The fonts of pictures that this machine has, the main one first; loads matplotlib."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return [str(STYLE["font.family"]), *(name for name in _FALLBACKS if name in there)]
