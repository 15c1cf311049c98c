"""The fairness contract: what was held equal in a comparison, and what was not."""

from collections.abc import Mapping, Sequence
from typing import Any

from phalanx.comparison import contest as training
from phalanx.comparison import memory, tuning
from phalanx.comparison.contenders import TOLERANCE, Contender, mismatch
from phalanx.comparison.contest import Contest
from phalanx.comparison.work import Work
from phalanx.models import Decoder


def schedules(model: Decoder) -> dict[str, str]:
    """Mixer -> schedule in use."""
    mixers = [block.mixer for block in model.blocks]
    return {
        type(mixer).__name__.lower(): str(mixer.schedule)  # type: ignore[union-attr]  # a mixer
        for mixer in mixers
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
    spread = mismatch(models)
    within = "within" if spread <= TOLERANCE else "NOT within"
    batch, length = training.BATCH, training.LENGTH
    ran = contest.equal_tokens
    return {
        "parameters": {c.name: c.parameters[0] for c in models},
        "non_embedding_parameters": {c.name: c.parameters[1] for c in models},
        "parameters_matched": f"largest {spread:.1%} above smallest ({within} {TOLERANCE:.0%})",
        "tokenizer": f"{corpus['tokenizer']}, the same for all",
        "data_order": f"seed {seed}: the same samples in the same order for all",
        "batch": f"{batch} rows of {length} positions",
        "tokens_seen": {name: run.tokens for name, run in ran.items()} or "not measured",
        "equal_seconds": (
            f"{contest.seconds:.1f} s of training, validation excluded"
            if contest.seconds is not None
            else "not measured"
        ),
        "flops_per_token": {
            name: round(float(found.train.at(length)) / length) for name, found in work.items()
        },
        "wall_clock": (
            "medians of at least "
            f"{repeats} turns after warm-up, models in turn beside a control kernel; "
            "intervals hold the median with 95 %, or are the extremes below 6 turns"
        ),
        "tokens_per_second": (f"training, no padding, over {training._PIECES} pieces of a run"),
        "peak_memory": memory.HOW if machine.get("device", "cpu") == "cpu" else memory.HOW_CUDA,
        "bits_per_byte": "every position of the validation text counted once",
        "validation": corpus["validation"],
        "optimizer": {c.name: describe_optimizer(c) for c in models},
        "tuning_trials": {c.name: tuning.rates_of(c.preset).trials for c in models},
        "dtype": "float32",
        "hardware": f"{machine['processor']}, {machine['cores']} cores",
        "threads": machine["threads"],
        "versions": machine["versions"],
    }


def describe_optimizer(contender: Contender) -> str:
    """An optimizer and its peak learning rates in words."""
    rates = tuning.rates_of(contender.preset)
    adamw = f"AdamW {rates.learning_rate:g}, token table {rates.embedding_learning_rate:g}"
    if rates.optimizer == "adamw":
        return adamw
    return f"Muon {rates.muon_learning_rate:g} + {adamw}"
