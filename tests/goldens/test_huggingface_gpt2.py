"""Our Decoder with the weights of Hugging Face's GPT-2: the same logits and the same tokens."""

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

from phalanx.interop.huggingface.families import read_config
from phalanx.interop.huggingface.gpt2 import GPT2
from phalanx.interop.huggingface.moves import moves_of
from phalanx.interop.huggingface.options import Options
from phalanx.models import build, count, preset

transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)

VOCABULARY = 101


def theirs(**changes: object) -> Any:
    sizes = {"vocab_size": VOCABULARY, "n_positions": 32, "n_embd": 24, "n_layer": 3, "n_head": 4}
    config = transformers.GPT2Config(**(sizes | {"bos_token_id": 0, "eos_token_id": 0} | changes))
    return perturbed(transformers.GPT2LMHeadModel(config))


SHAPES = {
    "usual": {},
    "one head, one layer": {"n_head": 1, "n_layer": 1, "n_embd": 7},
    "odd sizes": {"n_head": 3, "n_embd": 33, "n_inner": 41},
    "relu": {"activation_function": "relu"},
    "gelu, epsilon": {"activation_function": "gelu", "layer_norm_epsilon": 1e-3},
    "squared relu": {"activation_function": "relu2"},
    "own output": {"tie_word_embeddings": False},
}


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
def test_logits_and_weights_both_ways(changes: dict[str, object], tmp_path: Path) -> None:
    model = theirs(**changes)
    ours = opened(saved(model, tmp_path / "theirs"))
    assert ours.task == "language_modelling"
    assert_equal_logits(model, ours, torch.float64, exact=1e-12)
    assert_equal_logits(model, ours, torch.float32)
    assert_weights_return(model, ours, tmp_path / "back")


def test_greedy_tokens(tmp_path: Path) -> None:
    model = theirs()
    assert_greedy_alike(model, opened(saved(model, tmp_path / "theirs")))


def test_a_model_without_its_head(tmp_path: Path) -> None:
    model = theirs()
    ours = opened(saved(model.transformer, tmp_path / "base"))
    assert_equal_logits(model, ours, torch.float64, exact=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_widened(dtype: torch.dtype, tmp_path: Path) -> None:
    model = theirs().to(dtype)
    ours = opened(saved(model, tmp_path / "theirs"))
    assert ours.model.embedding.weight.dtype == torch.float32
    assert any("float32" in note for note in ours.notes)
    assert_equal_logits(model.float(), ours, torch.float64, exact=1e-12)


def test_weights_in_several_files(tmp_path: Path) -> None:
    model = theirs()
    path = saved(model, tmp_path / "theirs", max_shard_size="10KB")
    assert len(list(path.glob("*.safetensors"))) > 2
    assert_equal_logits(model, opened(path), torch.float64, exact=1e-12)


def test_the_124m_model() -> None:
    config = preset("gpt2", 50257, 1024)
    assert count(config)[0] == 124_439_808
    named = transformers.GPT2Config(architectures=["GPT2LMHeadModel"]).to_dict()
    assert read_config(Options(named, "config.json"))[2] == config
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config())
        shapes = {name: tuple(t.shape) for name, t in build(config).state_dict().items()}
    assert sum(parameter.numel() for parameter in model.parameters()) == 124_439_808
    found: dict[str, tuple[int, ...]] = {}
    for move in moves_of(GPT2.layout(config).table, shapes, config.layers):
        found |= {f"transformer.{k}": shape for k, shape in move.their_shapes(shapes).items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert wanted.pop("lm_head.weight") == found["transformer.wte.weight"]
    assert found == wanted
