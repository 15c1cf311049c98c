"""The options of ``phalanx profile``: how each is written, and what ``--help`` says of it."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from phalanx.errors import UsageError

_WHAT = Parameter(group=Group("What is profiled", sort_key=1))
_TIME = Parameter(group=Group("Time on this machine", sort_key=2))
_FORM = Parameter(group=Group("In what form", sort_key=3))
_FLAG = Parameter(negative=(), show_default=False)

DEFAULT_BUDGET = 60.0

SeqLen = Annotated[
    tuple[str, ...],
    _WHAT,
    Parameter(
        name=("--seq-len", "--lengths"),
        negative=(),
        show_default=False,
        help="Lengths T to trace, as in 64,128,256,512 (for decode: contexts). The figures are of "
        "the greatest, the laws of all: four are enough for one. Default: the target's own length "
        "(512 of a preset) and three below it.",
    ),
]
Batch = Annotated[
    int | None, _WHAT, Parameter(help="Rows of the batch. Default: the target's own, or 1.")
]
Mode = Annotated[
    Literal["train", "forward", "decode", "all"],
    _WHAT,
    Parameter(
        help="train: forward, loss and backward, without the optimizer. forward: one pass over "
        "all positions. decode: one generated token behind a context."
    ),
]
Device = Annotated[
    Literal["meta", "cpu", "cuda"],
    _WHAT,
    Parameter(
        help="What is traced on. meta needs neither memory nor time, whatever the model's size; "
        "cpu and cuda run it on real numbers, and --measure on cuda times the GPU."
    ),
]
Size = Annotated[
    int | None,
    _WHAT,
    Parameter(help="Parameters of a preset outside its tables of tokens. Default: 800000."),
]
Predict = Annotated[
    bool,
    _TIME,
    Parameter(
        negative=("--no-predict",),
        help="Predict times and say what limits them. Needs the speeds of this machine, measured "
        "the first time in about 20 seconds and kept.",
    ),
]
WhatIf = Annotated[
    tuple[str, ...],
    _TIME,
    _FLAG,
    Parameter(
        help="Predict another setting too: batch=64, seq-len=2048, threads=1. May be given several "
        "times."
    ),
]
Measure = Annotated[
    bool,
    _TIME,
    _FLAG,
    Parameter(
        help="Run the real thing and time it against length, batch and threads, beside control "
        "kernels; speed-up curves, predicted and measured."
    ),
]
Budget = Annotated[
    str | None,
    _TIME,
    Parameter(help="Seconds for --measure in all, or such as 2m. Default: 60."),
]
Json = Annotated[
    bool,
    _FORM,
    _FLAG,
    Parameter(help="Print data as JSON on stdout; all else goes to stderr."),
]
Html = Annotated[
    Path | None,
    _FORM,
    Parameter(help="Write a page with charts to this file; it needs no network."),
]
Lang = Annotated[Literal["en", "zh"], _FORM, Parameter(help="Language of the page: en or zh.")]
Depth = Annotated[int, _FORM, Parameter(help="Levels of the module tree that are shown.")]


def lengths(words: tuple[str, ...]) -> tuple[int, ...] | None:
    """The lengths that ``--seq-len`` names, in rising order; None where it was not given.

    Raises:
        UsageError: a word that is no length.
    """
    given = [part.strip() for word in words for part in word.split(",")]
    if not given:
        return None
    wrong = [part for part in given if not part.isdecimal() or int(part) < 1]
    if wrong:
        raise UsageError(
            f"--seq-len {wrong[0] or ','.join(words)}: expected whole numbers of 1 or more, as in "
            "64,128,256,512."
        )
    return tuple(sorted({int(part) for part in given}))


def check_numbers(batch: int | None, size: int | None, depth: int) -> None:
    """Refuse numbers that nothing can be made of.

    Raises:
        UsageError: one of them.
    """
    for name, value, least in (("batch", batch, 1), ("size", size, 1), ("depth", depth, 0)):
        if value is not None and value < least:
            raise UsageError(f"--{name} {value}: expected {least} or more.")


def settings(what_if: tuple[str, ...], predict: bool) -> tuple[dict[str, int], ...]:
    """Settings of ``--what-if``: ``{"batch": 64}``, ``{"length": 2048}``, ``{"threads": 1}``.

    Raises:
        UsageError: a word that is no setting, or no predictions are wanted.
    """
    if what_if and not predict:
        raise UsageError("--what-if with --no-predict: expected one of them. Leave out either.")
    if not what_if:
        return ()
    from phalanx.profiling.machine.hardware import usable_cores
    from phalanx.profiling.machine.saturation import parse_setting

    found = tuple(dict([parse_setting(word)]) for word in what_if)
    for threads in (setting["threads"] for setting in found if "threads" in setting):
        if threads > (cores := usable_cores()):
            raise UsageError(
                f"--what-if threads={threads}: this machine has {cores} cores for it to be "
                f"measured on. Expected 1 to {cores}."
            )
    return found


def seconds(budget: str | None, measure: bool) -> float | None:
    """Seconds for measurements of a target; None where nothing is to be measured.

    Raises:
        UsageError: a budget that is none, or one without ``--measure``.
    """
    if budget is None:
        return DEFAULT_BUDGET if measure else None
    if not measure:
        raise UsageError(f"--budget {budget} is for --measure. Give both, or neither.")
    from phalanx.comparison.budget import parse_seconds

    return parse_seconds(budget)
