"""The whole profile in a terminal: models side by side first, then each on its own."""

from collections.abc import Sequence

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from phalanx.pages.figures import bytes_, many
from phalanx.profiling.report.critical_path import print_path
from phalanx.profiling.report.growth import print_decoding, print_laws
from phalanx.profiling.report.module_tree import DEPTH, print_tree
from phalanx.profiling.report.passes import print_passes
from phalanx.profiling.report.reach import print_positions
from phalanx.profiling.report.side_by_side import print_side_by_side
from phalanx.profiling.report.times import print_measured, print_predictions
from phalanx.profiling.report.words import bullets, heading, printable
from phalanx.profiling.results import Profile


def print_profiles(profiles: Sequence[Profile], console: Console, depth: int = DEPTH) -> None:
    """Print everything that was found: a comparison where there are several models, then each.

    Args:
        profiles: one a model.
        console: where to print (``phalanx.pages.console.make_console``).
        depth: levels of the module tree below its root.
    """
    if len(profiles) > 1:
        print_side_by_side(profiles, console)
    for profile in profiles:
        print_profile(profile, console, depth)


def print_profile(profile: Profile, console: Console, depth: int = DEPTH) -> None:
    """Print one model: what matters first, then the figures, assumptions last."""
    console.print()
    console.print(Rule(style="dim"))
    title = Text(printable(profile.name), style="bold")
    size = f"{many(profile.parameters)} parameters, {bytes_(profile.parameter_bytes)}"
    title.append(f"  {printable(profile.kind)}, {size}", style="not bold")
    console.print(title)
    bullets(console, profile.findings, mark="!")
    passes = list(profile.passes.values())
    if passes:
        print_passes(passes, console)
        _print_gaps(profile, console)
        print_laws(passes, console)
        for one in passes:
            if one.mode != "forward" or "train" not in profile.passes:  # else it begins that path
                print_path(one, console)
        print_tree(passes, console, depth)
    if "decode" in profile.passes:
        print_decoding(profile.passes["decode"], console)
    if profile.positions is not None:
        print_positions(profile.positions, console)
    print_predictions(passes, console)
    if profile.measured is not None:
        print_measured(profile.measured, console)
    if profile.assumptions:
        heading(console, "Assumed")
        bullets(console, profile.assumptions, style="dim")


def _print_gaps(profile: Profile, console: Console) -> None:
    """Print what was not counted as it should be: unknown costs, origins, fall-backs, fused."""
    lines: dict[str, None] = {}
    for one in profile.passes.values():
        if one.unknown:
            lines[f"no cost known of: {_counts(one.unknown)} (counted as one step, no FLOPs)"] = (
                None
            )
        if one.orphans:
            lines[f"of unknown origin: {_counts(one.orphans)} (what waits for them is missing)"] = (
                None
            )
    fused: dict[str, int] = {}
    for one in profile.passes.values():
        for name, times in one.fused.items():
            fused[name] = max(times, fused.get(name, 0))
    if fused:
        lines[f"executed as one kernel: {_counts(fused)} (the chain inside counts in the span)"] = (
            None
        )
    bullets(console, lines, style="dim")


def _counts(names: dict[str, int]) -> str:
    return ", ".join(name if n == 1 else f"{name} x{n}" for name, n in names.items())
