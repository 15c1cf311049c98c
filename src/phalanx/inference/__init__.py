"""Text from a causal model: one loop, and the ways to choose a token."""

from phalanx.inference.generate import Decoding, context_limit, generate
from phalanx.inference.sampling import Chooser, Greedy, Sampler, Without
from phalanx.inference.text import generate_text

__all__ = [
    "Chooser",
    "Decoding",
    "Greedy",
    "Sampler",
    "Without",
    "context_limit",
    "generate",
    "generate_text",
]
