"""A mixer and a feed-forward network, joined three ways; each way is a class."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from phalanx.layers.feed_forward import FeedForward
from phalanx.mixers.base import CausalMixer, Mixer
from phalanx.rows import Rows
from phalanx.shapes import Column, PerRow, Sequence
from phalanx.states import State

Mixed = tuple[Tensor, State | None]


class Block(nn.Module, ABC):
    """One layer of a model: a mixer, and a feed-forward network where there is one."""

    def __init__(
        self,
        mixer: Mixer,
        feed_forward: FeedForward | None,
        make_norm: Callable[[], nn.Module],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.feed_forward = feed_forward
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def _around(self, x: Tensor, mix: Callable[[Tensor], Mixed]) -> Mixed:
        """The layer around its mixer, which is called in its parallel or its step form."""

    def forward(
        self, x_BTD: Sequence, rows: Rows, state: State | None = None, *, undo: int = 0
    ) -> tuple[Sequence, State | None]:
        """All positions; arguments and results as Mixer.forward."""
        return self._around(x_BTD, lambda x: self.mixer(x, rows, state, undo=undo))

    def step(
        self, x_BD: Column, state: State, active_B: PerRow | None = None
    ) -> tuple[Column, State | None]:
        """One position; arguments and results as CausalMixer.step.

        Raises:
            TypeError: the mixer is bidirectional and has no step form.
        """
        mixer = self.mixer
        if not isinstance(mixer, CausalMixer):
            raise TypeError(f"{type(mixer).__name__} is not causal: it has no step form")
        return self._around(x_BD, lambda x: mixer.step(x, state, active_B))

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights for every part."""
        self.mixer.init_weights(generator)
        if self.feed_forward is not None:
            self.feed_forward.init_weights(generator)
        for module in self.modules():
            if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
                module.reset_parameters()


class _NormedBlock(Block):
    """A layer of residual branches, each with a norm of its own."""

    def __init__(
        self,
        mixer: Mixer,
        feed_forward: FeedForward | None,
        make_norm: Callable[[], nn.Module],
        dropout: float = 0.0,
    ) -> None:
        super().__init__(mixer, feed_forward, make_norm, dropout)
        self.mixer_norm = make_norm()
        self.feed_forward_norm = make_norm() if feed_forward is not None else None


class PreNormBlock(_NormedBlock):
    """x + mixer(norm(x)), then x + feed_forward(norm(x)) (Xiong et al. 2020; GPT-2)."""

    def _around(self, x: Tensor, mix: Callable[[Tensor], Mixed]) -> Mixed:
        mixed, state = mix(self.mixer_norm(x))
        x = x + self.dropout(mixed)
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x, state


class PostNormBlock(_NormedBlock):
    """norm(x + mixer(x)), then norm(x + feed_forward(x)) (Vaswani et al. 2017; BERT)."""

    def _around(self, x: Tensor, mix: Callable[[Tensor], Mixed]) -> Mixed:
        mixed, state = mix(x)
        x = self.mixer_norm(x + self.dropout(mixed))
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x, state


class PlainBlock(Block):
    """The mixer alone, as recurrent layers are stacked in torch.nn.LSTM and before it."""

    def _around(self, x: Tensor, mix: Callable[[Tensor], Mixed]) -> Mixed:
        mixed, state = mix(x)
        mixed = self.dropout(mixed)
        return (mixed if self.feed_forward is None else self.feed_forward(mixed)), state


BLOCKS: dict[str, type[Block]] = {
    "pre": PreNormBlock,
    "post": PostNormBlock,
    "plain": PlainBlock,
}
