"""A phalanx model written as a directory that ``transformers`` opens, with equal logits."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from phalanx import durable
from phalanx.config import ModelConfig
from phalanx.data.tokenizers import Tokenizer
from phalanx.interop.huggingface.family import Family
from phalanx.interop.huggingface.files import WEIGHTS
from phalanx.interop.huggingface.fitting import fitting_family, plain
from phalanx.interop.huggingface.labels import write_labels
from phalanx.interop.huggingface.moves import moves_of
from phalanx.interop.huggingface.options import CONFIG
from phalanx.interop.huggingface.tokens import GENERATION
from phalanx.interop.huggingface.written_tokenizer import role_ids, tokenizer_files
from phalanx.models.base import Model


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: the directory.
        architecture: the class of ``transformers`` that opens it.
    """

    path: Path
    architecture: str


_OPENERS = {
    "ForCausalLM": "AutoModelForCausalLM",
    "LMHeadModel": "AutoModelForCausalLM",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "Model": "AutoModel",
}


def opened_by(architecture: str) -> str:
    """The automatic class of ``transformers`` that opens an architecture."""
    return next(auto for ending, auto in _OPENERS.items() if architecture.endswith(ending))


def export_huggingface(
    path: Path,
    model: Model,
    tokenizer: Tokenizer,
    task: str,
    labels: tuple[str, ...] = (),
    begin_ids: tuple[int, ...] = (),
) -> Exported:
    """Write a directory with config.json, model.safetensors and the tokenizer's files.

    The directory is there whole or not at all. Weights are written in their own dtype.

    Args:
        path: the new directory.
        model: a decoder or an encoder.
        tokenizer: the one that it was trained with.
        task: what it was trained to do.
        labels: names of the outputs of a classifier or a tagger.
        begin_ids: tokens that a language model has before every text.

    Raises:
        UsageError: no model of ``transformers`` computes what this one does.
        StorageError: ``path`` exists already, or cannot be written.
    """
    family = fitting_family(model.config, task)
    architecture = family.architecture_of(task)
    config = {
        "architectures": [architecture],
        "model_type": family.model_type,
        "dtype": str(model.embedding.weight.dtype).removeprefix("torch."),
        **family.write(plain(model.config), architecture),
        **role_ids(tokenizer),
        **write_labels(labels, architecture),
        "use_cache": True,
    }
    files = {CONFIG: config, **tokenizer_files(tokenizer, model.config, begin_ids)}
    if task == "language_modelling":
        files[GENERATION] = role_ids(tokenizer)
    prefix = "" if task == "embedding" else family.prefix  # a model without a head has none
    weights = exported_weights(family, model.config, model.state_dict(), prefix)

    def fill(directory: Path) -> None:
        for name, values in files.items():
            durable.write(directory / name, _text(values).encode())
        save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})

    path.parent.mkdir(parents=True, exist_ok=True)
    durable.publish(path, fill)
    return Exported(path, architecture)


def exported_weights(
    family: Family, config: ModelConfig, weights: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    """A model's tensors by their names there; those that repeat others are left out."""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    found: dict[str, Tensor] = {}
    for move in moves_of(family.layout(config).table, shapes, config.layers):
        before = "" if move.outside else prefix
        for name, tensor in move.to_theirs(weights).items():
            found[before + name] = tensor.detach().cpu().contiguous()
    return found


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
