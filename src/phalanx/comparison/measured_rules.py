"""Rules of measured figures beyond rules.py, and what stands where nothing was measured."""

from dataclasses import replace

from phalanx.comparison.results import Verdict
from phalanx.comparison.rules import MACHINE, Rule

# A generated token against a position of one pass over as many tokens. Equal means that generating
# waits for nothing; this machine's noise and the cost of choosing a token lie below the first cut.
TOKEN_COST = Rule("time_ratio", (1.1, 1.5), ("yes", "partly", "no"))
# Speed kept of a whole forward pass, as for training.
SPEED_KEPT_PASS = Rule("ratio", (0.5, 0.8), ("no", "partly", "yes"))

CELLS: dict[tuple[str, str], Rule] = MACHINE | {
    ("parallel_inference", "autoregressive"): TOKEN_COST,
    ("parallel_inference", "one_pass"): SPEED_KEPT_PASS,
}

RECALL_UNIT = "recall"


def not_measured(cell: tuple[str, str], why: str) -> Verdict:
    """The machine's verdict of a cell that nothing was measured for."""
    if cell in CELLS:
        return CELLS[cell].judge(None, how=why)
    return Verdict("not_measured", None, RECALL_UNIT, "", how=why)


def worst(verdicts: list[Verdict], order: tuple[str, ...]) -> Verdict:
    """The verdict that stands first in ``order``; of none there, the first."""
    known = [v for v in verdicts if v.verdict in order]
    if not known:
        return replace(verdicts[0])
    return min(known, key=lambda v: order.index(v.verdict))
