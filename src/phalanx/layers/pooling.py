"""One vector for a whole row, of the vectors of its real positions; zero where there is none."""

import math
from collections.abc import Callable

import torch

from phalanx.rows import Rows
from phalanx.shapes import Column, Sequence


def first(y_BTD: Sequence, rows: Rows) -> Column:
    """The first position's vector (B, D), as BERT reads its [CLS]."""
    y_BD = y_BTD[:, 0]
    return y_BD if rows.lengths_B is None else torch.where(rows.lengths_B[:, None] > 0, y_BD, 0)


def mean(y_BTD: Sequence, rows: Rows) -> Column:
    """The mean (B, D) over real positions."""
    counts_B1 = rows.consumed_B()[:, None].clamp(min=1)
    return rows.zero_padding(y_BTD).sum(1) / counts_B1


def largest(y_BTD: Sequence, rows: Rows) -> Column:
    """The largest value (B, D) of each coordinate over real positions."""
    keep_BT = rows.keep_BT
    if keep_BT is None:
        return y_BTD.amax(1)
    y_BD = torch.where(keep_BT[..., None], y_BTD, -math.inf).amax(1)
    return torch.where(keep_BT.any(1)[:, None], y_BD, 0)


POOLINGS: dict[str, Callable[[Sequence, Rows], Column]] = {
    "first": first,
    "mean": mean,
    "max": largest,
}
