"""Decoding steps of the models of transformers, with the cache that each of them keeps."""

import copy
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from phalanx.profiling.subjects.answers import output_of
from phalanx.profiling.subjects.decoding import Driver, Undecodable
from phalanx.profiling.subjects.examples import Example
from phalanx.profiling.subjects.subject import Inputs
from phalanx.profiling.tracing.origins import tensors_in

_TARGET = "decoder_input_ids"
_CACHES = ("past_key_values", "cache_params", "state")  # what models call what they carry


def is_of_transformers(module: nn.Module) -> bool:
    """Whether the module is a model of transformers, which then has been imported."""
    transformers = sys.modules.get("transformers")
    return transformers is not None and isinstance(module, transformers.PreTrainedModel)


def driver_of(module: Any, example: Example) -> Driver | Undecodable:
    """How a model of transformers generates behind the ids that it is called with."""
    if not module.can_generate():
        return Undecodable(
            f"{type(module).__name__} gives no scores of a next token; for a decoder name the "
            "class with them in config.json (architectures)."
        )
    both = _has_two_parts(module)
    if both and _TARGET not in example.given.kwargs:
        return Undecodable(f"the example inputs do not name {_TARGET}.")
    return HuggingFaceSteps(example, both)


def declared_causal(module: Any) -> bool | None:
    """Whether its class says that it generates from its own past; None where it does not say."""
    return False if _has_two_parts(module) else module.can_generate() or None


def _has_two_parts(module: Any) -> bool:
    return bool(getattr(module.config, "is_encoder_decoder", False))


@dataclass(frozen=True)
class HuggingFaceSteps:
    """A model of transformers that generates: its own cache carried, whatever that holds."""

    example: Example
    both: bool
    cached: bool = True

    @property
    def says(self) -> tuple[str, ...]:
        """What is there beforehand."""
        if not self.both:
            return ()
        return (
            "decode: the source is as long as the context, and the encoder has read it before.",
        )

    def no_gradients(self) -> AbstractContextManager[Any]:
        """No gradients, as in its ``generate``."""
        return torch.no_grad()

    def start(
        self, module: Any, batch: int, context: int, device: str, *, room: int = 0
    ) -> tuple[Tensor, Any]:
        """The last id of the prompt, and the cache after the others."""
        given = self.example.resized(batch, context, device)
        ids_BT = source_BT = self.example.main_of(given)
        beforehand: dict[str, Any] = {}
        if self.both:
            ids_BT = given.kwargs[_TARGET]
            beforehand["encoder_outputs"] = module.get_encoder()(source_BT)
        if context == 1:
            return ids_BT[:, -1], beforehand
        answer = self._run(module, ids_BT[:, :-1], beforehand)
        return ids_BT[:, -1], {**beforehand, **_carried(answer)}

    def step(self, module: nn.Module, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The likeliest next id."""
        answer = self._run(module, token[:, None], _apart(state))
        return output_of(answer)[:, -1].argmax(-1), {**state, **_carried(answer)}

    def state_bytes(self, state: Any) -> int:
        """Of the cache, and of the encoder's outputs where there are any."""
        held = {id(t): t.numel() * t.element_size() for t in tensors_in(list(state.values()))}
        return sum(held.values())

    def _run(self, module: nn.Module, ids_BT: Tensor, state: dict[str, Any]) -> Any:
        name = _TARGET if self.both else "input_ids"
        return Inputs((), {name: ids_BT, "use_cache": True, **state}).into(module)


def _carried(answer: Any) -> dict[str, Any]:
    found = {name: getattr(answer, name, None) for name in _CACHES}
    return {name: value for name, value in found.items() if value is not None}


def _apart(value: Any) -> Any:
    """The same tensors in containers of their own: a cache that is appended to stays as it was."""
    if isinstance(value, dict):
        return type(value)((key, _apart(part)) for key, part in value.items())
    if isinstance(value, list):
        return [_apart(part) for part in value]
    if hasattr(value, "__dict__") and not isinstance(value, (Tensor, type)):
        new = copy.copy(value)
        vars(new).update({key: _apart(part) for key, part in vars(value).items()})
        return new
    return value
