"""How a traced figure grows with the length T: fitted for the span, exact for the work."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np

from phalanx.profiling.tracing.trace import Trace, trace

_EXACT = 1e-9  # relative to the largest point: rounding of a fit that is exact


@dataclass(frozen=True)
class Law:
    """constant + logarithm * log2 T + slope * T, with non-negative logarithm and slope.

    Args:
        constant, logarithm, slope: the coefficients.
        residual: greatest absolute difference from the points.
        points: what was measured, (T, value), by T.
    """

    constant: float
    logarithm: float
    slope: float
    residual: float
    points: tuple[tuple[int, float], ...]

    @classmethod
    def fit(cls, points: Mapping[int, float]) -> "Law":
        """The best fit; of equals the one with fewest terms, a slope before a logarithm.

        Raises:
            ValueError: fewer than three different lengths: any two lie on every law.
        """
        if len(points) < 3:
            raise ValueError(f"a law needs three lengths or more, got {sorted(points)}.")
        ordered = tuple(sorted((int(t), float(v)) for t, v in points.items()))
        lengths = np.array([t for t, _ in ordered], float)
        values = np.array([v for _, v in ordered])
        columns = {"slope": lengths, "logarithm": np.log2(lengths)}
        scale = max(1.0, float(np.abs(values).max()))
        best: tuple[float, dict[str, float]] | None = None
        for chosen in (c for size in range(3) for c in combinations(columns, size)):
            basis = np.stack([np.ones_like(lengths), *(columns[name] for name in chosen)], 1)
            fitted, *_ = np.linalg.lstsq(basis, values, rcond=None)
            if len(chosen) and fitted[1:].min() < 0:
                continue
            squares = float(np.square(basis @ fitted - values).sum()) / scale**2
            if best is None or squares < best[0] - _EXACT**2 - 1e-6 * best[0]:
                terms = dict(zip(("constant", *chosen), fitted.tolist(), strict=True))
                best = (squares, terms)
        assert best is not None  # the constant alone is always a candidate
        terms = {name: _tidy(best[1].get(name, 0.0)) for name in ("constant", *columns)}
        law = cls(**terms, residual=0.0, points=ordered)
        residual = max(abs(law.at(t) - v) for t, v in ordered)
        return cls(**terms, residual=0.0 if residual < _EXACT * scale else residual, points=ordered)

    @property
    def exact(self) -> bool:
        """Whether every measured point lies on the law."""
        return self.residual == 0

    @property
    def mean_slope(self) -> float:
        """(last - first) / (T last - T first): the growth per position, without any fit."""
        (first, low), (last, high) = self.points[0], self.points[-1]
        return (high - low) / (last - first)

    @property
    def last_slope(self) -> float:
        """The growth per position between the two greatest lengths."""
        (first, low), (last, high) = self.points[-2:]
        return (high - low) / (last - first)

    @property
    def doubling(self) -> float:
        """Factor by which the value grows when T doubles, on average: 1 constant, 2 linear."""
        (first, low), (last, high) = self.points[0], self.points[-1]
        return (high / low) ** (1 / math.log2(last / first)) if low > 0 else math.nan

    def at(self, length: int) -> float:
        """The law's value at another length."""
        return self.constant + self.logarithm * math.log2(length) + self.slope * length

    def __str__(self) -> str:
        terms = [(self.slope, "T"), (self.logarithm, " log2 T"), (self.constant, "")]
        text = _sum_of([(Fraction(c).limit_denominator(1000), name) for c, name in terms])
        return text if self.exact else f"{text} (within {self.residual:.3g})"


@dataclass(frozen=True)
class WorkLaw:
    """constant + linear * T + quadratic * T^2, exact: FLOPs are integers.

    ``exact`` says whether every measured point beyond the three that determine it agrees.
    """

    constant: Fraction
    linear: Fraction
    quadratic: Fraction
    exact: bool
    points: tuple[tuple[int, int], ...]

    @classmethod
    def through(cls, points: Mapping[int, int]) -> "WorkLaw":
        """The law by divided differences of the first three points, checked at the others.

        Raises:
            ValueError: fewer than four lengths: nothing would be left to check.
        """
        if len(points) < 4:
            raise ValueError(f"a work law needs four lengths or more, got {sorted(points)}.")
        ordered = tuple(sorted((int(t), int(v)) for t, v in points.items()))
        (t0, v0), (t1, v1), (t2, v2) = ordered[:3]
        first, second = Fraction(v1 - v0, t1 - t0), Fraction(v2 - v1, t2 - t1)
        quadratic = (second - first) / (t2 - t0)
        linear = first - quadratic * (t0 + t1)
        constant = v0 - linear * t0 - quadratic * t0 * t0
        exact = all(constant + linear * t + quadratic * t * t == v for t, v in ordered)
        return cls(constant, linear, quadratic, exact, ordered)

    @property
    def causal(self) -> "WorkLaw":
        """The law without what a causal mask throws away: of T^2 pairs T (T + 1) / 2 count."""
        half = self.quadratic / 2

        def less(length: int, work: int) -> int:
            return int(work - half * length * (length - 1))

        points = tuple((length, less(length, work)) for length, work in self.points)
        return WorkLaw(self.constant, self.linear + half, half, self.exact, points)

    def at(self, length: int) -> Fraction:
        """FLOPs at another length."""
        return self.constant + self.linear * length + self.quadratic * length * length

    def __str__(self) -> str:
        text = _sum_of([(self.quadratic, "T^2"), (self.linear, "T"), (self.constant, "")])
        return text if self.exact else f"{text} (does not hold at every length)"


def trace_lengths(
    build_call: Callable[[int], Callable[[], object]], lengths: Sequence[int]
) -> dict[int, Trace]:
    """Trace ``build_call(T)()`` at each length; what the call holds exists beforehand."""
    return {length: trace(build_call(length)) for length in lengths}


def span_law(build_call: Callable[[int], Callable[[], object]], lengths: Sequence[int]) -> Law:
    """The law of the kernel-chain span of ``build_call(T)()`` in T."""
    return Law.fit({t: found.span for t, found in trace_lengths(build_call, lengths).items()})


def work_law(build_call: Callable[[int], Callable[[], object]], lengths: Sequence[int]) -> WorkLaw:
    """The exact law of the FLOPs in matrix products of ``build_call(T)()`` in T."""
    traces = trace_lengths(build_call, lengths)
    return WorkLaw.through({t: found.matmul_work for t, found in traces.items()})


def _tidy(value: float) -> float:
    # Least squares leaves 5.999999999998; the points are integers.
    near = float(Fraction(value).limit_denominator(1000))
    return near if abs(near - value) < 1e-7 * max(1.0, abs(value)) else float(value)


def _sum_of(terms: Sequence[tuple[Fraction, str]]) -> str:
    text = ""
    for coefficient, name in terms:
        if coefficient == 0:
            continue
        size = abs(coefficient)
        number = str(size) if size.denominator == 1 else f"{float(size):.4g}"
        shown = f"{'' if size == 1 and name else number}{name}".strip()
        sign = ("-" if coefficient < 0 else "") if not text else f" {'-+'[coefficient > 0]} "
        text += sign + shown
    return text or "0"
