"""Where the machine's order of two models would turn, given more hardware; and why."""

from collections.abc import Mapping, Sequence
from itertools import permutations

from phalanx.comparison.speed_kept import LENGTH

_FASTER = 1.1
_MOST = 1e5  # times this machine: beyond that a prediction says nothing


def predict(
    waiting: Mapping[str, tuple[float, float] | None], structure: Mapping[str, str]
) -> list[str]:
    """Sentences for pairs of which the one that waits is the faster here.

    A training step takes w + p, where w is spent waiting for positions in turn and p is work. With
    k times as much parallel hardware it takes w + p / k: waiting stays. The order turns where both
    models take as long.

    Args:
        waiting: model -> (w, p) in seconds of a training step of one row; None: not measured.
        structure: model -> structure verdict on parallel training.
    """
    serial = [m for m, verdict in structure.items() if verdict == "no" and waiting.get(m)]
    others = [m for m, verdict in structure.items() if verdict != "no" and waiting.get(m)]
    found = []
    for slow, quick in permutations([*serial, *others], 2):
        if slow not in serial or quick not in others:
            continue
        w_slow, p_slow = waiting[slow] or (0.0, 0.0)
        w_quick, p_quick = waiting[quick] or (0.0, 0.0)
        here = (w_quick + p_quick) / (w_slow + p_slow)
        if here < _FASTER:
            continue  # the order is the structure's already, or nearly
        lead = f"{slow} trains {here:.2g} times as fast as {quick} here (1 row of {LENGTH})"
        if w_slow <= w_quick:
            found.append(f"{lead}; no wait was measured that would turn the order.")
            continue
        factor = (p_quick - p_slow) / (w_slow - w_quick)
        if factor > _MOST:
            found.append(f"{lead}; the order would turn only far beyond any machine.")
            continue
        found.append(
            f"{lead}; predicted crossover at {factor:.2g} times this machine's parallel hardware, "
            f"where work shrinks and the {1000 * w_slow:.2g} ms that {slow} waits for positions "
            "stay."
        )
    return found


def disagreements(
    structure: Mapping[str, Mapping[tuple[str, str], str]],
    machine: Mapping[str, Mapping[tuple[str, str], str]],
    cells: Sequence[tuple[str, str]],
) -> list[str]:
    """Sentences for the cells in which the machine answers otherwise than the structure.

    Args:
        structure, machine: model -> cell -> verdict.
        cells: which to look at: those whose structure verdict is about waiting.
    """
    found = []
    waits = {"serial", "no"}
    free = {"parallel", "yes"}
    for cell in cells:
        name = ", ".join(part.replace("_", " ") for part in cell if part)
        for model, verdicts in structure.items():
            measured = machine.get(model, {}).get(cell, "")
            if verdicts.get(cell) in waits and measured in free:
                found.append(
                    f"{name}, {model}: a chain by structure, yet this machine keeps its speed: "
                    "one position already fills what it can do at once."
                )
            elif verdicts.get(cell) in free and measured in waits:
                found.append(
                    f"{name}, {model}: no chain by structure, yet this machine loses speed on a "
                    "long row: the work itself grows or its kernels are too small here."
                )
    return found
