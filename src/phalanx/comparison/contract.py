"""The fairness contract: what was held equal in a comparison, and what was not."""

from collections.abc import Mapping, Sequence
from typing import Any

from phalanx.comparison import memory, tuning
from phalanx.comparison.contenders import TOLERANCE, Contender, mismatch
from phalanx.comparison.contest import Contest
from phalanx.comparison.course import PIECES
from phalanx.comparison.language_course import BATCH, LENGTH
from phalanx.comparison.work import Work
from phalanx.mixers.base import Mixer
from phalanx.models import SequenceModel


def schedules(model: SequenceModel) -> dict[str, str]:
    """Mixer -> schedule in use; of a bidirectional one, those of its two directions."""
    return {
        type(mixer).__name__.lower(): mixer.schedule
        for mixer in model.modules()
        if isinstance(mixer, Mixer) and not any(isinstance(c, Mixer) for c in mixer.children())
    }


def contract(
    models: Sequence[Contender],
    work: Mapping[str, Work],
    contest: Contest,
    corpus: Mapping[str, Any],
    machine: Mapping[str, Any],
    seed: int,
    repeats: int,
) -> dict[str, Any]:
    """Term -> value, or term -> model -> value; a term keeps its place whether equal or not."""
    return {
        **sizes(models),
        "tokenizer": f"{corpus['tokenizer']}, the same for all",
        "data_order": order(seed),
        "batch": f"{BATCH} rows of {LENGTH} positions",
        **budgets(contest),
        "flops_per_token": {
            name: round(float(found.train.at(LENGTH)) / LENGTH) for name, found in work.items()
        },
        "wall_clock": wall_clock(repeats),
        "tokens_per_second": f"training, no padding, over {PIECES} pieces of a run",
        "peak_memory": peak_memory(machine),
        "bits_per_byte": "every position of the validation text counted once",
        "validation": corpus["validation"],
        "optimizer": {c.name: describe_optimizer(tuning.rates_of(c.preset)) for c in models},
        "tuning_trials": {c.name: tuning.rates_of(c.preset).trials for c in models},
        **on_what(machine),
    }


def sizes(models: Sequence[Contender]) -> dict[str, Any]:
    """Parameters, and how far they are from equal."""
    spread = mismatch(models)
    within = "within" if spread <= TOLERANCE else "NOT within"
    return {
        "parameters": {c.name: c.parameters[0] for c in models},
        "non_embedding_parameters": {c.name: c.parameters[1] for c in models},
        "parameters_matched": f"largest {spread:.1%} above smallest ({within} {TOLERANCE:.0%})",
    }


def order(seed: int) -> str:
    """The order of the samples."""
    return f"seed {seed}: the same samples in the same order for all"


def budgets(contest: Contest) -> dict[str, Any]:
    """Tokens and seconds that all were given."""
    return {
        "tokens_seen": {n: run.tokens for n, run in contest.equal_tokens.items()} or "not measured",
        "equal_seconds": (
            f"{contest.seconds:.1f} s of training, validation excluded"
            if contest.seconds is not None
            else "not measured"
        ),
    }


def wall_clock(repeats: int) -> str:
    """How times are taken."""
    return (
        f"medians of at least {repeats} turns after warm-up, models in turn beside a control "
        "kernel; intervals hold the median with 95 %, or are the extremes below 6 turns"
    )


def peak_memory(machine: Mapping[str, Any]) -> str:
    """How memory is counted."""
    return memory.HOW if machine.get("device", "cpu") == "cpu" else memory.HOW_CUDA


def on_what(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The machine and the versions."""
    return {
        "dtype": "float32",
        "hardware": f"{machine['processor']}, {machine['cores']} cores",
        "threads": machine["threads"],
        "versions": machine["versions"],
    }


def describe_optimizer(rates: tuning.Rates) -> str:
    """An optimizer and its peak learning rates in words."""
    adamw = f"AdamW {rates.learning_rate:g}, token table {rates.embedding_learning_rate:g}"
    if rates.optimizer == "adamw":
        return adamw
    return f"Muon {rates.muon_learning_rate:g} + {adamw}"
