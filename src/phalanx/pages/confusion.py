"""Which labels are taken for which, as a picture: SVG, the same bytes for the same counts."""

import io
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phalanx.palette import INK, SERIES, STYLE, fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELS = 100
"""Of more labels, those that are confused most are drawn."""
_LONGEST = 32
_ROOMY = 12  # labels beside which names and counts can be large

Confusion = Mapping[tuple[str, str], int]


def confusion_svg(confusion: Confusion, title: str = "") -> bytes:
    """Rows of the right labels against columns of the given ones, coloured by share of the row.

    What is right is blue, what is not orange; the deeper, the larger its share of the rows of
    that label. Cells hold counts.

    Args:
        confusion: rows of each pair of right and given label.
        title: a line above.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    labels, left_out = _drawn(confusion)
    count = len(labels)
    cell = 0.62 if count <= _ROOMY else 0.155
    font = 10.0 if count <= _ROOMY else 6.5
    names = [_short(label) for label in labels]
    margin = max(map(len, names), default=0) * font * 0.0088 + 0.5
    size = max(count * cell, 1.6)
    with rc_context({**STYLE, "font.family": fonts()}), warnings.catch_warnings():
        # A name in a script that no font here has is drawn as boxes: no reason to draw nothing.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        width, height = margin + size + 0.3, margin + size + 0.7
        figure = Figure(figsize=(max(width, 4.2), height))
        box = (margin / figure.get_figwidth(), margin / height)
        axes = figure.add_axes((*box, size / figure.get_figwidth(), size / height))
        _cells(axes, confusion, labels, font)
        axes.set_xticks(range(count), names, rotation=90, fontsize=font, parse_math=False)
        axes.set_yticks(range(count), names, fontsize=font, parse_math=False)
        axes.set_xlabel("given by the model", fontsize=10)
        axes.set_ylabel("right", fontsize=10)
        axes.tick_params(length=0)
        more = f"{title} · {left_out:,} labels more, confused less" if left_out else title
        figure.text(
            0.1 / figure.get_figwidth(),
            1 - 0.1 / height,
            more,
            fontsize=10.5,
            va="top",
            color=INK,
            parse_math=False,
        )
        file = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _drawn(confusion: Confusion) -> tuple[list[str], int]:
    """The labels that are drawn, in the order of their names, and how many are not."""
    errors: Counter[str] = Counter()
    for (right, given), count in confusion.items():
        for label in (right, given):
            errors[label] += count * (right != given)
    chosen = sorted(errors, key=lambda label: (-errors[label], label))[:MOST_LABELS]
    return sorted(chosen), len(errors) - len(chosen)


def _cells(axes: "Axes", confusion: Confusion, labels: Sequence[str], font: float) -> None:
    from matplotlib.colors import to_rgb

    counts_RG = _matrix(confusion, labels)
    rows_R1 = np.maximum(_row_totals(confusion, labels), 1)[:, None]
    shares_RG = counts_RG / rows_R1
    image: NDArray[Any] = np.zeros((*counts_RG.shape, 4))
    image[...] = (*to_rgb(SERIES[0]), 0.0)
    diagonal = np.arange(len(labels))
    image[diagonal, diagonal] = (*to_rgb(SERIES[4]), 0.0)
    # Any count shows: a single row among many would be too pale to be seen.
    image[..., 3] = np.where(counts_RG > 0, 0.15 + 0.75 * shares_RG, 0.0)
    axes.imshow(image, interpolation="nearest", aspect="auto")
    edges = np.arange(len(labels) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=INK, alpha=0.25, linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    for row, column in zip(*np.nonzero(counts_RG), strict=True):
        axes.text(
            column,
            row,
            f"{counts_RG[row, column]}",
            ha="center",
            va="center",
            fontsize=font * 0.8,
            color=INK if shares_RG[row, column] < 0.5 else "white",
        )


def _matrix(confusion: Confusion, labels: Sequence[str]) -> NDArray[np.int64]:
    place = {label: number for number, label in enumerate(labels)}
    counts_RG = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for (right, given), count in confusion.items():
        if right in place and given in place:
            counts_RG[place[right], place[given]] = count
    return counts_RG


def _row_totals(confusion: Confusion, labels: Sequence[str]) -> NDArray[np.int64]:
    """Rows of each label, those given a label that is not drawn included."""
    totals: Counter[str] = Counter()
    for (right, _), count in confusion.items():
        totals[right] += count
    return np.array([totals[label] for label in labels], dtype=np.int64)


def _short(label: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in label)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
