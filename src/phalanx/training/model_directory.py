"""A model on disk: config.json, model.safetensors, tokenizer.json, README.md. Data, no code."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from phalanx import durable
from phalanx.config import ModelConfig, Strict, Task, parse, read_text
from phalanx.data.tag_schemes import SCHEMES
from phalanx.data.tokenizers import Tokenizer, load_tokenizer
from phalanx.errors import UsageError
from phalanx.interop.tensors import read_header, read_weights
from phalanx.jsonable import finite
from phalanx.models import Model, build
from phalanx.training.card import model_card

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
# A table of positions is computed, not stored: the weights do not bound it, so this does.
LARGEST_TABLES = 2**30

MOST_PADDING = 0.05
"""Share of a vocabulary that may stand for no token; 271 of 151,936 in Qwen2, 47 of 50,304 in
copies of GPT-2 whose vocabulary is rounded up to a multiple of 64."""
HOW_READ = frozenset(
    {
        "text_column",
        "pair_column",
        "label_column",
        "source_column",
        "target_column",
        "tag_column",
        "scheme",
        "encoding_errors",
    }
)
"""Settings of the data by which new files of the same kind are read."""


class Description(Strict):
    """The content of ``config.json``.

    Args:
        format: of this file and its directory.
        task: what the model was trained to do.
        model: its architecture.
        labels: names of the outputs of a tagger or a classifier.
        scheme: how a tagger's labels mark entities.
        data: how the training files were read: settings of DataConfig, those of ``HOW_READ``.
        figures: what was measured, for the model card; read by no program.
        training: how it was trained, for the model card; read by no program.
    """

    format: Literal[1] = 1
    task: Task = "language_modelling"
    model: ModelConfig
    labels: tuple[str, ...] | None = None
    scheme: str | None = None
    data: dict[str, str | None] = {}
    figures: dict[str, float | int | None] = {}
    training: dict[str, Any] = {}


@dataclass(frozen=True)
class Stored:
    """What a model directory holds."""

    model: Model
    tokenizer: Tokenizer
    description: Description


def save_model(path: Path, model: Model, tokenizer: Tokenizer, description: Description) -> None:
    """Make a model directory, sealed with a manifest: it is there whole or not at all.

    Raises:
        StorageError: ``path`` exists already, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{path.parent.name}/{path.name}"
    durable.publish(path, lambda new: write_model(new, name, model, tokenizer, description))


def write_model(
    directory: Path,
    name: str,
    model: Model,
    tokenizer: Tokenizer,
    description: Description,
) -> None:
    """Write the files of a model directory; ``name`` is the title of its card."""
    text = json.dumps(finite(description.model_dump(mode="json")), indent=2, allow_nan=False)
    durable.write(directory / CONFIG, (text + "\n").encode())
    tensors = {key: t.detach().cpu().contiguous() for key, t in model.state_dict().items()}
    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    tokenizer.save(directory)
    card = model_card(name, description, model, tokenizer)
    durable.write(directory / CARD, card.encode())


def read_model(path: Path, device: torch.device) -> Stored:
    """Open a model directory.

    A directory with a manifest must be as it was written. Names, shapes and dtypes of the weights
    are checked against config.json before anything is allocated.

    Raises:
        DamagedError: a file is not what the manifest says.
        UsageError: a file is missing or malformed, or the files do not belong together.
    """
    if (path / durable.MANIFEST).is_file():
        durable.verify(path)
    description = read_description(path)
    config = description.model
    # Every layer has tensors: a layer count that the file cannot hold is refused before building.
    if config.layers > len(read_header(path / WEIGHTS)):
        raise UsageError(
            f"{path / CONFIG}: model.layers is {config.layers}, more than {WEIGHTS} has tensors. "
            "The two files do not belong together; copy both again."
        )
    tokenizer = load_tokenizer(path)
    # A model that was trained further from one of others may have a few more: a padded vocabulary.
    spare = config.vocabulary - tokenizer.vocabulary
    if not 0 <= spare <= MOST_PADDING * config.vocabulary:
        raise UsageError(
            f"{path}: the tokenizer has {tokenizer.vocabulary} tokens and the model "
            f"{config.vocabulary}. Expected as many. The files do not belong together; copy all "
            "of them again."
        )
    try:
        with torch.device("meta"):
            model = build(config)
    except (ValueError, UsageError) as error:
        raise UsageError(f"{path / CONFIG}: {error}") from None
    tables = sum(math.prod(buffer.shape) * buffer.element_size() for buffer in model.buffers())
    if tables > LARGEST_TABLES:
        raise UsageError(
            f"{path / CONFIG}: a context of {config.context} positions needs tables of "
            f"{tables / 2**30:.1f} GiB. Expected at most {LARGEST_TABLES / 2**30:.0f} GiB."
        )
    weights = read_weights(path / WEIGHTS, model.state_dict())
    model.to_empty(device=device)
    # Fills the buffers, which are not stored; a generator of its own leaves torch's state alone.
    model.init_weights(torch.Generator(device).manual_seed(0))
    model.load_state_dict(weights)
    return Stored(model.eval(), tokenizer, description)


def read_description(path: Path) -> Description:
    """The content of a model directory's ``config.json``.

    Raises:
        UsageError: it is missing or malformed.
    """
    file = path / CONFIG
    try:
        values = json.loads(read_text(file))
    except OSError as error:
        raise UsageError(
            f"{file}: cannot read it: {error.strerror}. Expected a model directory with {CONFIG}, "
            f"{WEIGHTS} and tokenizer.json, as `phalanx train` makes it."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{file}: not JSON: {error}. Expected the configuration of a model. It may be cut "
            "short: copy it again."
        ) from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: expected an object of keys and values.")
    given = values.get("format")
    if given != 1:
        raise UsageError(
            f"{file}: format {given!r} is not known. Expected 1. A later phalanx may have written "
            "it: upgrade phalanx."
        )
    description = parse(Description, values, str(file))
    _check_labels(description, file)
    return description


def _check_labels(description: Description, file: Path) -> None:
    """A label for each output, and one answer a text or one a position, as the task has it."""
    model, task = description.model, description.task
    if description.scheme not in (None, *SCHEMES):
        raise UsageError(
            f"{file}: scheme {description.scheme!r} is not known. Expected one of "
            f"{', '.join(SCHEMES)}. Copy the model directory again."
        )
    if task not in ("classification", "tagging"):
        return
    outputs, labels = model.outputs or model.vocabulary, len(description.labels or ())
    if labels != outputs or (model.pooling is None) == (task == "classification"):
        raise UsageError(
            f"{file}: task {task} with {labels} labels, {outputs} outputs and pooling "
            f"{model.pooling or 'null'} is no model of phalanx. Expected a label for each output, "
            "and pooling for classification alone. Copy the model directory again."
        )


def find_model(path: Path) -> Path:
    """The model directory that a path stands for.

    Raises:
        UsageError: there is none.
    """
    for candidate in (path, path / "best", path / "last"):
        if (candidate / CONFIG).is_file():
            return candidate
    what = "is no directory" if not path.is_dir() else f"holds no {CONFIG}, best/ or last/"
    for link in (path / "best", path / "last"):
        if link.is_symlink() and not link.exists():
            what = f"{link.name} points to {link.readlink()}, which is not there"
    raise UsageError(
        f"{path}: {what}. Expected a run directory or a model directory, as `phalanx train` makes "
        "them. Check the path."
    )
