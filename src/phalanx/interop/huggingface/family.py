"""What phalanx knows of a family of Hugging Face models."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from phalanx.config import ModelConfig
from phalanx.interop.huggingface.moves import Move
from phalanx.interop.huggingface.options import Options

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "relu2": "squared_relu",
}
"""Names of activations there, and here."""

# An epsilon that phalanx uses anyway is left out, so that equal models have equal configurations.
_USUAL_EPSILON = {"layer": 1e-5, "rms": 1e-6}


@dataclass(frozen=True)
class Need:
    """A field of ModelConfig that must have one of these values for a model to fit a family.

    The first of them is what is proposed to who wants to train such a model.
    """

    key: str
    values: Collection[object]


@dataclass(frozen=True)
class Layout:
    """The tensors of one model of a family.

    Args:
        table: which tensors are which.
        repeated: names there that may repeat another tensor, and which.
        ignored: patterns of names there that nothing is computed from here, and what they are.
    """

    table: tuple[Move, ...]
    repeated: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """A family of models: how its configurations and weights are read and written.

    Args:
        model_type: its name in a config.json.
        prefix: of the base model's tensors where a head stands beside it.
        architectures: the classes of ``transformers`` that are supported, and the task of each.
        read: a configuration there, and its architecture, to one here.
        write: a configuration here, and its architecture, to the values of one there.
        layout: the tensors of a model with such a configuration.
        needs: what a model here must be like to fit.
    """

    model_type: str
    prefix: str
    architectures: Mapping[str, str]
    read: Callable[[Options, str], ModelConfig]
    write: Callable[[ModelConfig, str], dict[str, Any]]
    layout: Callable[[ModelConfig], Layout]
    needs: tuple[Need, ...]

    def architecture_of(self, task: str) -> str:
        """The class of ``transformers`` for a task of this family."""
        return next(name for name, its in self.architectures.items() if its == task)


def epsilon_read(norm: str, epsilon: float) -> float | None:
    """An epsilon as ModelConfig has it."""
    return None if epsilon == _USUAL_EPSILON[norm] else epsilon


def epsilon_written(config: ModelConfig) -> float:
    """The epsilon of a configuration's norms."""
    return config.norm_epsilon or _USUAL_EPSILON[config.norm]


def activation_written(config: ModelConfig) -> str:
    """The name there of a configuration's activation; of several the first."""
    assert config.feed_forward is not None
    wanted = config.feed_forward.activation
    return next(there for there, here in ACTIVATIONS.items() if here == wanted)
