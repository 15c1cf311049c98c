"""The mixers that a configuration can name; a new mixer is one line here."""

from collections.abc import Callable
from typing import TypeVar

from phalanx.config import ModelConfig
from phalanx.errors import UsageError, did_you_mean
from phalanx.mixers.attention import Attention, BidirectionalAttention
from phalanx.mixers.base import CausalMixer, Mixer
from phalanx.mixers.bidirectional import Bidirectional
from phalanx.mixers.cross_attention import CrossAttention, LuongAttention
from phalanx.mixers.gru import GRU
from phalanx.mixers.lstm import LSTM
from phalanx.mixers.mingru import MinGRU
from phalanx.mixers.rnn import RNN

A = TypeVar("A", Attention, BidirectionalAttention)


def _attention(kind: type[A], config: ModelConfig) -> A:
    chosen = config.attention
    return kind(
        config.width,
        chosen.heads,
        key_value_heads=chosen.key_value_heads,
        head_width=chosen.head_width,
        window=chosen.window,
        rotary=config.positions == "rotary",
        rotary_base=chosen.rotary_base,
        rotary_scaling=chosen.rotary_scaling,
        query_key_norm=chosen.query_key_norm,
        norm_epsilon=config.norm_epsilon or 1e-6,
        bias=chosen.bias,
        output_bias=chosen.output_bias,
        schedule=chosen.schedule,
    )


CAUSAL: dict[str, Callable[[ModelConfig], CausalMixer]] = {
    "attention": lambda c: _attention(Attention, c),
    "rnn": lambda c: RNN(c.width, c.recurrence.nonlinearity, c.recurrence.schedule or "hoisted"),
    "lstm": lambda c: LSTM(c.width, c.recurrence.schedule or "fused"),
    "gru": lambda c: GRU(c.width, c.recurrence.schedule or "hoisted"),
    "mingru": lambda c: MinGRU(c.width, c.mingru.inner, c.mingru.chunk, c.mingru.schedule),
}


M = TypeVar("M", bound=Mixer)


def _made(name: str, make: Callable[[ModelConfig], M], config: ModelConfig) -> M:
    try:
        return make(config)
    except ValueError as error:
        raise UsageError(f"mixer {name}: {error}") from None


def causal_mixer(name: str, config: ModelConfig) -> CausalMixer:
    """The causal mixer of that name.

    Raises:
        UsageError: no causal mixer has that name, or it cannot be made so.
    """
    if name not in CAUSAL:
        raise UsageError(f"mixers: {name!r} is no causal mixer.{did_you_mean(name, CAUSAL)}")
    return _made(name, CAUSAL[name], config)


def encoder_mixer(name: str, config: ModelConfig) -> Mixer:
    """The mixer of that name for an encoder, where attention looks both ways and ``a+b`` reads
    forwards by ``a`` and backwards by ``b``.

    Raises:
        UsageError: no mixer has that name.
    """
    if name == "attention":
        return _made(name, lambda c: _attention(BidirectionalAttention, c), config)
    forwards, plus, backwards = name.partition("+")
    if not plus:
        return causal_mixer(name, config)
    return Bidirectional(
        config.width, causal_mixer(forwards, config), causal_mixer(backwards, config)
    )


def cross_mixer(config: ModelConfig) -> CrossAttention:
    """The attention of a decoder's layers to a memory; where mixers are stacked without residual
    branches, it joins what it reads with what it is given, as Luong et al. 2015 do.

    Raises:
        UsageError: it cannot be made so.
    """
    kind = LuongAttention if config.block == "plain" else CrossAttention
    chosen = config.attention

    def make(c: ModelConfig) -> CrossAttention:
        return kind(
            c.width,
            chosen.heads,
            head_width=chosen.head_width,
            bias=chosen.bias,
            schedule=chosen.schedule,
        )

    return _made("cross-attention", make, config)
