"""Print the counterexample table: ``python tests/claims/table.py``."""

from counterexamples import COUNTEREXAMPLES, DYNAMICS

from phalanx.comparison.results import Verdict


def _shown(verdict: Verdict) -> str:
    figure = "" if verdict.figure is None else f" ({verdict.figure:.3g})"
    return verdict.verdict + figure


def lines() -> list[str]:
    rows = [("claim", "model", "verdict", "planted", "verdict")]
    for example in COUNTEREXAMPLES:
        ordinary, turned = example.verdicts()
        rows.append(
            (example.claim, example.ordinary, _shown(ordinary), example.planted, _shown(turned))
        )
    first, *others = DYNAMICS
    rows += [
        ("C2", first.label, _shown(first.verdict()), other.label, _shown(other.verdict()))
        for other in others
    ]
    rows.insert(1, ("---",) * 5)
    return ["| " + " | ".join(row) + " |" for row in rows]


if __name__ == "__main__":
    print("\n".join(lines()))
