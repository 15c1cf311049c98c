"""The models that a comparison examines: how to build them, whole and narrow, and their parts."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from phalanx.config import ModelConfig
from phalanx.mixers.base import Mixer
from phalanx.models import SequenceModel, build
from phalanx.models.presets import count

Build = Callable[[], SequenceModel]

_SEED = 0


@dataclass(frozen=True)
class Subject:
    """A model under examination.

    Args:
        name: as the report shows it.
        build: makes the model as it is compared; called under the meta device, for spans.
        narrow: makes a copy with the same layers and mixers at a small width and vocabulary;
            called with fixed random weights, for paths and exact properties.
        sized: makes one of the same family with about so many parameters outside its tables.
    """

    name: str
    build: Build
    narrow: Build
    sized: Callable[[int], SequenceModel]

    @classmethod
    def of(cls, name: str, config: ModelConfig) -> "Subject":
        """The model of a configuration."""
        return cls(
            name,
            lambda: sequence_model(config),
            lambda: sequence_model(narrow(config)),
            lambda size: sequence_model(resized(config, size)),
        )


def sequence_model(config: ModelConfig) -> SequenceModel:
    """The decoder or encoder of a configuration."""
    model = build(config)
    assert isinstance(model, SequenceModel)  # contenders are of no other kind
    return model


def narrow(config: ModelConfig) -> ModelConfig:
    """The same layers, mixers, heads and chunks, as narrow as they get; no dropout."""
    heads = config.attention.heads if "attention" in config.mixers else 2
    width = 4 * heads
    changes: dict[str, object] = {
        "vocabulary": 13,
        "outputs": None if config.tied else 13,
        "context": max(config.context, 2048),
        "width": width,
        "dropout": 0.0,
        "mingru": config.mingru.model_copy(update={"inner": width}),
    }
    if config.feed_forward is not None:
        changes["feed_forward"] = config.feed_forward.model_copy(update={"width": 2 * width})
    return config.model_copy(update=changes)


def resized(config: ModelConfig, size: int) -> ModelConfig:
    """The same layers, mixers and heads with about ``size`` parameters outside the tables.

    Parameters grow as the square of the width, which is a whole multiple of what the heads need:
    the size is met roughly.
    """
    attends = any("attention" in name for name in config.mixer_names)
    step = 4 * config.attention.heads if attends else 4
    ratio = math.sqrt(size / max(1, count(config)[1]))
    width = max(step, round(config.width * ratio / step) * step)

    def wider(inner: int) -> int:
        return max(4, round(inner * width / config.width / 4) * 4)

    changes: dict[str, object] = {"width": width, "dropout": 0.0}
    if config.mingru.inner is not None:
        changes["mingru"] = config.mingru.model_copy(update={"inner": wider(config.mingru.inner)})
    if config.feed_forward is not None:
        inner = wider(config.feed_forward.width)
        changes["feed_forward"] = config.feed_forward.model_copy(update={"width": inner})
    return config.model_copy(update=changes)


def on_meta(subject: Subject) -> SequenceModel:
    """The model at its own size, without memory: its kernels can be followed, not computed."""
    with torch.device("meta"):
        return without_dropout(subject.build())


def on_numbers(subject: Subject, dtype: torch.dtype = torch.float64) -> SequenceModel:
    """The narrow copy with weights drawn from a fixed seed, in training mode but for dropout.

    No weight is left at zero: a branch that a fresh model starts at zero would hide what is in it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = without_dropout(subject.narrow()).to(dtype)
        with torch.no_grad():
            for parameter in model.parameters():
                scale = parameter.shape[-1] ** -0.5
                parameter.add_(torch.randn(parameter.shape, dtype=dtype), alpha=0.5 * scale)
    return model


def without_dropout(model: SequenceModel) -> SequenceModel:
    """The model in training mode, where batch statistics count, with its dropout switched off."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    return model


def outermost_mixers(model: nn.Module) -> list[Mixer]:
    """The mixers that are not part of another one."""
    return list(_outermost(model))


def _outermost(module: nn.Module) -> Iterator[Mixer]:
    for child in module.children():
        if isinstance(child, Mixer):
            yield child
        else:
            yield from _outermost(child)


@contextmanager
def embedded_as(
    model: SequenceModel, replace: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """Inside, ``replace`` is applied to what the model's embedding of its tokens gives."""
    handle = model.embedding.register_forward_hook(lambda _, __, given: replace(given))
    try:
        yield
    finally:
        handle.remove()
