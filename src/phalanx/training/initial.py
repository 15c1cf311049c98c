"""Starting from weights that were trained before: what is taken, and what is fresh.

All that stands below the head is taken, or nothing is: a model of which some layers were trained
and others drawn is never what was meant. A head is taken where it answers the same question, which
is the next or the hidden token of the same vocabulary; for labels it is fresh.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from phalanx.config import ModelConfig
from phalanx.data.tokenizers import Tokenizer, load_tokenizer
from phalanx.errors import UsageError
from phalanx.interop.huggingface import describe, initial_weights, is_huggingface
from phalanx.training.model_directory import find_model, read_description, read_model

_TRANSFORM = "transform."
_OUTPUT = ("output.", "output_bias")
_SHOWN = 3
_KINDS = {"decoder": "a decoder", "encoder": "an encoder", "encoder_decoder": "an encoder-decoder"}


def initial_config(path: Path, kind: str | None = None) -> ModelConfig:
    """The architecture of the model at a path.

    Args:
        path: a run or model directory, or one of Hugging Face.
        kind: what the task needs; None: any.

    Raises:
        UsageError: there is no model, it is malformed, or it is of another kind.
    """
    if is_huggingface(path):
        config = describe(path).model
    else:
        config = read_description(find_model(path)).model
    if kind is not None and config.kind != kind:
        raise UsageError(
            f"init {path}: it is {_KINDS[config.kind]}, and this task needs {_KINDS[kind]}. "
            "Expected a model of the same kind, such as one of `phalanx train --task masked-lm` "
            "for classification and tagging."
        )
    return config


def initial_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of the model at a path.

    Raises:
        UsageError: there is no model, or its tokenizer cannot be read.
    """
    return load_tokenizer(path if is_huggingface(path) else find_model(path))


def load_initial(model: nn.Module, path: str) -> str:
    """Put the weights at a path into a fresh model; says which were taken and which are fresh.

    Args:
        model: of the architecture that ``initial_config`` gives, but for its head.
        path: a run or model directory, or one of Hugging Face.

    Raises:
        UsageError: there is no model, it is malformed, or differs below the head.
    """
    config: ModelConfig = model.config  # type: ignore[assignment]
    start = initial_config(Path(path), config.kind)
    weights, own = _weights(Path(path)), model.state_dict()
    answers = {name for name in own if name.startswith(_OUTPUT)}
    transform = {name for name in own if name.startswith(_TRANSFORM)}
    body = own.keys() - answers - transform
    _check(path, body, own, weights)
    heads: set[str] = set()
    if (start.head == "masked") == (config.head == "masked"):
        heads |= transform
    if _is_of_tokens(start) and _is_of_tokens(config):
        heads |= answers
    heads = {name for name in heads if _shape(weights.get(name)) == _shape(own[name])}
    taken = {name: weights[name] for name in sorted(body | heads)}
    with torch.no_grad():
        for name, tensor in taken.items():
            own[name].copy_(tensor)
    fresh = [f"{name} {list(own[name].shape)}" for name in own if name not in taken]
    parameters = sum(tensor.numel() for tensor in taken.values())
    return (
        f"init {path}: {len(taken)} tensors taken ({parameters:,} parameters); "
        f"fresh: {', '.join(fresh) or 'none'}"
    )


def _weights(path: Path) -> dict[str, Tensor]:
    if is_huggingface(path):
        return initial_weights(path)
    return read_model(find_model(path), torch.device("cpu")).model.state_dict()


def _check(path: str, body: set[str], own: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    """All tensors below the head are there, in the same shapes, and no more of them."""
    there = {name for name in weights if not name.startswith((*_OUTPUT, _TRANSFORM))}
    differing = [
        f"{name} is {_shape(weights.get(name)) or 'lacking'} there and "
        f"{_shape(own[name]) if name in own else 'lacking'} here"
        for name in sorted(body | there)
        if name not in body or _shape(weights.get(name)) != _shape(own[name])
    ]
    if differing:
        more = len(differing) - _SHOWN
        raise UsageError(
            f"init {path}: the model here is another: {'; '.join(differing[:_SHOWN])}"
            f"{f'; and {more} more' if more > 0 else ''}. Expected the same layers. Leave out what "
            "changes them: model.*, or train.sequence_length where positions are learned."
        )


def _is_of_tokens(config: ModelConfig) -> bool:
    return (config.outputs or config.vocabulary) == config.vocabulary and config.pooling is None


def _shape(tensor: Tensor | None) -> list[int] | None:
    return None if tensor is None else list(tensor.shape)
