"""Planted defects of layers and models that read a memory (see law_defects.py)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import law_checks as laws
import torch
from law_defects import PeeksInForward, Plant, damaged
from subjects import VOCABULARY, WIDTH, Subject, cross_block
from torch import Tensor, nn

from phalanx.layers.cross_block import CrossState
from phalanx.mixers import Attention, CrossAttention
from phalanx.models import EncoderDecoder, ModelState, preset
from phalanx.rows import Rows


class ReadsNothingInStep(CrossAttention):
    def step(self, x_BD: Tensor, state: Any, active_B: Tensor | None = None) -> Any:
        empty = self.empty_state(x_BD.shape[0], 0, x_BD)
        return super().step(x_BD, empty, active_B)[0], state


class CutsGradientToTheMemory(CrossAttention):
    def step(self, x_BD: Tensor, state: Any, active_B: Tensor | None = None) -> Any:
        detached = replace(state, values_BHSK=state.values_BHSK.detach())
        return super().step(x_BD, detached, active_B)[0], state


class ReadsPadding(CrossAttention):
    def remember(self, memory_BSD: Tensor, rows: Rows) -> Any:
        whole = Rows.full(*memory_BSD.shape[:2])
        return super().remember(rows.zero_padding(memory_BSD), whole)


class SeesPadding(CrossAttention):
    def remember(self, memory_BSD: Tensor, rows: Rows) -> Any:
        return super().remember(memory_BSD, Rows.full(*memory_BSD.shape[:2]))


class RemembersWhatStandsAtPadding(CrossAttention):
    def remember(self, memory_BSD: Tensor, rows: Rows) -> Any:
        whole = Rows.full(*memory_BSD.shape[:2])
        return replace(super().remember(memory_BSD, whole), length_B=rows.consumed_B())


class MissesTheLastOfTheMemory(CrossAttention):
    def remember(self, memory_BSD: Tensor, rows: Rows) -> Any:
        state = super().remember(memory_BSD, rows)
        return replace(state, length_B=(state.length_B - 1).clamp(min=0))


class CentresMemoriesOverTheBatch(CrossAttention):
    def remember(self, memory_BSD: Tensor, rows: Rows) -> Any:
        return super().remember(memory_BSD - memory_BSD.mean(0, keepdim=True), rows)


class LeftBehind(CrossState):
    def select(self, rows_N: Tensor) -> Any:
        first = torch.arange(len(rows_N))
        return LeftBehind(self.own.select(rows_N), self.memory.select(first))


class LeavesMemoriesBehind(EncoderDecoder):
    def hidden(self, *given: Any, **named: Any) -> Any:
        y_BTD, state = super().hidden(*given, **named)
        if state is None:
            return y_BTD, None
        return y_BTD, ModelState(tuple(LeftBehind(s.own, s.memory) for s in state.layers))


class StartsItsPositionsAgain(EncoderDecoder):
    def step(self, ids_B: Tensor, state: Any, active_B: Tensor | None = None) -> Any:
        exact = self._embed
        self._embed = lambda ids, positions: exact(ids, torch.zeros_like(positions))
        try:
            return super().step(ids_B, state, active_B)
        finally:
            del self._embed


def _model(kind: type[EncoderDecoder], name: str) -> Callable[[], nn.Module]:
    config = preset(name, VOCABULARY, 64, kind="encoder_decoder", width=16, layers=2)
    return lambda: kind(config)


def _model_whose_decoder_peeks() -> nn.Module:
    model = _model(EncoderDecoder, "transformer")()
    peeking = PeeksInForward(16, 4, rotary=True, query_key_norm=True, bias=False)
    model.blocks[1].own.mixer = peeking
    return model


def _reading(cross: type[CrossAttention]) -> Subject:
    return replace(cross_block("post", lambda: Attention(WIDTH, 2), cross), name="cross-block-post")


READING = [
    Plant("1: step reads nothing", _reading(ReadsNothingInStep), laws.two_forms),
    Plant("1: gradient to the memory cut", _reading(CutsGradientToTheMemory), laws.two_forms),
    Plant("1: step at position 0",
          damaged("encoder-decoder-transformer-2017",
                  _model(StartsItsPositionsAgain, "transformer-2017")),
          laws.two_forms),
    Plant("3: padding of the memory read", _reading(ReadsPadding), laws.padding),
    Plant("3: NaN of the memory kept", _reading(RemembersWhatStandsAtPadding), laws.padding),
    Plant("4: decoder sees its future",
          damaged("encoder-decoder-transformer", _model_whose_decoder_peeks), laws.causality),
    Plant("4: end of the memory missed", _reading(MissesTheLastOfTheMemory), laws.reading),
    Plant("4: padding of the memory seen", _reading(SeesPadding), laws.reading),
    Plant("9: memories centred over the batch", _reading(CentresMemoriesOverTheBatch),
          laws.batching),
    Plant("move: memory left behind",
          damaged("encoder-decoder-gru", _model(LeavesMemoriesBehind, "gru")), laws.moving),
]  # fmt: skip
