"""The structure verdicts of models: five rows of the table and the claims, from traces alone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from phalanx.comparison import claims
from phalanx.comparison.figures import Figures
from phalanx.comparison.growing import ENDS, Grown
from phalanx.comparison.results import Cell, DistancePoint, Row, ScalingPoint, Verdict
from phalanx.comparison.rules import pending
from phalanx.comparison.subjects import Subject

Place = tuple[str, str]  # row, part

ROWS: dict[Place, Callable[[Figures], Verdict]] = {
    ("core_dependency", ""): claims.core_dependency,
    ("parallel_training", ""): claims.training,
    ("parallel_inference", "autoregressive"): claims.generation,
    ("parallel_inference", "one_pass"): claims.one_pass,
    ("long_range_dependency", ""): claims.any_two_positions,
    ("hardware_friendliness", ""): claims.core_is_matrix_products,
}


@dataclass(frozen=True)
class Structure:
    """What the traces say of one model.

    Args:
        model: its name.
        cells: (row, part) -> verdict.
        claims: claim -> verdict.
        scaling: spans of a forward and a training pass, as traced; without times.
        distances: kernels on the shortest path, against distance.
        span_slope: kernels per added position of one whole forward pass.
        grown: size -> a training pass of the same family at that size.
    """

    model: str
    cells: dict[Place, Verdict]
    claims: dict[str, Verdict]
    scaling: list[ScalingPoint]
    distances: list[DistancePoint]
    span_slope: float
    grown: dict[int, Grown]


def examine(subject: Subject) -> Structure:
    """Trace one model; a few seconds, no randomness, no time measured."""
    figures = Figures(subject)
    return Structure(
        model=subject.name,
        cells={place: judge(figures) for place, judge in ROWS.items()},
        claims={claim: judge(figures) for claim, judge in claims.STRUCTURE.items()},
        scaling=_scaling(figures),
        distances=[
            DistancePoint(subject.name, "hops", "", distance, kernels)
            for distance, kernels in sorted(figures.reach.kernels.items())
            if kernels < float("inf")
        ],
        span_slope=figures.forward.whole.slope,
        grown=dict(zip(ENDS, figures.ends, strict=True)),
    )


def structure_rows(
    structures: Iterable[Structure],
    machine: Mapping[str, Mapping[Place, Verdict]] | None = None,
) -> list[Row]:
    """The five rows of the table.

    Args:
        structures: one a model, in the order of the columns.
        machine: model -> (row, part) -> machine verdict; ``pending`` where there is none.
    """
    found = list(structures)
    rows: dict[str, dict[str, dict[str, Cell]]] = {row: {} for row, _ in ROWS}
    for structure in found:
        measured = (machine or {}).get(structure.model, {})
        for (row, part), verdict in structure.cells.items():
            cell = Cell(verdict, measured.get((row, part), pending()))
            rows[row].setdefault(structure.model, {})[part] = cell
    return [Row(key, cells) for key, cells in rows.items()]


def _scaling(figures: Figures) -> list[ScalingPoint]:
    name = figures.subject.name
    return [
        ScalingPoint(name, mode, length, span, None, None, None, None)
        for mode, growth in (("forward", figures.forward), ("train", figures.train))
        for length, span in growth.whole.points
    ]
