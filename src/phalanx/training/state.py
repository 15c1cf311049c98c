"""What a trainer needs to go on, beside the model: saved as JSON and safetensors, no code in it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from phalanx import durable
from phalanx.config import LARGEST_SEED, Strict, parse, read_text
from phalanx.errors import UsageError
from phalanx.interop.tensors import read_weights

if TYPE_CHECKING:
    from phalanx.training.trainer import Trainer

VALUES, TENSORS = "training.json", "training.safetensors"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Values(Strict):
    """The content of ``training.json``.

    Args:
        format: of this file and of the tensors beside it.
        seed: of what is drawn in a step.
        momenta: coefficients of the optimizers' running means, by optimizer.
        steps, tokens, seconds: so far; seconds of training.
        validated, validated_seconds: steps and seconds of training at the last validation.
        best_loss, best_step: of the best validation, the loss or another criterion of which the
            lowest is the best; null and 0 before the first.
        worse_validations: how many came after the best.
        summed_loss, counted_losses: of the steps since the last validation.
        skipped: steps passed over because their loss was no number.
        updates: how many the average of the weights is over; 0 without one.
        micro_batch: sequences of a batch that are computed at a time.
        micro_batch_size: as it was configured; ``micro_batch`` may have been lowered since.
    """

    format: Literal[1] = 1
    seed: int = Field(ge=0, le=LARGEST_SEED)
    momenta: dict[str, tuple[Finite, ...]]
    steps: Count
    tokens: Count
    seconds: Seconds
    validated: Count
    validated_seconds: Seconds
    best_loss: Finite | None
    best_step: Count
    worse_validations: Count
    summed_loss: Finite
    counted_losses: Count
    skipped: Count
    updates: Count
    micro_batch: int = Field(ge=1)
    micro_batch_size: int | None = Field(ge=1)


@dataclass(frozen=True)
class TrainingState:
    """The state of a trainer between two events.

    Args:
        values: see ``Values``; JSON.
        tensors: states of the optimizers as ``adamw.exp_avg.<parameter>``; where weights are
            averaged, those that are trained as ``raw.<parameter>`` (the model beside holds the
            average).
    """

    values: dict[str, Any]
    tensors: dict[str, Tensor]


def save_state(state: TrainingState, directory: Path) -> None:
    """Write ``training.json`` and ``training.safetensors`` into a directory.

    Raises:
        StorageError: they cannot be written.
    """
    text = json.dumps(state.values, indent=1, allow_nan=False)
    durable.write(directory / VALUES, (text + "\n").encode())
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.tensors.items()}
    save_file(tensors, directory / TENSORS)


def load_state(directory: Path, trainer: "Trainer") -> TrainingState:
    """Read what ``save_state`` wrote, checked against what a trainer expects.

    Names, shapes and dtypes are checked before anything is allocated.

    Raises:
        UsageError: a file is missing or malformed, or belongs to another run.
    """
    file = directory / VALUES
    try:
        values = json.loads(read_text(file))
    except OSError as error:
        raise UsageError(
            f"{file}: cannot read it: {error.strerror}. Expected the checkpoint of a run, as "
            "`phalanx train` makes it."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{file}: not JSON: {error}. Expected the state of a trainer. It may be cut short: "
            "copy it again."
        ) from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: expected an object of keys and values.")
    if values.get("format") != 1:
        raise UsageError(
            f"{file}: format {values.get('format')!r} is not known. Expected 1. A later phalanx "
            "may have written it: upgrade phalanx."
        )
    checked = parse(Values, values, str(file))
    expected = trainer.state()
    for key in ("seed", "momenta"):
        given, wanted = checked.model_dump(mode="json")[key], expected.values[key]
        if given != wanted:
            raise UsageError(
                f"{file}: {key} is {given}. Expected {wanted}, as in this run: it belongs to "
                "another one."
            )
    tensors = read_weights(directory / TENSORS, expected.tensors, "this run's trainer")
    return TrainingState(checked.model_dump(mode="json"), tensors)


def copy_tensors(into: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    """Copy tensors by name into existing ones, which keep their place in memory."""
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(given[name])
