"""Models: a stack of mixers between an embedding and scores over outputs."""

from phalanx.models.base import Model, ModelState, SequenceModel, SteppingModel
from phalanx.models.decoder import Decoder
from phalanx.models.encoder import Classifier, Encoder
from phalanx.models.encoder_decoder import EncoderDecoder, Memory
from phalanx.models.presets import PRESETS, build, count, preset

__all__ = [
    "PRESETS",
    "Classifier",
    "Decoder",
    "Encoder",
    "EncoderDecoder",
    "Memory",
    "Model",
    "ModelState",
    "SequenceModel",
    "SteppingModel",
    "build",
    "count",
    "preset",
]
