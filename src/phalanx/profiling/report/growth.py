"""How the figures of each mode grow: laws in T, and one token against its context."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from rich.console import Console
from rich.text import Text

from phalanx.pages.figures import NOTHING, bytes_, duration, many, significant
from phalanx.profiling.report.words import MODE_NAMES, heading, make_table, whole
from phalanx.profiling.results import Laws, Pass
from phalanx.profiling.span import Law, WorkLaw

_LONGEST = 14  # digits that are shown whole


def print_laws(passes: Sequence[Pass], console: Console) -> None:
    """Print each law that was found, and how well it holds at the lengths that were traced."""
    rows = [(one, *row) for one in passes for row in _laws(one.laws)]
    if not rows:
        return
    heading(console, "Growth with T", "For one token, T is its context.")
    table = make_table()
    for name in ("", "figure", "law", "holds at"):
        table.add_column(name, overflow="fold")
    shown: Pass | None = None
    for one, name, law, holds in rows:
        table.add_row("" if one is shown else MODE_NAMES[one.mode], name, law, Text(holds, "dim"))
        shown = one
    console.print(table)


def _laws(laws: Laws) -> Iterator[tuple[str, str, str]]:
    if laws.work is not None:
        yield "work, FLOPs", work_text(laws.work), _holds(laws.work)
    if laws.useful is not None and laws.useful != laws.work:
        yield "  useful", work_text(laws.useful), _holds(laws.useful)
    spans = {
        "span, kernels": laws.span,
        "span, scalars": laws.scalar_span,
        "span, elements": laws.element_depth,
    }
    for name, law in spans.items():
        if law is not None:
            yield name, span_text(law), _holds(law)


def work_text(law: WorkLaw) -> str:
    """The law of the work with all its digits: ``49,152 T^2 + 78,737,408 T``."""
    return _sum([(law.quadratic, "T^2"), (law.linear, "T"), (law.constant, "")])


def span_text(law: Law) -> str:
    """The law of a span: ``30 T + 9``, ``12 log2 T + 540``."""
    terms = [(law.slope, "T"), (law.logarithm, "log2 T"), (law.constant, "")]
    return _sum([(Fraction(value).limit_denominator(1000), name) for value, name in terms])


def _holds(law: Law | WorkLaw) -> str:
    first, last = law.points[0][0], law.points[-1][0]
    reach = f"T {first}–{last}"
    if law.exact:
        return f"exact, {reach}"
    if isinstance(law, Law):
        return f"within {significant(law.residual)}, {reach}"
    return f"not at every T, {reach}"


def _sum(terms: Sequence[tuple[Fraction, str]]) -> str:
    text = ""
    for coefficient, name in terms:
        if coefficient == 0:
            continue
        number = _number(abs(coefficient))
        shown = name if number == "1" and name else f"{number} {name}".strip()
        sign = ("-" if coefficient < 0 else "") if not text else f" {'-+'[coefficient > 0]} "
        text += sign + shown
    return text or "0"


def _number(value: Fraction) -> str:
    if value.denominator != 1:
        return f"{float(value):.4g}"
    digits = f"{value.numerator:,}"
    return digits if len(digits) <= _LONGEST else many(float(value), 6)


def print_decoding(one: Pass, console: Console) -> None:
    """Print what one token costs behind contexts of several lengths, and the state's size."""
    how = (
        "The state is carried from token to token."
        if one.cached
        else "No state is carried: the whole prefix is run again for every token."
    )
    if one.state_bytes is not None:
        how += f" It holds {bytes_(one.state_bytes)} a row at context {one.length}."
    heading(console, f"One token against its context, batch {one.batch}", how)
    table = make_table()
    predicted = any(point.predicted_seconds is not None for point in one.points)
    names = ["context", "work", "bytes moved", "kernels", "span", "scalar span", "parallelism"]
    for name in [*names, "predicted"] if predicted else names:
        table.add_column(name, justify="right", no_wrap=True)
    for point in one.points:
        figures = point.algorithm
        row = [
            whole(point.length),
            many(figures.work),
            bytes_(figures.bytes_moved),
            whole(figures.kernels),
            whole(figures.span),
            whole(figures.scalar_span),
            many(figures.parallelism),
        ]
        if predicted:
            seconds = point.predicted_seconds
            row.append(NOTHING if seconds is None else duration(seconds))
        table.add_row(*row)
    console.print(table)
