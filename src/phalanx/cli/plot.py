"""``phalanx plot``: the curves of runs in one picture."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from phalanx.cli.common import note


def plot(
    *folders: Annotated[Path, Parameter(name="RUN")],
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("curves.svg"),
    x: Literal["steps", "tokens", "seconds"] = "steps",
    y: Literal["loss", "bits_per_byte", "rate", "gradient_norm", "tokens_per_second"] = "loss",
) -> int:
    """Draw the curves of runs: the mean of the steps as a line, validations as marks.

    Parameters
    ----------
    folders
        Run directories, or folders of runs.
    output
        The picture to write, .svg or .png.
    x
        Along what to draw: steps, tokens, or seconds of training.
    y
        What to draw.
    """
    from phalanx.errors import UsageError
    from phalanx.training.curves import check_target, draw_curves, make_curve
    from phalanx.training.history import read
    from phalanx.training.listing import find_runs

    check_target(output)
    paths = [path for folder in folders for path in find_runs(folder)]
    if not paths:
        where = ", ".join(str(folder) for folder in folders) or "nothing"
        raise UsageError(
            f"no run to draw (given: {where}). Expected one or more run directories, such as "
            "runs/*. `phalanx runs` lists them."
        )
    names = legend(list(dict.fromkeys(paths)))
    curves = [make_curve(name, read(path), x, y) for path, name in names.items()]
    draw_curves(curves, output, x, y)
    for curve in curves:
        if curve.empty:
            note(f"{curve.name}: no {y.replace('_', ' ')} on record")
    print(output)
    return 0


def legend(paths: list[Path]) -> dict[Path, str]:
    """A name for each run: its directory's, with as many folders before it as tell them apart."""
    whole = {path: path.resolve().parts for path in paths}
    for length in range(1, max(map(len, whole.values())) + 1):
        names = {path: "/".join(parts[-length:]) for path, parts in whole.items()}
        if len(set(names.values())) == len(paths):
            break
    return names
