"""Speed kept: what one long row leaves of the speed of many short ones.

Rows of a batch are independent (claim C6), so the same tokens as many short rows show what this
machine can do at once; one long row shows what is left of that when positions have to share. FLOPs
as traced stand beside each time, so that work is not taken for waiting.
"""

from collections.abc import Callable, Mapping

from phalanx.comparison.clocks import Figure, figure, ratios, within
from phalanx.comparison.results import Verdict
from phalanx.comparison.rules import Rule
from phalanx.profiling.machine.timing import Interleaved
from phalanx.profiling.span import WorkLaw

LENGTH, ROWS = 256, 16  # one row of 256 positions against 16 rows of 16

PassOf = Callable[[str, int, int], Callable[[], object]]
"""A model's name, rows, positions -> the pass to time."""


def speed_kept(
    laws: Mapping[str, WorkLaw],
    call: PassOf,
    rule: Rule,
    seconds: float,
    device: str,
    repeats: int,
    what: str,
    why_not: str,
) -> tuple[dict[str, Verdict], Interleaved | None]:
    """Time a long row and short rows of every model, all in turn, and judge each model.

    Args:
        laws: model -> FLOPs of the pass of one row of T positions.
        call: makes the pass.
        rule: of the verdict.
        seconds: for everything.
        device: where.
        repeats: turns at least.
        what: is timed, the beginning of a sentence.
        why_not: the sentence where the time was too short.

    Returns:
        Verdicts by model, and the times of ``NAME long`` and ``NAME short``; None: not measured.
    """
    candidates = {}
    for name in laws:
        candidates[f"{name} long"] = call(name, 1, LENGTH)
        candidates[f"{name} short"] = call(name, ROWS, LENGTH // ROWS)
    times = within(candidates, seconds, device, repeats=repeats)
    if times is None:
        return {name: rule.judge(None, how=why_not) for name in laws}, None
    verdicts = {}
    for name, law in laws.items():
        correction = long_over_short(law)
        kept = figure([correction / r for r in ratios(times, f"{name} long", f"{name} short")])
        how = (
            f"{what}: FLOP/s of 1 row of {LENGTH} positions over FLOP/s of {ROWS} rows of "
            f"{LENGTH // ROWS}, pair by pair in {kept.repeats} turns."
        )
        verdicts[name] = judge(rule, kept, how, times)
    return verdicts, times


def long_over_short(law: WorkLaw) -> float:
    """FLOPs of the long row over those of all short ones."""
    return float(law.at(LENGTH)) / (ROWS * float(law.at(LENGTH // ROWS)))


def judge(rule: Rule, found: Figure, how: str, times: Interleaved) -> Verdict:
    """The verdict on a measured figure; open where the control beside it varied."""
    return rule.judge(
        found.median, found.low, found.high, how, open_because=sentence(times.inconclusive)
    )


def sentence(reason: str | None) -> str:
    """A reason as a sentence; "" where there is none."""
    return "" if reason is None else f"{reason[0].upper()}{reason[1:]}."
