"""The encoder: mixers that look both ways, so that every position is answered in one pass."""

from phalanx.config import ModelConfig
from phalanx.errors import UsageError
from phalanx.mixers.registry import encoder_mixer
from phalanx.models.base import SequenceModel


class Encoder(SequenceModel):
    """A bidirectional model over any stack of mixers: BERT's shape, or a bidirectional LSTM."""

    def __init__(self, config: ModelConfig) -> None:
        if config.kind != "encoder":
            raise UsageError(f"an Encoder needs kind: encoder; given {config.kind!r}")
        super().__init__(config, [encoder_mixer(name, config) for name in config.mixer_names])
