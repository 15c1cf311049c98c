"""Text to token ids and back: what the rest of phalanx imports."""

from phalanx.data.tokenizers.byte_level import byte_alphabet
from phalanx.data.tokenizers.kinds import KINDS, UNKNOWN, Kind
from phalanx.data.tokenizers.loading import load_tokenizer
from phalanx.data.tokenizers.tokenizer import Tokenizer
from phalanx.data.tokenizers.training import (
    DEFAULT_BPE_VOCABULARY,
    SIZED,
    tokenizer_for,
    train_tokenizer,
)
from phalanx.data.tokenizers.vocabulary import END, MASK

__all__ = [
    "DEFAULT_BPE_VOCABULARY",
    "END",
    "KINDS",
    "MASK",
    "SIZED",
    "UNKNOWN",
    "Kind",
    "Tokenizer",
    "byte_alphabet",
    "load_tokenizer",
    "tokenizer_for",
    "train_tokenizer",
]
