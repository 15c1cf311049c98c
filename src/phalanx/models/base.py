"""What decoders and encoders share: embedding, blocks, output."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phalanx.config import ModelConfig
from phalanx.layers.block import BLOCKS, Block
from phalanx.layers.embedding import Embedding
from phalanx.layers.feed_forward import FeedForward
from phalanx.layers.norm import make_norm
from phalanx.layers.positions import LearnedPositions, SinusoidalPositions
from phalanx.mixers.base import Mixer
from phalanx.models.init import init_model
from phalanx.rows import Rows
from phalanx.shapes import Ids, Index, Logits, PerRow, Sequence
from phalanx.states import State


@dataclass(frozen=True)
class ModelState:
    """The states of a model's layers, carried and moved together."""

    layers: tuple[State, ...]

    @property
    def length_B(self) -> PerRow:
        """Positions that each row has consumed."""
        return self.layers[0].length_B

    @property
    def nbytes(self) -> int:
        """Bytes held by all layers."""
        return sum(state.nbytes for state in self.layers)

    def select(self, rows_N: Index) -> "ModelState":
        """The state of the given rows, in that order."""
        return ModelState(tuple(state.select(rows_N) for state in self.layers))

    def put(self, slots_N: Index, other: "ModelState") -> "ModelState":
        """This state with row n of ``other`` in place of row ``slots_N[n]``."""
        pairs = zip(self.layers, other.layers, strict=True)
        return ModelState(tuple(state.put(slots_N, new) for state, new in pairs))

    def rewind(self, count_B: PerRow) -> "ModelState":
        """The state as it was ``count_B`` positions ago, row by row."""
        return ModelState(tuple(state.rewind(count_B) for state in self.layers))


class SequenceModel(nn.Module):
    """Embedding, a stack of blocks over any mixers, and scores over the outputs.

    Args:
        config: architecture and size; the model keeps it as ``config``.
        mixers: one mixer a layer.
    """

    def __init__(self, config: ModelConfig, mixers: list[Mixer]) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocabulary, config.width, config.scale_embedding)
        self.positions = _make_positions(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_make_block(config, mixer) for mixer in mixers)
        self.norm = (
            make_norm(config.norm, config.width, config.norm_bias) if config.final_norm else None
        )
        outputs = config.outputs or config.vocabulary
        self.output = (
            None if config.tied else nn.Linear(config.width, outputs, bias=config.output_bias)
        )
        self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh weights by the configured scheme and fill the buffers."""
        init_model(self, self.config.init, generator)

    def forward(self, ids_BT: Ids, rows: Rows | None = None) -> Logits:
        """Scores (B, T, outputs) at every position, in one pass."""
        return self.head(self.hidden(ids_BT, rows)[0])

    def hidden(
        self,
        ids_BT: Ids,
        rows: Rows | None = None,
        state: ModelState | None = None,
        *,
        undo: int = 0,
    ) -> tuple[Sequence, ModelState | None]:
        """The last layer's outputs (B, T, D), and the state after them (None in, None out).

        Args:
            ids_BT: tokens; any valid token may stand at padding.
            rows: which positions are real; None where all are, continuing from the state.
            state: what came before; consumed.
            undo: how many positions the returned state must be able to rewind.
        """
        if rows is None:
            start_B = None if state is None else state.length_B
            rows = Rows.full(ids_BT.shape[0], ids_BT.shape[1], ids_BT.device, start_B)
        x_BTD = self._embed(ids_BT, rows.positions_BT)
        before = [None] * len(self.blocks) if state is None else state.layers
        after: list[State] = []
        for block, layer_state in zip(self.blocks, before, strict=True):
            x_BTD, new_state = block(x_BTD, rows, layer_state, undo=undo)
            if new_state is not None:
                after.append(new_state)
        return self._normalize(x_BTD), (None if state is None else ModelState(tuple(after)))

    def head(self, y: Tensor) -> Tensor:
        """Scores over the outputs, (..., D) -> (..., outputs); call it on chunks to save memory."""
        if self.output is None:
            return nn.functional.linear(y, self.embedding.weight)
        scores: Tensor = self.output(y)
        return scores

    def parameter_counts(self) -> tuple[int, int]:
        """All parameters, and those outside the token, position and output tables."""
        total = sum(parameter.numel() for parameter in self.parameters())
        tables = [self.embedding, self.positions, self.output]
        outside = sum(p.numel() for table in tables if table for p in table.parameters())
        return total, total - outside

    def _embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        x = self.embedding(ids)
        if self.positions is not None:
            x = self.positions(x, positions)
        embedded: Tensor = self.dropout(x)
        return embedded

    def _normalize(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)


def _make_positions(config: ModelConfig) -> nn.Module | None:
    if config.positions == "learned":
        return LearnedPositions(config.context, config.width)
    if config.positions == "sinusoidal":
        return SinusoidalPositions(config.context, config.width)
    return None


def _make_block(config: ModelConfig, mixer: Mixer) -> Block:
    chosen = config.feed_forward
    feed_forward = (
        FeedForward(config.width, chosen.width, chosen.activation, chosen.bias) if chosen else None
    )
    return BLOCKS[config.block](
        mixer,
        feed_forward,
        lambda: make_norm(config.norm, config.width, config.norm_bias),
        config.dropout,
    )
