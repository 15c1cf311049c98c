"""Subjects of this library's own models: presets, run directories, model directories."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.config import ModelConfig
from phalanx.errors import UsageError, did_you_mean
from phalanx.models import PRESETS, EncoderDecoder, Model, SequenceModel, build, preset
from phalanx.profiling.subjects.decoding import (
    DecoderSteps,
    Driver,
    TranslatorSteps,
    Undecodable,
)
from phalanx.profiling.subjects.subject import Inputs, Probe, Subject
from phalanx.training.model_directory import find_model, read_description

_VOCABULARY = {"gpt2": 50_257}
_BYTES = 256  # of the other presets: a model of bytes
_CONTEXT = 1024
LENGTH = 512
_SLOTS = (
    "decode: the cache of attention has one slot more than the context (padding is written "
    "there), and every slot takes part in the products."
)


def named_subject(
    word: str,
    *,
    longest: int | None = None,
    size: int | None = None,
    vocabulary: int | None = None,
) -> Subject:
    """The subject of a preset's name, or of a run or model directory; see ``subjects_from``.

    Raises:
        UsageError: it is neither.
    """
    if word in PRESETS:
        context = max(_CONTEXT, 0 if word == "gpt2" or longest is None else longest)
        tokens = vocabulary or _VOCABULARY.get(word, _BYTES)
        return model_subject(word, preset(word, tokens, context, size))
    path = Path(word)
    if not path.exists():
        raise UsageError(
            f"{word}: no preset, and no such file or directory.{did_you_mean(word, PRESETS)} "
            "Expected a preset, a run directory, FILE.py:FUNCTION or hf:DIRECTORY."
        )
    if path.is_file():
        raise UsageError(
            f"{word}: a file. Expected a preset, a run directory, FILE.py:FUNCTION (a function "
            "that returns a module and example inputs) or hf:DIRECTORY."
        )
    directory = find_model(path)
    return model_subject(word, read_description(directory).model)


def model_subject(name: str, config: ModelConfig) -> Subject:
    """The subject of a model with fresh weights; what it computes with does not depend on them."""

    def ids(batch: int, length: int, device: str) -> Tensor:
        if device == "meta":
            return torch.zeros(batch, length, dtype=torch.int64, device=device)
        generator = torch.Generator().manual_seed(0)
        shape = (batch, length)
        return torch.randint(config.vocabulary, shape, generator=generator).to(device)

    both = config.kind == "encoder_decoder"

    def give(batch: int, length: int, device: str) -> Inputs:
        return Inputs((ids(batch, length, device),) * (2 if both else 1))

    def make(device: str) -> nn.Module:
        if device == "meta":
            with torch.device("meta"):
                return build(config)
        return build(config, seed=0).to(device)

    slots = (_SLOTS,) if "attention" in config.mixer_names else ()
    drivers: dict[str, Driver | Undecodable] = {
        "decoder": DecoderSteps(ids, slots),
        "encoder": Undecodable("an encoder sees both sides of a position: it does not generate."),
        "encoder_decoder": TranslatorSteps(ids, slots),
    }
    return Subject(
        name=name,
        kind=type(make("meta")).__name__,
        make=make,
        give=give,
        loss=_loss,
        driver=drivers[config.kind],
        probe=partial(_probe, ids),
        length=min(LENGTH, config.context),
        context=config.context,
        causal=config.kind == "decoder",
        assumptions=(
            "weights are fresh: they decide no count, only gradients against distance.",
            *(("the source and the target have the same length.",) if both else ()),
            "loss: the mean cross entropy of all positions; the scores of a large vocabulary are "
            "not made in chunks, and not twice, as the trainer does to save memory.",
        ),
    )


def _loss(module: nn.Module, given: Inputs) -> Tensor:
    assert isinstance(module, Model)
    ids_BT = given.args[-1]
    outputs = module.config.outputs
    targets_BT = ids_BT if outputs is None else ids_BT % outputs
    scores = module(*given.args)
    if scores.dim() == 2:  # one answer a row
        return F.cross_entropy(scores, targets_BT[:, 0])
    return F.cross_entropy(scores.flatten(0, 1), targets_BT.flatten())


def _probe(ids: Callable[[int, int, str], Tensor], module: nn.Module, length: int) -> Probe | str:
    module.eval()
    if isinstance(module, EncoderDecoder):
        return "the source reaches every position of the target: there is no one distance."
    assert isinstance(module, SequenceModel)

    def hidden(x: Tensor) -> Tensor:
        return module.hidden(x)[0]

    return Probe(hidden, ids(1, length, "cpu"), module.embedding)
