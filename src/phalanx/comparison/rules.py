"""The thresholds of docs/claims.md: from a figure and its interval to a verdict, and nothing else.

A rule cuts the axis of one figure into bands. The verdict is a band's only if the whole interval
lies in it; otherwise it is ``inconclusive``. What was not measured is ``not_measured``.
"""

import math
from dataclasses import dataclass, replace
from itertools import product

from phalanx.comparison.results import Verdict
from phalanx.profiling.span import Law

NOTHING_WAITS = 0.001  # kernels per added position: less than one kernel in 1,000 positions
CHAIN = 1.0  # a chain through every position holds at least one kernel a position
Interval = tuple[float, float, float]  # median, low, high
EXACT = 1e-12  # relative difference of float64 results that count as equal
SAME_LOSS = 1e-9  # nats


@dataclass(frozen=True)
class Rule:
    """Bands of one figure, from low to high.

    Args:
        unit: what the figure counts, a key of the message catalogue.
        cuts: ascending bounds; a figure equal to a bound lies above it.
        verdicts: one more than cuts.
    """

    unit: str
    cuts: tuple[float, ...]
    verdicts: tuple[str, ...]

    @property
    def threshold(self) -> str:
        """The rule in words and numbers, as the report prints it."""
        first = f"< {self.cuts[0]:g} {self.verdicts[0]}"
        last = f">= {self.cuts[-1]:g} {self.verdicts[-1]}"
        inner = [
            f"{low:g}..{high:g} {verdict}"
            for low, high, verdict in zip(
                self.cuts, self.cuts[1:], self.verdicts[1:-1], strict=False
            )
        ]
        return ", ".join([first, *inner, last])

    def band(self, figure: float) -> str:
        """The verdict of an exact figure."""
        return self.verdicts[sum(figure >= cut for cut in self.cuts)]

    def judge(
        self,
        figure: float | None,
        low: float | None = None,
        high: float | None = None,
        how: str = "",
        *,
        open_because: str = "",
    ) -> Verdict:
        """The verdict on a figure.

        Args:
            figure: the statistic (a median where it was measured); None where it was not.
            low, high: the interval over repeats; None for an exact figure.
            how: one sentence on how the figure was obtained.
            open_because: why the figure cannot be trusted (a control that varied): inconclusive.
        """
        if figure is None:
            return Verdict("not_measured", None, self.unit, self.threshold, how=how)
        verdict = Verdict("inconclusive", figure, self.unit, self.threshold, low, high, how)
        if open_because:
            return replace(verdict, how=f"{how} {open_because}".strip())
        ends = [figure, figure if low is None else low, figure if high is None else high]
        if any(math.isnan(end) for end in ends):
            return replace(verdict, figure=None, low=None, high=None)
        bands = {self.band(end) for end in ends}
        if len(bands) > 1:
            straddles = f"The interval {min(ends):.3g} to {max(ends):.3g} straddles a threshold."
            return replace(verdict, how=f"{how} {straddles}".strip())
        return replace(verdict, verdict=bands.pop())


def not_applicable(why: str, unit: str = "") -> Verdict:
    """A claim about a part that the model does not have."""
    return Verdict("not_applicable", None, unit, "", how=why)


def pending() -> Verdict:
    """A machine verdict that is still to be measured."""
    return Verdict("pending", None, "", "")


# -- structure: exact figures of a trace ------------------------------------------------------

DEPENDENCE = Rule("kernels_per_position", (NOTHING_WAITS, CHAIN), ("parallel", "chunked", "serial"))
ANSWER = Rule("kernels_per_position", (NOTHING_WAITS, CHAIN), ("yes", "chunked", "no"))
DISTANCE = Rule("hops_per_position", (NOTHING_WAITS, CHAIN), ("one_step", "chunked", "linear"))
TOKEN_CHAIN = Rule("calls_per_token", (0.05, CHAIN), ("parallel", "partly", "serial"))
GENERATION = Rule("calls_per_token", (0.05, CHAIN), ("yes", "partly", "no"))
SCAN_RATIO = Rule("ratio", (0.25,), ("holds", "fails"))
_IN_A_TREE = {"parallel": "logarithmic", "yes": "logarithmic", "one_step": "logarithmic_path"}


def judge_law(
    rule: Rule, slope: float, uncertainty: float = 0.0, logarithm: float = 0.0, how: str = ""
) -> Verdict:
    """The verdict on a law's growth per position, with its log2 T term.

    Args:
        rule: DEPENDENCE, ANSWER or DISTANCE.
        slope: kernels that one more position adds.
        uncertainty: of the slope, from the residual of the fit.
        logarithm: coefficient of log2 T; it counts only where the slope is flat.
        how: how the law was obtained.
    """
    low, high = (slope - uncertainty, slope + uncertainty) if uncertainty else (None, None)
    verdict = rule.judge(slope, low, high, how)
    in_a_tree = _IN_A_TREE.get(verdict.verdict)
    if in_a_tree is not None and logarithm >= NOTHING_WAITS:
        return replace(verdict, verdict=in_a_tree)
    return verdict


def slope_uncertainty(law: Law) -> float:
    """How far the slope of a law may be off, given what the fit leaves over."""
    first, last = law.points[0][0], law.points[-1][0]
    return 2 * law.residual / (last - first)


def independence(
    difference: float, growth: float, unit_growth: str, how: str, leak: float = 0.0
) -> Verdict:
    """The verdict on parts that must not depend on one another (C4, C5, C6).

    Args:
        difference: a part alone against its place in the whole, relative, float64.
        growth: kernels that one more part adds to the span.
        unit_growth: what ``growth`` counts, in words.
        how: how both were obtained.
        leak: greatest gradient of one part with respect to another; must be exactly zero.
    """
    alone = difference <= EXACT and leak == 0.0 and growth < NOTHING_WAITS
    return Verdict(
        verdict="independent" if alone else "dependent",
        figure=difference,
        unit="max_difference",
        threshold=f"<= {EXACT:g} independent, otherwise dependent",
        how=f"{how} Span: {growth:.3g} {unit_growth}."
        + (f" Gradient of one part with respect to another: {leak:.3g}." if leak else ""),
    )


def products(share: float, intensity: float, how: str) -> Verdict:
    """The verdict on a pass's matrix products (C11).

    Args:
        share: of the FLOPs inside matrix products.
        intensity: FLOPs per byte inside them, float32, batch 1.
        how: how both were obtained.
    """
    if share >= 0.9 and intensity >= 8:
        verdict = "high"
    elif share < 0.5 or intensity < 2:
        verdict = "low"
    else:
        verdict = "medium"
    return Verdict(
        verdict=verdict,
        figure=share,
        unit="share_of_work",
        threshold="share >= 0.9 and 8 FLOPs per byte: high; "
        "share < 0.5 or less than 2 FLOPs per byte: low; otherwise medium",
        how=f"{intensity:.3g} FLOPs per byte inside the products. {how}".strip(),
    )


def growing(exponent: float, intensity: float, how: str) -> Verdict:
    """The verdict on a family of models that grows (C12).

    Args:
        exponent: e in FLOPs per dependent kernel ~ parameters^e; nan where it did not grow.
        intensity: FLOPs per byte inside the products of the largest.
        how: how both were obtained.
    """
    if math.isnan(exponent):
        verdict = "inconclusive"
    elif exponent >= 0.75 and intensity >= 8:
        verdict = "holds"
    elif exponent < 0.25 or intensity < 2:
        verdict = "fails"
    else:
        verdict = "partly"
    return Verdict(
        verdict=verdict,
        figure=None if math.isnan(exponent) else exponent,
        unit="growth_exponent",
        threshold="exponent >= 0.75 and 8 FLOPs per byte: holds; "
        "exponent < 0.25 or less than 2 FLOPs per byte: fails; otherwise partly",
        how=f"{intensity:.3g} FLOPs per byte inside the products of the largest. {how}".strip(),
    )


# -- this machine: a median with its interval --------------------------------------------------

SPEED_KEPT_CORE = Rule("speed_kept", (0.5, 0.8), ("serial", "partly", "parallel"))
SPEED_KEPT_TRAINING = Rule("speed_kept", (0.5, 0.8), ("no", "partly", "yes"))
SPEED_KEPT_PASS = Rule("speed_kept", (0.5, 0.8), ("no", "partly", "yes"))
TOKEN_COST = Rule("time_ratio", (1.1, 1.5), ("yes", "partly", "no"))
PEAK_SHARE = Rule("share_of_peak", (0.1, 0.5), ("poor", "fair", "good"))
GRADIENT = Rule("decades_per_position", (-0.02, 0.02), ("vanishes", "stable", "explodes"))
LEVEL_GAIN = Rule("serial_over_parallel", (0.95, 1.05), ("slower", "same", "faster"))
_RECALL = Rule("recall", (0.1, 0.8), ("vanishes", "fades", "reaches"))

LARGE_SHARE = Rule("share_of_peak", (0.1, 0.5), ("fails", "partly", "holds"))
LARGE_THRESHOLD = (
    "at the largest size >= 0.5 of the peak, 1.1 times that of the smallest and no dip: holds; "
    "< 0.1, or less than at the smallest: fails; otherwise partly"
)
GROWS, DIPS = 1.1, 0.9  # share of peak, largest over smallest size; a size over the one before
LEAST_SIZES = 3

RECALL_LEARNED = 0.95  # accuracy at distance 4 below which nothing is said about longer ones

# (row, part) of the table -> rule of its machine verdict; long-range has ``recall`` below.
MACHINE: dict[tuple[str, str], Rule] = {
    ("core_dependency", ""): SPEED_KEPT_CORE,
    ("parallel_training", ""): SPEED_KEPT_TRAINING,
    ("parallel_inference", "autoregressive"): TOKEN_COST,
    ("parallel_inference", "one_pass"): SPEED_KEPT_PASS,
    ("hardware_friendliness", ""): PEAK_SHARE,
}


def efficiency(
    share: Interval, growth: Interval, dip: Interval, how: str, *, open_because: str = ""
) -> Verdict:
    """The verdict on achieved FLOP/s of a training step against the size of the model (C12).

    Args:
        share: of this machine's peak at the largest size: median, low, high.
        growth: of the share, largest over smallest size.
        dip: the least share of a size over that of the size before.
        how: how they were obtained.
        open_because: why they cannot be trusted: inconclusive.
    """
    possible = {_efficient(s, g, d) for s, g, d in product((min(share), max(share)), growth, dip)}
    verdict = possible.pop() if len(possible) == 1 and not open_because else "inconclusive"
    reason = open_because
    if len(possible) > 1:
        reason = "The intervals allow more than one verdict."
    return Verdict(
        verdict=verdict,
        figure=share[0],
        unit=LARGE_SHARE.unit,
        threshold=LARGE_THRESHOLD,
        low=share[1],
        high=share[2],
        how=f"{how} {reason}".strip(),
    )


def no_efficiency(why: str) -> Verdict:
    """The machine's verdict on C12 where nothing was measured."""
    return Verdict("not_measured", None, LARGE_SHARE.unit, LARGE_THRESHOLD, how=why)


def _efficient(share: float, growth: float, dip: float) -> str:
    verdict = LARGE_SHARE.band(share)
    if growth < 1:
        return "fails"
    if verdict == "holds" and (growth < GROWS or dip < DIPS):
        return "partly"
    return verdict


def not_measured(cell: tuple[str, str], why: str) -> Verdict:
    """The machine's verdict of a cell that nothing was measured for."""
    return MACHINE.get(cell, _RECALL).judge(None, how=why)


def recall(
    accuracy: float | None,
    near_accuracy: float | None,
    chance: float,
    low: float | None = None,
    high: float | None = None,
    how: str = "",
) -> Verdict:
    """The verdict on recall at the longest distance tested.

    Args:
        accuracy: at that distance; None where it was not measured.
        near_accuracy: at distance 4; a model that never learned the task gets no verdict.
        chance: accuracy of guessing; the thresholds count from there to 1.
        low, high: the interval of ``accuracy``.
        how: how it was obtained.
    """

    def above_chance(value: float) -> float:
        return chance + value * (1 - chance)

    rule = replace(_RECALL, cuts=tuple(round(above_chance(cut), 4) for cut in _RECALL.cuts))
    verdict = rule.judge(accuracy, low, high, how)
    if accuracy is None or near_accuracy is None:
        return replace(rule.judge(None, how=how))
    if near_accuracy < RECALL_LEARNED:
        reason = f"Accuracy at distance 4 is {near_accuracy:.3f}, below {RECALL_LEARNED}."
        return replace(verdict, verdict="not_learned", how=f"{how} {reason}".strip())
    return verdict
