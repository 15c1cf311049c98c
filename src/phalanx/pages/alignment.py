"""Where a translation looked, as a picture: SVG, the same bytes for the same weights."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phalanx.palette import INK, SERIES, STYLE, fonts

MOST_TOKENS = 60
"""Of longer texts the beginning is drawn."""
_CELL = 0.21  # inches
_LABELS = 0.75  # room for the tokens' names
_NAME = 0.35  # and for the panel's own, below it
_FONT = 8.0
_LONGEST = 10
_CHARACTER = 0.09
_WIDE = 0x2E80  # from here on characters are about twice as wide


def alignment_svg(
    source: Sequence[str],
    target: Sequence[str],
    layers: Sequence[NDArray[np.float32]],
    title: str = "",
) -> bytes:
    """Panels of target tokens (rows) against source tokens (columns), darker where more is read.

    A row of panels for each layer: the mean of its heads, where it has several, then each head.

    Args:
        source: the source's tokens.
        target: the target's tokens.
        layers: of each layer the weights (heads, target, source).
        title: a line above.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    source, target = source[:MOST_TOKENS], target[:MOST_TOKENS]
    panels = [_panels(weights_HTS, layer) for layer, weights_HTS in enumerate(layers, 1)]
    shown = LinearSegmentedColormap.from_list("reading", ["white", SERIES[4]])
    across, down = max(map(len, panels)), len(panels)
    wide, high = _LABELS + len(source) * _CELL, _LABELS + _NAME + len(target) * _CELL
    title_width = sum(2 if ord(c) > _WIDE else 1 for c in title) * _CHARACTER
    width, height = max(across * wide, title_width) + 0.2, down * high + 0.4
    with rc_context({**STYLE, "font.family": fonts()}):
        figure = Figure(figsize=(width, height))
        figure.text(
            0.1 / width, 1 - 0.1 / height, title, fontsize=11, va="top", color=INK, parse_math=False
        )
        for row, of_layer in enumerate(panels):
            for column, (name, weights_TS) in enumerate(of_layer):
                left, top = column * wide + _LABELS, row * high + 0.4 + _LABELS
                size = len(source) * _CELL, len(target) * _CELL
                axes = figure.add_axes(
                    (left / width, 1 - (top + size[1]) / height, size[0] / width, size[1] / height)
                )
                seen_TS = weights_TS[:MOST_TOKENS, :MOST_TOKENS]
                axes.imshow(seen_TS, cmap=shown, vmin=0, vmax=1, aspect="auto")
                axes.set_xticks(
                    range(len(source)), map(_short, source), rotation=90, parse_math=False
                )
                axes.set_yticks(range(len(target)), map(_short, target), parse_math=False)
                axes.xaxis.tick_top()
                axes.tick_params(length=0, labelsize=_FONT)
                axes.set_xlabel(name, fontsize=9, color=INK)
                axes.grid(visible=False)
        file = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _panels(weights_HTS: NDArray[np.float32], layer: int) -> list[tuple[str, NDArray[np.float32]]]:
    heads = [(f"layer {layer}, head {head}", one) for head, one in enumerate(weights_HTS, 1)]
    if len(heads) == 1:
        return [(f"layer {layer}", weights_HTS[0])]
    return [(f"layer {layer}, mean of heads", weights_HTS.mean(0)), *heads]


def _short(token: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in token)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
