"""The encoder-decoder: the 2017 Transformer, a modern one, or recurrences with attention.

One vocabulary and one embedding serve source and target; where ``tied``, the output too (Vaswani et
al. 2017, section 3.4).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from phalanx.config import ModelConfig
from phalanx.errors import UsageError
from phalanx.layers.cross_block import CrossBlock, CrossState
from phalanx.mixers.cross_attention import CrossAttention, MemoryState
from phalanx.mixers.registry import causal_mixer, cross_mixer, encoder_mixer
from phalanx.models.base import ModelState, SteppingModel, continued, make_block, norm_of
from phalanx.rows import Rows, SourceRows
from phalanx.shapes import Ids, Logits, Sequence, SourceIds
from phalanx.states import State


@dataclass(frozen=True)
class Memory:
    """A source as the decoder reads it: the encoder's outputs, and each layer's keys and values."""

    memory_BSD: Tensor
    rows: SourceRows
    layers: tuple[MemoryState, ...]


class EncoderDecoder(SteppingModel):
    """An encoder that looks both ways, and a causal decoder whose layers also attend to it."""

    def __init__(self, config: ModelConfig) -> None:
        if config.kind != "encoder_decoder":
            raise UsageError(
                f"an EncoderDecoder needs kind: encoder_decoder; given {config.kind!r}"
            )
        super().__init__(config, [_cross_block(config, name) for name in config.mixer_names])
        mixers = [encoder_mixer(name, config) for name in config.encoder_mixer_names]
        self.encoder_blocks = nn.ModuleList(make_block(config, mixer) for mixer in mixers)
        self.encoder_norm = norm_of(config) if config.final_norm else None
        self.init_weights()

    def forward(
        self,
        source_BS: SourceIds,
        ids_BT: Ids,
        source_rows: SourceRows | None = None,
        rows: Rows | None = None,
    ) -> Logits:
        """Scores (B, T, V) of the token after each one of the target, all of which are given."""
        memory = self.encode(source_BS, source_rows)
        return self.head(self.hidden(ids_BT, rows, memory=memory)[0])

    def encode(self, source_BS: SourceIds, source_rows: SourceRows | None = None) -> Memory:
        """What the decoder reads of the sources (B, S), computed once."""
        rows = continued(source_BS, source_rows, None)
        x_BSD = self._embed(source_BS, rows.positions_BT)
        for block in self.encoder_blocks:
            x_BSD, _ = block(x_BSD, rows)
        if self.encoder_norm is not None:
            x_BSD = self.encoder_norm(x_BSD)
        layers = tuple(block.cross.remember(x_BSD, rows) for block in self._cross_blocks())
        return Memory(x_BSD, rows, layers)

    def hidden(
        self,
        ids_BT: Ids,
        rows: Rows | None = None,
        state: ModelState | None = None,
        *,
        memory: Memory | None = None,
        undo: int = 0,
    ) -> tuple[Sequence, ModelState | None]:
        """The decoder's outputs (B, T, D), and the state after them (None in, None out).

        Args:
            ids_BT: tokens of the target; any valid token may stand at padding.
            rows: which positions are real; None where all are, continuing from the state.
            state: what came before, and the memory it reads; consumed.
            memory: what is read where there is no state (see ``encode``).
            undo: how many positions the returned state must be able to rewind.

        Raises:
            ValueError: neither a state nor a memory.
        """
        rows = continued(ids_BT, rows, state)
        x_BTD = self._embed(ids_BT, rows.positions_BT)
        after: list[State] = []
        for block, (own, read) in zip(self._cross_blocks(), _carried(state, memory), strict=True):
            x_BTD, new_own = block(x_BTD, rows, read, own, undo=undo)
            if new_own is not None:
                after.append(CrossState(new_own, read))
        return self._normalize(x_BTD), (None if state is None else ModelState(tuple(after)))

    def empty_state(self, memory: Memory, capacity: int) -> ModelState:
        """The state before the first token of each target, of up to ``capacity`` tokens."""
        like = self.embedding.weight
        pairs = zip(self._cross_blocks(), memory.layers, strict=True)
        return ModelState(tuple(block.empty_state(read, capacity, like) for block, read in pairs))

    @torch.no_grad()
    def attention_maps(
        self,
        source_BS: SourceIds,
        ids_BT: Ids,
        source_rows: SourceRows | None = None,
        rows: Rows | None = None,
    ) -> list[Tensor]:
        """How much each position of the target attends to each of the source: a (B, H, T, S) for
        every layer, zero at padding."""
        maps: list[Tensor] = []

        def keep(module: nn.Module, given: tuple[Any, ...], _result: object) -> None:
            assert isinstance(module, CrossAttention)
            maps.append(module.weights(*given))

        hooks = [block.cross.register_forward_hook(keep) for block in self._cross_blocks()]
        try:
            self(source_BS, ids_BT, source_rows, rows)
        finally:
            for hook in hooks:
                hook.remove()
        return maps

    def _cross_blocks(self) -> list[CrossBlock]:
        return [block for block in self.blocks if isinstance(block, CrossBlock)]


def _cross_block(config: ModelConfig, name: str) -> CrossBlock:
    own = make_block(config, causal_mixer(name, config), feeding=False)
    return CrossBlock(own, make_block(config, cross_mixer(config)))


def _carried(
    state: ModelState | None, memory: Memory | None
) -> list[tuple[State | None, MemoryState]]:
    """The own past of each layer, None without a state, and what the layer reads."""
    if state is not None:
        layers = [layer for layer in state.layers if isinstance(layer, CrossState)]
        return [(layer.own, layer.memory) for layer in layers]
    if memory is None:
        raise ValueError("expected a memory (see encode), or a state that carries one")
    return [(None, read) for read in memory.layers]
