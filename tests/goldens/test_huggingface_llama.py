"""Our Decoder with the weights of Llama, Mistral, Qwen2 and Qwen3: the same logits and tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_models import (
    assert_equal_logits,
    assert_greedy_alike,
    assert_weights_return,
    opened,
    perturbed,
    saved,
)
from torch import Tensor, nn

from phalanx.config import RotaryScaling
from phalanx.interop.huggingface.families import read_config
from phalanx.interop.huggingface.options import Options
from phalanx.mixers.rotary import angles

transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
SHAPES: dict[str, tuple[str, dict[str, object]]] = {
    "one key head for all": ("Llama", {"num_key_value_heads": 1}),
    "one key head for two": ("Llama", {"num_key_value_heads": 2}),
    "a key head each": ("Llama", {"num_key_value_heads": 4}),
    "odd sizes": ("Llama", {"hidden_size": 30, "num_attention_heads": 3, "intermediate_size": 41}),
    "wide heads": ("Llama", {"head_dim": 14, "num_key_value_heads": 2}),
    "biases": ("Llama", {"attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-3}),
    "tied": ("Llama", {"tie_word_embeddings": True}),
    "base": ("Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}),
    "linear": (
        "Llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 3.0}},
    ),
    "llama3": ("Llama", {"rope_parameters": LLAMA3}),
    "mistral": ("Mistral", {"sliding_window": 5, "num_key_value_heads": 2}),
    "qwen2": ("Qwen2", {"num_key_value_heads": 2}),
    "qwen3": ("Qwen3", {"num_key_value_heads": 2, "head_dim": 14}),
    "qwen3, epsilon": ("Qwen3", {"num_key_value_heads": 4, "head_dim": 6, "rms_norm_eps": 1e-3}),
}


def theirs(family: str = "Llama", **changes: object) -> Any:
    sizes = {
        "vocab_size": 101,
        "max_position_embeddings": 64,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": None,
        "intermediate_size": 48,
        "pad_token_id": None,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    config = getattr(transformers, f"{family}Config")(**(sizes | changes))
    return perturbed(getattr(transformers, f"{family}ForCausalLM")(config))


@pytest.mark.parametrize(("family", "changes"), SHAPES.values(), ids=SHAPES)
def test_logits_and_weights_both_ways(
    family: str, changes: dict[str, object], tmp_path: Path
) -> None:
    model = theirs(family, **changes)
    ours = opened(saved(model, tmp_path / "theirs"))
    assert ours.task == "language_modelling"
    assert_equal_logits(model, ours, torch.float32)
    assert_weights_return(model, ours, tmp_path / "back")


class ExactRotary(nn.Module):
    """What LlamaRotaryEmbedding computes, in the precision of its input."""

    def __init__(self, head_width: int, base: float) -> None:
        super().__init__()
        self.head_width, self.base = head_width, base

    def forward(self, x_BTD: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        pairs_K = torch.arange(0, self.head_width, 2, dtype=x_BTD.dtype)
        angles_BTK = position_ids[..., None] * self.base ** (-pairs_K / self.head_width)
        both_BTK = torch.cat([angles_BTK, angles_BTK], -1)
        return both_BTK.cos(), both_BTK.sin()


@pytest.mark.parametrize("family", ["Llama", "Mistral", "Qwen2", "Qwen3"])
def test_logits_in_double_precision(family: str, tmp_path: Path) -> None:
    """transformers rounds norms and angles to fp32 in every precision; without that, to 1e-12."""
    own = {"Llama": {"head_dim": 6}, "Mistral": {"sliding_window": 5}, "Qwen3": {"head_dim": 6}}
    model = theirs(family, num_key_value_heads=2, **own.get(family, {}))
    ours = opened(saved(model, tmp_path / "theirs"))
    model.double()
    model.model.rotary_emb = ExactRotary(6, 10_000.0)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__.endswith("RMSNorm"):
                exact = nn.RMSNorm(child.weight.shape, eps=child.variance_epsilon)
                exact.weight = child.weight
                setattr(parent, name, exact)
    assert_equal_logits(model, ours, torch.float64, exact=1e-12)


@pytest.mark.parametrize("family", ["Llama", "Mistral", "Qwen3"])
def test_greedy_tokens(family: str, tmp_path: Path) -> None:
    window = {"sliding_window": 5} if family == "Mistral" else {}
    model = theirs(family, num_key_value_heads=2, head_dim=14, **window)
    assert_greedy_alike(model, opened(saved(model, tmp_path / "theirs")), new=24)


def test_configurations_of_before_transformers_5(tmp_path: Path) -> None:
    """``rope_theta`` and ``rope_scaling``, with ``type``, say the same as ``rope_parameters``."""
    model = theirs(rope_parameters=LLAMA3)
    wanted = opened(saved(model, tmp_path / "theirs")).model.config
    assert wanted.attention.rotary_base == 500_000.0
    assert wanted.attention.rotary_scaling == RotaryScaling(
        kind="llama3",
        factor=8.0,
        low_frequency_factor=1.0,
        high_frequency_factor=4.0,
        original_context=8,
    )
    values = model.config.to_dict()
    scaling = {"type": "llama3"} | {k: v for k, v in LLAMA3.items() if not k.startswith("rope_")}
    del values["rope_parameters"]
    values |= {"rope_theta": 500_000.0, "rope_scaling": scaling}
    assert read_config(Options(values, "config.json"))[2] == wanted


@pytest.mark.parametrize("scaling", [None, "linear", "llama3"])
def test_angles_are_llamas_to_the_last_bit(scaling: str | None) -> None:
    """At position 100,000 the last bit of a frequency is seen in the angle."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    parameters: dict[str, object] = {"rope_type": "default", "rope_theta": 500_000.0}
    ours = None
    if scaling == "linear":
        parameters |= {"rope_type": "linear", "factor": 3.0}
        ours = RotaryScaling(kind="linear", factor=3.0)
    if scaling == "llama3":
        parameters = LLAMA3 | {"factor": 32.0, "original_max_position_embeddings": 8192}
        ours = RotaryScaling(
            kind="llama3", factor=32.0, high_frequency_factor=4.0, original_context=8192
        )
    config = transformers.LlamaConfig(
        hidden_size=256,
        num_attention_heads=2,
        max_position_embeddings=131_072,
        rope_parameters=parameters,
    )
    positions_BT = torch.tensor([[0, 1, 17, 8191, 100_000, 131_071]])
    like = torch.zeros(1)
    wanted = LlamaRotaryEmbedding(config)(like, positions_BT)
    found = angles(positions_BT, 128, like, 500_000.0, ours)
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one[:, 0], other[..., :64])
