"""Layers in which positions exchange information, in a parallel and a step form."""

from phalanx.mixers.attention import Attention, BidirectionalAttention
from phalanx.mixers.base import CausalMixer, Mixer
from phalanx.mixers.bidirectional import Bidirectional
from phalanx.mixers.cross_attention import CrossAttention, LuongAttention
from phalanx.mixers.gru import GRU
from phalanx.mixers.lstm import LSTM
from phalanx.mixers.mingru import MinGRU
from phalanx.mixers.rnn import RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "Bidirectional",
    "BidirectionalAttention",
    "CausalMixer",
    "CrossAttention",
    "LuongAttention",
    "MinGRU",
    "Mixer",
]
