"""Weights of Hugging Face's GPT-2, moved to a Decoder and back.

Only mappings of names and tensors pass here: ``transformers`` itself is not needed. There, a
matrix is stored as (inputs, outputs), and queries, keys and values are one matrix, ``c_attn``.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from phalanx.config import AttentionConfig, FeedForwardConfig, ModelConfig
from phalanx.errors import UsageError

_ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
_ACTIVATIONS |= {"relu": "relu"}

# Names here and there, with the layer's own prefix taken away.
_NORMS = {"mixer_norm": "ln_1", "feed_forward_norm": "ln_2"}
_MATRICES = {
    "mixer.output": "attn.c_proj",
    "feed_forward.input": "mlp.c_fc",
    "feed_forward.output": "mlp.c_proj",
}


def gpt2_config(values: Mapping[str, Any]) -> ModelConfig:
    """The configuration of a Decoder that computes what a Hugging Face GPT-2 does.

    Args:
        values: the contents of its ``config.json`` (``GPT2Config.to_dict()``). Dropout is left
            out: it belongs to training.

    Raises:
        UsageError: the model is no GPT-2, or has an option that changes its function and that a
            Decoder does not have.
    """
    kind = values.get("model_type")
    if kind != "gpt2":
        raise UsageError(f"model_type is {kind!r}; expected 'gpt2'")
    expected = {
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    }
    for name, value in expected.items():
        if values.get(name, value) != value:
            raise UsageError(f"{name} is {values[name]!r}; only {value!r} is understood")
    activation = values.get("activation_function", "gelu_new")
    if activation not in _ACTIVATIONS:
        known = ", ".join(sorted(_ACTIVATIONS))
        raise UsageError(f"activation_function is {activation!r}; expected one of {known}")
    width = values["n_embd"]
    return ModelConfig(
        vocabulary=values["vocab_size"],
        context=values["n_positions"],
        width=width,
        layers=values["n_layer"],
        mixers=("attention",),
        positions="learned",
        attention=AttentionConfig(heads=values["n_head"]),
        feed_forward=FeedForwardConfig(
            width=values.get("n_inner") or 4 * width, activation=_ACTIVATIONS[activation]
        ),
        tied=values.get("tie_word_embeddings", True),
        init="gpt2",
    )


def decoder_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A Decoder's ``state_dict`` from that of a ``GPT2LMHeadModel`` or a ``GPT2Model``.

    Raises:
        UsageError: a weight is missing, or one is left over.
    """
    source = {
        name.removeprefix("transformer."): tensor
        for name, tensor in weights.items()
        if not name.endswith((".attn.bias", ".attn.masked_bias"))  # masks, kept by old versions
    }
    taken = _Taker(source)
    target = {"embedding.weight": taken("wte.weight"), "positions.weight": taken("wpe.weight")}
    layer = 0
    while f"h.{layer}.ln_1.weight" in source:
        here, there = f"blocks.{layer}", f"h.{layer}"
        for name, other in _NORMS.items():
            for part in ("weight", "bias"):
                target[f"{here}.{name}.{part}"] = taken(f"{there}.{other}.{part}")
        for name, other in _MATRICES.items():
            target[f"{here}.{name}.weight"] = taken(f"{there}.{other}.weight").t().contiguous()
            target[f"{here}.{name}.bias"] = taken(f"{there}.{other}.bias")
        weight, bias = taken(f"{there}.attn.c_attn.weight").t(), taken(f"{there}.attn.c_attn.bias")
        width = weight.shape[1]
        for name, rows in (("query", slice(0, width)), ("key_value", slice(width, None))):
            target[f"{here}.mixer.{name}.weight"] = weight[rows].contiguous()
            target[f"{here}.mixer.{name}.bias"] = bias[rows].contiguous()
        layer += 1
    target["norm.weight"], target["norm.bias"] = taken("ln_f.weight"), taken("ln_f.bias")
    head = source.pop("lm_head.weight", None)
    if head is not None and not torch.equal(head, target["embedding.weight"]):
        target["output.weight"] = head
    if source:
        raise UsageError(f"weights that no GPT-2 has: {', '.join(sorted(source)[:5])}")
    return target


def gpt2_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ``GPT2LMHeadModel``'s ``state_dict`` from that of a Decoder; the inverse of the above.

    Raises:
        UsageError: a weight is missing, or one is left over.
    """
    source = dict(weights)
    taken = _Taker(source)
    embedding = taken("embedding.weight")
    target = {
        "transformer.wte.weight": embedding,
        "transformer.wpe.weight": taken("positions.weight"),
    }
    layer = 0
    while f"blocks.{layer}.mixer_norm.weight" in source:
        here, there = f"blocks.{layer}", f"transformer.h.{layer}"
        for name, other in _NORMS.items():
            for part in ("weight", "bias"):
                target[f"{there}.{other}.{part}"] = taken(f"{here}.{name}.{part}")
        for name, other in _MATRICES.items():
            target[f"{there}.{other}.weight"] = taken(f"{here}.{name}.weight").t().contiguous()
            target[f"{there}.{other}.bias"] = taken(f"{here}.{name}.bias")
        for part in ("weight", "bias"):
            pair = [taken(f"{here}.mixer.{name}.{part}") for name in ("query", "key_value")]
            merged = torch.cat(pair)
            target[f"{there}.attn.c_attn.{part}"] = (
                merged.t().contiguous() if part == "weight" else merged
            )
        layer += 1
    for part in ("weight", "bias"):
        target[f"transformer.ln_f.{part}"] = taken(f"norm.{part}")
    target["lm_head.weight"] = source.pop("output.weight", embedding)
    if source:
        raise UsageError(f"weights that GPT-2 has no place for: {', '.join(sorted(source)[:5])}")
    return target


class _Taker:
    """Takes tensors out of a mapping by name."""

    def __init__(self, source: dict[str, Tensor]) -> None:
        self.source = source

    def __call__(self, name: str) -> Tensor:
        if name not in self.source:
            raise UsageError(f"the weights have no {name}: this is no complete GPT-2")
        return self.source.pop(name)
