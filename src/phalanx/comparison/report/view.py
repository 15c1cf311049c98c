"""What table and page both need to know about a study: rules gathered, best found, terms in lines.

Nothing here measures; it only arranges what ``results`` holds.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from phalanx.comparison.report.verdicts import tone
from phalanx.comparison.results import Basis, Row, Verdict
from phalanx.pages.language import Catalogue
from phalanx.pages.values import value_lines

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """A threshold, a reason, or how a figure was obtained, and the models that share it."""

    row: str
    part: str
    basis: Basis
    threshold: str
    unit: str
    how: str
    models: tuple[str, ...]


def row_parts(row: Row, models: Iterable[str]) -> list[str]:
    """Return the parts of a row that any model has, in the order in which they were given."""
    found: dict[str, None] = {}
    for model in models:
        found.update(dict.fromkeys(row.cells.get(model, {})))
    return list(found)


def rules(rows: Iterable[Row], bases: Sequence[Basis]) -> list[Finding]:
    """Return every threshold once, with the models that it judged."""
    return _gather(rows, bases, lambda v: (v.threshold, v.unit, "") if v.threshold else None)


def open_cells(rows: Iterable[Row], bases: Sequence[Basis]) -> list[Finding]:
    """Return the reason (``how``) of every cell that has no verdict, with its models."""

    def reason(verdict: Verdict) -> tuple[str, str, str] | None:
        open_or_none = tone(verdict.verdict) in ("open", "none")
        return ("", verdict.unit, verdict.how) if open_or_none and verdict.how else None

    return _gather(rows, bases, reason)


def obtained(rows: Iterable[Row], bases: Sequence[Basis]) -> list[Finding]:
    """Return how every figure was obtained and judged, once for the models that share it."""
    return _gather(
        rows, bases, lambda v: (v.threshold, v.unit, v.how) if v.how or v.threshold else None
    )


def _gather(
    rows: Iterable[Row],
    bases: Sequence[Basis],
    select: Callable[[Verdict], tuple[str, str, str] | None],
) -> list[Finding]:
    found: dict[tuple[str, str, Basis, str, str, str], list[str]] = {}
    for row in rows:
        for part in row_parts(row, row.cells):
            for basis in bases:
                for model, cells in row.cells.items():
                    chosen = select(getattr(cells[part], basis)) if part in cells else None
                    if chosen is not None:
                        found.setdefault((row.key, part, basis, *chosen), []).append(model)
    return [Finding(*key, tuple(models)) for key, models in found.items()]


def best(items: Sequence[T], value: Callable[[T], float | None]) -> T | None:
    """Return the item of the smallest finite value; None where there is none or a single item."""
    known = [(v, i) for i, item in enumerate(items) if (v := value(item)) is not None]
    known = [pair for pair in known if math.isfinite(pair[0])]
    return items[min(known)[1]] if len(known) > 1 else None


def contract_lines(contract: dict[str, Any], words: Catalogue) -> list[tuple[str, list[str]]]:
    """Return each term of a record with its values as lines; equal values are said once."""
    return [
        (words.name("contract", term), value_lines(value, words, term))
        for term, value in contract.items()
    ]
