"""The claims of docs/claims.md, one function each: figures in, verdict out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from phalanx.comparison import rules
from phalanx.comparison.figures import Figures
from phalanx.comparison.growing import LENGTH, exponent
from phalanx.comparison.growth import Growth
from phalanx.comparison.results import Claim, Level, Verdict
from phalanx.comparison.rules import NOTHING_WAITS, Rule, not_applicable


def core_dependency(figures: Figures) -> Verdict:
    """Row 1: does a position wait for the one before it, in a forward pass?"""
    return _grown(rules.DEPENDENCE, figures.forward)


def recurrence_is_serial(figures: Figures) -> Verdict:
    """C1: the chain of a training pass."""
    return _grown(rules.DEPENDENCE, figures.train)


def information_crosses_steps(figures: Figures) -> Verdict:
    """C2, structure: how many kernels information passes on its way, per position."""
    return any_two_positions(figures)


def attention_waits_for_nothing(figures: Figures) -> Verdict:
    """C3: the chain through the mixers alone, and the depth inside their kernels."""
    mixers = figures.forward.layer_laws
    if not mixers:
        return not_applicable("The model has no mixer.", rules.DEPENDENCE.unit)
    slope = max(law.slope for law in mixers)
    scalar = max(figures.scalar, key=lambda law: (law.slope, law.logarithm))
    how = f"Each mixer alone; scalar depth {scalar}."
    if slope < NOTHING_WAITS <= scalar.slope:
        how = f"{how} The chain hides inside a kernel."
        slope = scalar.slope
    logarithm = max(law.logarithm for law in mixers)
    uncertainty = max(rules.slope_uncertainty(law) for law in mixers)
    return rules.judge_law(rules.DEPENDENCE, slope, uncertainty, logarithm, how)


def heads_are_independent(figures: Figures) -> Verdict:
    """C4: each head alone is its slice."""
    found = figures.heads
    if found is None:
        return not_applicable("The model has no attention.", "max_difference")
    how = f"Each of {found.parts} heads computed alone from its slice of the weights, float64."
    verdict = rules.independence(found.difference, found.growth, "kernels per added head", how)
    if found.alike:
        return replace(
            verdict, verdict="inconclusive", how=f"{how} The heads gave the same result."
        )
    return verdict


def feed_forward_is_position_wise(figures: Figures) -> Verdict:
    """C5: each position alone is its place in the sequence, and permutations commute."""
    found = figures.feed_forward
    if found is None:
        return not_applicable("The model has no feed-forward network.", "max_difference")
    how = f"{found.parts} networks, positions permuted and each alone, float64."
    return rules.independence(found.difference, found.growth, "kernels per added position", how)


def rows_are_independent(figures: Figures) -> Verdict:
    """C6: a row alone is the row in a batch."""
    found = figures.rows
    how = "A row alone, and beside other rows than before, in training mode, float64."
    return rules.independence(
        found.difference, found.growth, "kernels per added row", how, found.leak
    )


def teacher_forcing_is_one_pass(figures: Figures) -> Verdict:
    """C7, row 2: the loss is the autoregressive one, and its pass does not wait."""
    forcing = figures.teacher_forcing
    if forcing is None:
        return not_applicable("An encoder is not trained to continue.", rules.ANSWER.unit)
    if forcing.difference > rules.SAME_LOSS or not forcing.leak.causal:
        leak = f"An output's gradient with respect to a later input is {forcing.leak.leak:.3g}."
        return Verdict(
            verdict="fails",
            figure=forcing.difference,
            unit="nats_per_token",
            threshold=f"> {rules.SAME_LOSS:g} fails",
            how="The losses of one pass are not those of one call a prefix. " + leak,
        )
    verdict = _grown(rules.ANSWER, figures.train)
    same = f"Losses of one pass and of prefixes differ by {forcing.difference:.1g} nats."
    if not forcing.mixes:
        reason = "The last output does not depend on the first input: nothing was shown."
        return replace(verdict, verdict="inconclusive", how=f"{verdict.how} {same} {reason}")
    return replace(verdict, how=f"{verdict.how} {same}")


def training(figures: Figures) -> Verdict:
    """Row 2: teacher forcing for a decoder, the pass of a task for an encoder."""
    if figures.generates:
        return teacher_forcing_is_one_pass(figures)
    return _grown(rules.ANSWER, figures.train)


def generation_is_serial(figures: Figures) -> Verdict:
    """C8: the longest chain of generated tokens."""
    return _generated(figures, rules.TOKEN_CHAIN)


def generation(figures: Figures) -> Verdict:
    """Row 3, autoregressive: can several tokens be generated at once?"""
    return _generated(figures, rules.GENERATION)


def one_pass(figures: Figures) -> Verdict:
    """C9, row 3: one pass over a given text."""
    return _grown(rules.ANSWER, figures.forward)


def any_two_positions(figures: Figures) -> Verdict:
    """C10, row 4: kernels on the shortest path, per position of distance."""
    found = figures.reach
    distances = ", ".join(str(d) for d in sorted(found.kernels))
    if found.blocked is not None:
        return Verdict(
            verdict="out_of_reach",
            figure=None,
            unit=rules.DISTANCE.unit,
            threshold=rules.DISTANCE.threshold,
            how=f"Nothing arrives from {found.blocked} positions away.",
        )
    law = found.law
    how = f"Shortest dependence paths over distances {distances}: {law} kernels."
    slope, logarithm = found.growth
    return rules.judge_law(rules.DISTANCE, slope, rules.slope_uncertainty(law), logarithm, how)


def core_is_matrix_products(figures: Figures) -> Verdict:
    """C11, row 5: share and size of the matrix products of a training pass."""
    found = figures.products
    how = (
        f"Training pass at batch 1, T = 128: {found.kernels_per_token:.3g} kernels per token, "
        f"{found.flops_per_kernel:.3g} FLOPs per dependent kernel."
    )
    return rules.products(found.share, found.intensity, how)


def large_models_train_efficiently(figures: Figures) -> Verdict:
    """C12, structure: what a larger model adds to each dependent kernel."""
    small, large = figures.ends
    how = (
        f"Training pass of 1 row of {LENGTH} positions: {small.flops_per_kernel:.3g} FLOPs per "
        f"dependent kernel at {small.parameters:,} parameters outside the tables, "
        f"{large.flops_per_kernel:.3g} at {large.parameters:,}."
    )
    return rules.growing(exponent(small, large), large.intensity, how)


def recurrence_by_a_scan(figures: Figures) -> Verdict:
    """B1: the schedule in use against the serial one."""
    found = figures.scanned
    if found is None:
        return not_applicable("No layer is a chain when computed position by position.", "ratio")
    how = (
        f"Training by the schedule in use against the serial one, which adds {found.serial:.3g} "
        f"kernels per position; results differ by {found.difference:.1g}."
    )
    verdict = rules.SCAN_RATIO.judge(found.ratio, how=how)
    return verdict if found.difference <= rules.EXACT else replace(verdict, verdict="fails")


STRUCTURE: dict[str, Callable[[Figures], Verdict]] = {
    "C1": recurrence_is_serial,
    "C2": information_crosses_steps,
    "C3": attention_waits_for_nothing,
    "C4": heads_are_independent,
    "C5": feed_forward_is_position_wise,
    "C6": rows_are_independent,
    "C7": teacher_forcing_is_one_pass,
    "C8": generation_is_serial,
    "C9": one_pass,
    "C10": any_two_positions,
    "C11": core_is_matrix_products,
    "C12": large_models_train_efficiently,
    "B1": recurrence_by_a_scan,
}

# The cell of the table whose machine verdict answers the claim as well.
_CELLS: dict[str, tuple[str, str]] = {
    "C1": ("core_dependency", ""),
    "C7": ("parallel_training", ""),
    "C8": ("parallel_inference", "autoregressive"),
    "C9": ("parallel_inference", "one_pass"),
    "C10": ("long_range_dependency", ""),
    "C11": ("hardware_friendliness", ""),
}
_LEVELS = {"C3": "positions", "C4": "heads", "C5": "feed_forward_positions", "C6": "batch_rows"}


def claims(
    model: str,
    structure: Mapping[str, Verdict],
    cells: Mapping[tuple[str, str], Verdict] | None = None,
    levels: Iterable[Level] = (),
    gradient: Verdict | None = None,
    efficiency: Verdict | None = None,
) -> list[Claim]:
    """All claims about one model, C1 to B1.

    Args:
        model: its name.
        structure: claim -> structure verdict.
        cells: (row, part) -> machine verdict of the model's cell.
        levels: the ablations; those of other models are left out.
        gradient: the verdict by ``rules.GRADIENT`` (C2).
        efficiency: the verdict by ``rules.efficiency`` (C12).
    """
    machine: dict[str, Verdict] = {
        claim: cells[place] for claim, place in _CELLS.items() if cells and place in cells
    }
    if gradient is not None:
        machine["C2"] = gradient
    if efficiency is not None:
        machine["C12"] = efficiency
    own = {level.key: level for level in levels if level.model == model}
    machine |= {c: level_verdict(own[key]) for c, key in _LEVELS.items() if key in own}
    return [Claim(id_, model, verdict, machine.get(id_)) for id_, verdict in structure.items()]


def level_verdict(level: Level) -> Verdict:
    """The verdict on an ablation: no time where the results differ."""
    if not level.equal:
        return Verdict(
            verdict="differs",
            figure=level.max_difference,
            unit="max_difference",
            threshold=f"<= {level.tolerance:g} equal",
            how="One element at a time gave another result, so that no time is reported.",
        )
    how = "Time one element at a time / time together, results equal."
    return rules.LEVEL_GAIN.judge(level.ratio, level.ratio_low, level.ratio_high, how)


def _grown(rule: Rule, found: Growth) -> Verdict:
    return rules.judge_law(
        rule, found.strongest, found.uncertainty, found.logarithm, found.describe()
    )


def _generated(figures: Figures, rule: Rule) -> Verdict:
    found = figures.tokens
    if found is None:
        return not_applicable("The model is an encoder: it does not generate.", rule.unit)
    how = (
        f"{len(found.chain)} tokens generated; {found.needs_last:.0%} of them need the token "
        "chosen just before."
    )
    return rule.judge(found.per_token, how=how)
