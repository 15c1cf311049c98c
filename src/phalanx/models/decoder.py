"""The decoder: causal mixers, so that it can be trained in one pass and generate step by step."""

import torch

from phalanx.config import ModelConfig
from phalanx.errors import UsageError
from phalanx.layers.block import Block
from phalanx.mixers.base import CausalMixer
from phalanx.mixers.registry import causal_mixer
from phalanx.models.base import ModelState, SequenceModel
from phalanx.shapes import PerRow


class Decoder(SequenceModel):
    """A causal model over any stack of mixers: GPT, a recurrent language model, or a hybrid."""

    def __init__(self, config: ModelConfig) -> None:
        if config.kind != "decoder":
            raise UsageError(f"a Decoder needs kind: decoder; given {config.kind!r}")
        super().__init__(config, [causal_mixer(name, config) for name in config.mixer_names])

    def step(
        self, ids_B: PerRow, state: ModelState, active_B: PerRow | None = None
    ) -> tuple[torch.Tensor, ModelState]:
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
            assert isinstance(block, Block)
            x_BD, new_state = block.step(x_BD, layer_state, active_B)
            assert new_state is not None
            after.append(new_state)
        return self.head(self._normalize(x_BD)), ModelState(tuple(after))

    def empty_state(self, batch: int, capacity: int) -> ModelState:
        """The state before the first token, for up to ``capacity`` positions a row."""
        layers = []
        for block in self.blocks:
            mixer = block.mixer
            assert isinstance(mixer, CausalMixer)
            layers.append(mixer.empty_state(batch, capacity, self.embedding.weight))
        return ModelState(tuple(layers))
