"""Models: a stack of mixers between an embedding and scores over outputs."""

from phalanx.models.base import ModelState, SequenceModel
from phalanx.models.decoder import Decoder
from phalanx.models.encoder import Encoder
from phalanx.models.presets import PRESETS, build, count, preset

__all__ = [
    "PRESETS",
    "Decoder",
    "Encoder",
    "ModelState",
    "SequenceModel",
    "build",
    "count",
    "preset",
]
