"""How one token is decoded: with the state carried, or by running the whole prefix again."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from phalanx.models import Decoder, EncoderDecoder, ModelState, SteppingModel

Scores = Callable[[nn.Module, Tensor], Tensor]  # (module, ids (B, T)) -> scores (B, T, V)


@dataclass(frozen=True)
class Undecodable:
    """``why`` a model has no step of decoding, in a sentence."""

    why: str


class Driver(Protocol):
    """Makes steps of decoding with a module.

    ``start`` gives the last token of a context and the state after all tokens before it; a
    ``step`` takes them and gives the next token and the state after the last. A step leaves the
    state that it was given usable, so that the same step can be run again.
    """

    @property
    def cached(self) -> bool:
        """Whether the state is carried; False: the whole prefix is run again."""
        ...

    @property
    def says(self) -> tuple[str, ...]:
        """What it assumes, in sentences."""
        ...

    def no_gradients(self) -> AbstractContextManager[Any]:
        """The context that steps run in."""
        ...

    def start(
        self, module: nn.Module, batch: int, context: int, device: str, *, room: int = 0
    ) -> tuple[Tensor, Any]:
        """The token number ``context`` and the state after the ones before it, with room for so
        many steps more."""
        ...

    def step(self, module: nn.Module, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The next token, and the state after ``token``."""
        ...

    def state_bytes(self, state: Any) -> int:
        """Bytes that the state holds, of all rows."""
        ...


def assumed_of(driver: Driver) -> tuple[str, ...]:
    """What a driver assumes, in sentences, and the mode that its steps run in."""
    with driver.no_gradients():
        mode = "in inference mode" if torch.is_inference_mode_enabled() else "without gradients"
    return (f"decode: steps run {mode}.", *driver.says)


@dataclass(frozen=True)
class DecoderSteps:
    """A Decoder of this library: ``step`` with its own state.

    Under inference mode the cache is written in place. The prompt is run where there are numbers;
    on meta the state of a full cache looks like that of an empty one.
    """

    give: Callable[[int, int, str], Tensor]  # (batch, length, device) -> ids
    says: tuple[str, ...] = ()
    cached: bool = True

    def no_gradients(self) -> AbstractContextManager[Any]:
        """Inference mode."""
        return torch.inference_mode()

    def start(
        self, module: nn.Module, batch: int, context: int, device: str, *, room: int = 0
    ) -> tuple[Tensor, Any]:
        """The last id of the prompt and the state after the others."""
        assert isinstance(module, (Decoder, EncoderDecoder))
        ids_BT = self.give(batch, context, device)
        state = self._empty(module, ids_BT, context + room)
        if device != "meta" and context > 1:
            _, after = module.hidden(ids_BT[:, :-1], state=state)
            assert after is not None
            state = after
        return ids_BT[:, -1], state

    def step(self, module: nn.Module, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The likeliest next id."""
        assert isinstance(module, (Decoder, EncoderDecoder))
        scores_BV, after = module.step(token, state)
        return scores_BV.argmax(-1), after

    def state_bytes(self, state: Any) -> int:
        """As the state says."""
        held: int = state.nbytes
        return held

    def _empty(self, module: SteppingModel, ids_BT: Tensor, capacity: int) -> ModelState:
        assert isinstance(module, Decoder)
        return module.empty_state(len(ids_BT), capacity)


@dataclass(frozen=True)
class TranslatorSteps(DecoderSteps):
    """An EncoderDecoder of this library, whose source is as long as the context."""

    def _empty(self, module: SteppingModel, ids_BT: Tensor, capacity: int) -> ModelState:
        assert isinstance(module, EncoderDecoder)
        return module.empty_state(module.encode(ids_BT), capacity)


@dataclass(frozen=True)
class WholePrefix:
    """Any causal module from ids to scores: every token runs all that came before once more.

    The state is the ids so far, and the module with its other inputs for so many ids, which are
    made beforehand.
    """

    give: Callable[[int, int, str], Tensor]  # (batch, length, device) -> ids
    scores: Callable[[int, int, str], Scores]  # for so many ids
    cached: bool = False
    says: tuple[str, ...] = (
        "decode: the module carries no state that can be found, so that each token runs the whole "
        "prefix again.",
    )

    def no_gradients(self) -> AbstractContextManager[Any]:
        """No gradients."""
        return torch.no_grad()

    def start(
        self, module: nn.Module, batch: int, context: int, device: str, *, room: int = 0
    ) -> tuple[Tensor, Any]:
        """The last id of the prompt, and the others."""
        ids_BT = self.give(batch, context, device)
        prepared = tuple(self.scores(batch, context + i, device) for i in range(room + 1))
        return ids_BT[:, -1], (ids_BT[:, :-1], prepared)

    def step(self, module: nn.Module, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The likeliest id after all of them."""
        before_BT, (scores, *later) = state
        ids_BT = torch.cat([before_BT, token[:, None]], 1)
        return scores(module, ids_BT)[:, -1].argmax(-1), (ids_BT, later)

    def state_bytes(self, state: Any) -> int:
        """Of the ids: nothing else is kept."""
        before_BT, _ = state
        held: int = before_BT.nbytes
        return held


@dataclass(frozen=True)
class RecurrentSteps:
    """A recurrent layer of torch (``nn.RNN``, ``nn.LSTM``, ``nn.GRU``): its state carried.

    The output is fed back where it is as wide as the input; else a given vector stands for what
    would be made of it.
    """

    feeds_back: bool
    cached: bool = True

    @property
    def says(self) -> tuple[str, ...]:
        """What is fed in."""
        if self.feeds_back:
            return ("decode: the layer's output is its next input.",)
        return (
            "decode: the layer's output is not as wide as its input, so that a given vector is fed "
            "in; only the state leads from one step to the next.",
        )

    def no_gradients(self) -> AbstractContextManager[Any]:
        """No gradients."""
        return torch.no_grad()

    def start(
        self, module: nn.Module, batch: int, context: int, device: str, *, room: int = 0
    ) -> tuple[Tensor, Any]:
        """A vector a row, and the state: zeros, as large as after any number of steps."""
        assert isinstance(module, nn.RNNBase)
        weight = next(module.parameters())
        token_BD = torch.ones(batch, module.input_size, device=device, dtype=weight.dtype)
        hidden_size = module.proj_size or module.hidden_size
        hidden = torch.zeros(
            module.num_layers, batch, hidden_size, device=device, dtype=weight.dtype
        )
        if not isinstance(module, nn.LSTM):
            return token_BD, hidden
        cell = torch.zeros(
            module.num_layers, batch, module.hidden_size, device=device, dtype=weight.dtype
        )
        return token_BD, (hidden, cell)

    def step(self, module: nn.Module, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One position; the output, or the same vector again."""
        assert isinstance(module, nn.RNNBase)
        axis = 1 if module.batch_first else 0
        y, after = module(token.unsqueeze(axis), state)
        return (y.squeeze(axis) if self.feeds_back else token), after

    def state_bytes(self, state: Any) -> int:
        """Of the hidden vectors and cells."""
        tensors = state if isinstance(state, tuple) else (state,)
        return sum(tensor.nbytes for tensor in tensors)
