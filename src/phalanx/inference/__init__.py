"""Text from a causal model: one loop, and the ways to choose a token."""

from phalanx.inference.decoding import Decoding, context_limit
from phalanx.inference.generate import generate
from phalanx.inference.sampling import Chooser, Greedy, Penalized, Sampler, Without, make_chooser
from phalanx.inference.text import Writer, Written, generate_text

__all__ = [
    "Chooser",
    "Decoding",
    "Greedy",
    "Penalized",
    "Sampler",
    "Without",
    "Writer",
    "Written",
    "context_limit",
    "generate",
    "generate_text",
    "make_chooser",
]
