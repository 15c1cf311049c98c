"""What all models share: tokens to vectors, a stack of layers, vectors to scores."""

from collections.abc import Sequence as Several
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phalanx.config import ModelConfig
from phalanx.layers.block import BLOCKS, Block
from phalanx.layers.embedding import Embedding, TokenTypes
from phalanx.layers.feed_forward import make_feed_forward
from phalanx.layers.heads import make_transform
from phalanx.layers.norm import make_norm
from phalanx.layers.positions import make_positions
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


class Model(nn.Module):
    """Tokens to vectors, layers that a subclass runs, and scores over the outputs.

    Args:
        config: architecture and size; the model keeps it as ``config``.
        layers: the layers whose last output the scores are made of.
    """

    def __init__(self, config: ModelConfig, layers: Several[nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocabulary, config.width, config.scale_embedding)
        self.types = TokenTypes(config.token_types, config.width) if config.token_types else None
        self.positions = make_positions(config)
        self.embedding_norm = norm_of(config) if config.embedding_norm else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(layers)
        self.norm = norm_of(config) if config.final_norm else None
        self.transform = make_transform(config.head, config.width, lambda: norm_of(config))
        outputs = config.outputs or config.vocabulary
        self.output = (
            None if config.tied else nn.Linear(config.width, outputs, bias=config.output_bias)
        )
        self.output_bias = (
            nn.Parameter(torch.empty(outputs)) if config.tied and config.output_bias else None
        )

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh weights by the configured scheme and fill the buffers."""
        init_model(self, self.config.init, generator)

    def head(self, y: Tensor) -> Tensor:
        """Scores over the outputs, (..., D) -> (..., outputs); call it on chunks to save memory."""
        if self.transform is not None:
            y = self.transform(y)
        if self.output is None:
            return nn.functional.linear(y, self.embedding.weight, self.output_bias)
        scores: Tensor = self.output(y)
        return scores

    def parameter_counts(self) -> tuple[int, int]:
        """All parameters, and those outside the tables of tokens, types, positions and outputs."""
        total = sum(parameter.numel() for parameter in self.parameters())
        tables = [self.embedding, self.types, self.positions, self.output]
        outside = sum(p.numel() for table in tables if table for p in table.parameters())
        if self.output_bias is not None:
            outside += self.output_bias.numel()
        return total, total - outside

    def _embed(self, ids: Tensor, positions: Tensor, types: Tensor | None = None) -> Tensor:
        x = self.embedding(ids)
        if self.types is not None:
            x = self.types(x, types)
        if self.positions is not None:
            x = self.positions(x, positions)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        embedded: Tensor = self.dropout(x)
        return embedded

    def _normalize(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)


class SteppingModel(Model):
    """A model whose layers all have a step form, so that it generates token by token."""

    def step(
        self, ids_B: PerRow, state: ModelState, active_B: PerRow | None = None
    ) -> tuple[Tensor, ModelState]:
        """One token a row: scores (B, V) of the next one, and the state after it.

        Args:
            ids_B: the token at the next position of each row.
            state: what came before; consumed.
            active_B: True in rows that advance; the others stand still and their scores mean
                nothing.
        """
        positions_B = state.length_B
        if active_B is not None:  # a row that waits may be full: there is no position behind it
            positions_B = torch.where(active_B, positions_B, 0)
        x_BD = self._embed(ids_B[:, None], positions_B[:, None])[:, 0]
        after = []
        for block, layer_state in zip(self.blocks, state.layers, strict=True):
            x_BD, new_state = block.step(x_BD, layer_state, active_B)  # type: ignore[operator]
            after.append(new_state)
        return self.head(self._normalize(x_BD)), ModelState(tuple(after))


class SequenceModel(Model):
    """A stack of blocks over any mixers, in one pass over one sequence.

    Args:
        config: architecture and size.
        mixers: one mixer a layer.
    """

    def __init__(self, config: ModelConfig, mixers: Several[Mixer]) -> None:
        super().__init__(config, [make_block(config, mixer) for mixer in mixers])
        self.init_weights()

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
        rows = continued(ids_BT, rows, state)
        x_BTD = self._embed(ids_BT, rows.positions_BT)
        return self._through(x_BTD, rows, state, undo)

    def _through(
        self, x_BTD: Sequence, rows: Rows, state: ModelState | None, undo: int
    ) -> tuple[Sequence, ModelState | None]:
        before = [None] * len(self.blocks) if state is None else state.layers
        after: list[State] = []
        for block, layer_state in zip(self.blocks, before, strict=True):
            x_BTD, new_state = block(x_BTD, rows, layer_state, undo=undo)
            if new_state is not None:
                after.append(new_state)
        return self._normalize(x_BTD), (None if state is None else ModelState(tuple(after)))


def continued(ids_BT: Ids, rows: Rows | None, state: State | None) -> Rows:
    """The given rows; where None, full ones that continue from the state."""
    if rows is not None:
        return rows
    start_B = None if state is None else state.length_B
    return Rows.full(ids_BT.shape[0], ids_BT.shape[1], ids_BT.device, start_B)


def norm_of(config: ModelConfig) -> nn.Module:
    """A norm as the configuration has them all."""
    return make_norm(config.norm, config.width, config.norm_bias, config.norm_epsilon)


def make_block(config: ModelConfig, mixer: Mixer, *, feeding: bool = True) -> Block:
    """A layer around a mixer; without its feed-forward network where ``feeding`` is False."""
    chosen = config.feed_forward if feeding else None
    return BLOCKS[config.block](
        mixer,
        make_feed_forward(config.width, chosen) if chosen else None,
        lambda: norm_of(config),
        config.dropout,
    )
