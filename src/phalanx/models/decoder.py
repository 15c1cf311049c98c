"""The decoder: causal mixers, so that it can be trained in one pass and generate step by step."""

from phalanx.config import ModelConfig
from phalanx.errors import UsageError
from phalanx.mixers.base import CausalMixer
from phalanx.mixers.registry import causal_mixer
from phalanx.models.base import ModelState, SequenceModel, SteppingModel


class Decoder(SequenceModel, SteppingModel):
    """A causal model over any stack of mixers: GPT, a recurrent language model, or a hybrid."""

    def __init__(self, config: ModelConfig) -> None:
        if config.kind != "decoder":
            raise UsageError(f"a Decoder needs kind: decoder; given {config.kind!r}")
        super().__init__(config, [causal_mixer(name, config) for name in config.mixer_names])

    def empty_state(self, batch: int, capacity: int) -> ModelState:
        """The state before the first token, for up to ``capacity`` positions a row."""
        layers = []
        for block in self.blocks:
            mixer = block.mixer
            assert isinstance(mixer, CausalMixer)
            layers.append(mixer.empty_state(batch, capacity, self.embedding.weight))
        return ModelState(tuple(layers))
