"""Models that must turn a verdict round: one wrong part in an otherwise ordinary model."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from phalanx.comparison.subjects import Subject, narrow, resized
from phalanx.config import ModelConfig
from phalanx.layers.block import Block
from phalanx.layers.feed_forward import FeedForward
from phalanx.mixers import Attention, Mixer
from phalanx.models import Decoder, Encoder, SequenceModel, build, preset
from phalanx.models.presets import count
from phalanx.rows import Rows
from phalanx.schedules import attend
from phalanx.states import State

SIZE = 100_000
# An encoder of few kernels, for what runs it many times.
BARE_ENCODER = {
    "kind": "encoder",
    "width": 32,
    "layers": 1,
    "block": "plain",
    "feed_forward": None,
    "positions": "none",
    "attention": {"query_key_norm": False},
}


def config(name: str, **changes: object) -> ModelConfig:
    return preset(name, 64, 256, SIZE, **changes)


def subject(name: str, **changes: object) -> Subject:
    return Subject.of(name, config(name, **changes))


def with_change(
    label: str, change: Callable[[SequenceModel], None], name: str, **changes: object
) -> Subject:
    whole = config(name, **changes)

    def changed(given: ModelConfig) -> SequenceModel:
        model = build(given)
        change(model)
        return model

    return Subject(
        label,
        lambda: changed(whole),
        lambda: changed(narrow(whole)),
        lambda size: changed(resized(whole, size)),
    )


def growing_by_layers(name: str, **changes: object) -> Subject:
    """A family that grows by ever more layers at one width."""
    ordinary = subject(name, layers=1, **changes)
    one = resized(config(name, layers=1, **changes), 4 * SIZE)

    def deep(size: int) -> SequenceModel:
        layers = max(1, round(size / count(one)[1]))
        return build(one.model_copy(update={"layers": layers}))

    return replace(ordinary, sized=deep)


def replace_mixers(kind: Callable[[ModelConfig], Mixer]) -> Callable[[SequenceModel], None]:
    def change(model: SequenceModel) -> None:
        for block in model.blocks:
            assert isinstance(block, Block)
            block.mixer = kind(model.config)

    return change


def replace_feed_forward(kind: Callable[[int], nn.Module]) -> Callable[[SequenceModel], None]:
    def change(model: SequenceModel) -> None:
        for block in model.blocks:
            block.feed_forward = kind(model.config.width)

    return change


# -- C3: attentions that loop over positions ----------------------------------------------------


class FeedbackAttention(Attention):
    """Each position attends to the outputs before it: it waits for every one of them."""

    def forward(
        self, x_BTD: Tensor, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Tensor, None]:
        outputs: list[Tensor] = []
        for t in range(x_BTD.shape[1]):
            now_B1D, places = x_BTD[:, t : t + 1], rows.positions_BT
            query, _, _ = self._project(now_B1D, places[:, t : t + 1])
            _, key, value = self._project(torch.cat([*outputs, now_B1D], 1), places[:, : t + 1])
            mixed = attend.reference(query, key, value, None, False)
            outputs.append(self.output(mixed.transpose(1, 2).flatten(2)))
        return torch.cat(outputs, 1), None


class RunningSoftmaxAttention(Attention):
    """One key after another: sums that run through the positions."""

    def forward(
        self, x_BTD: Tensor, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Tensor, None]:
        query, key, value = self._project(x_BTD, rows.positions_BT)
        above, below = torch.zeros_like(query), torch.zeros_like(query[..., :1])
        slots_T = torch.arange(x_BTD.shape[1])[:, None]
        for s in range(x_BTD.shape[1]):
            weight = (query * key[:, :, s : s + 1]).sum(-1, keepdim=True).exp() * (slots_T >= s)
            above, below = above + weight * value[:, :, s : s + 1], below + weight
        return self.output((above / below).transpose(1, 2).flatten(2)), None


class LoopedAttention(Attention):
    """A Python loop over positions that do not wait for one another: parallel all the same."""

    def forward(
        self, x_BTD: Tensor, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Tensor, None]:
        query, key, value = self._project(x_BTD, rows.positions_BT)
        mixed = torch.empty_like(query)
        for t in range(x_BTD.shape[1]):
            seen = key[:, :, : t + 1], value[:, :, : t + 1]
            mixed[:, :, t : t + 1] = attend.reference(query[:, :, t : t + 1], *seen, None, False)
        return self.output(mixed.transpose(1, 2).flatten(2)), None


def as_attention(kind: type[Attention]) -> Callable[[SequenceModel], None]:
    return replace_mixers(lambda c: kind(c.width, c.attention.heads))


# -- C4 .. C7 ------------------------------------------------------------------------------------


class MixedHeads(Attention):
    """Every head's queries hold a share of all heads' queries."""

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        return super()._attend(query + query.mean(1, keepdim=True), key, value, mask)


class Convolution(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Conv1d(width, width, 3)

    def forward(self, x_BTD: Tensor) -> Tensor:
        padded = nn.functional.pad(x_BTD.transpose(1, 2), (2, 0))
        return self.inner(padded).relu().transpose(1, 2)

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        self.inner.reset_parameters()


class AddsTheMean(FeedForward):
    """Commutes with every permutation of positions, and couples them all."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 2 * width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return super().forward(x_BTD) + x_BTD.mean(1, keepdim=True)


class OverTheBatch(nn.Module):
    """A norm whose statistics come from all rows of the batch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.BatchNorm1d(width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.inner(x_BTD.transpose(1, 2)).transpose(1, 2)


def normalize_over_the_batch(model: SequenceModel) -> None:
    for block in model.blocks:
        block.mixer_norm = OverTheBatch(model.config.width)


def look_both_ways(model: SequenceModel) -> None:
    for block in model.blocks:
        block.mixer.causal = False


# -- C8, C9, C11 ---------------------------------------------------------------------------------


class BlindDecoder(Decoder):
    """Does not read the token chosen before: all tokens could be chosen at once."""

    def step(
        self, ids_B: Tensor, state: object, active_B: Tensor | None = None
    ) -> tuple[Tensor, object]:
        return super().step(torch.zeros_like(ids_B), state, active_B)


class IteratedEncoder(Encoder):
    """Runs its layers once for each position of the text."""

    def hidden(
        self, ids_BT: Tensor, rows: Rows | None = None, *_: object, **__: object
    ) -> tuple[Tensor, None]:
        rows = rows or Rows.full(*ids_BT.shape)
        x_BTD = self._embed(ids_BT, rows.positions_BT)
        for _ in range(ids_BT.shape[1]):
            for block in self.blocks:
                x_BTD, _ = block(x_BTD, rows)
        return self._normalize(x_BTD), None


def become(kind: type[SequenceModel]) -> Callable[[SequenceModel], None]:
    def change(model: SequenceModel) -> None:
        model.__class__ = kind

    return change


class Pool(Mixer):
    """The mean of all positions so far, scaled by a vector: mixes without a product."""

    schedules = ("reference",)
    schedule = "reference"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(
        self, x_BTD: Tensor, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Tensor, None]:
        counts_T1 = torch.arange(1, x_BTD.shape[1] + 1, device=x_BTD.device)[:, None]
        return x_BTD.cumsum(1) / counts_T1 * self.weight, None

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        nn.init.ones_(self.weight)


class NoProducts(Decoder):
    """Scores without a product: the width is the vocabulary."""

    def head(self, y: Tensor) -> Tensor:
        return y


def without_products(model: SequenceModel) -> None:
    become(NoProducts)(model)
    replace_mixers(lambda c: Pool(c.width))(model)
    for block in model.blocks:
        block.feed_forward = block.feed_forward_norm = None
