"""Hugging Face directories that are wrong somehow: each is refused in words, before it is used."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from phalanx.config import ModelConfig
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError
from phalanx.interop.huggingface import export_huggingface, is_huggingface, open_huggingface
from phalanx.interop.huggingface.labels import scheme_of
from phalanx.models import build, preset

TEXT = "To be, or not to be"
TAGS = ("O", "B-place", "I-place")
LLAMA: dict[str, Any] = {
    "attention": {"heads": 2, "key_value_heads": 1, "query_key_norm": False, "bias": False},
    "feed_forward": {"width": 40, "activation": "swiglu", "bias": False},
}
TAGGER: dict[str, Any] = {
    "kind": "encoder",
    "context": 32,
    "width": 8,
    "layers": 1,
    "mixers": ("attention",),
    "block": "post",
    "final_norm": False,
    "embedding_norm": True,
    "token_types": 2,
    "positions": "learned",
    "attention": {"heads": 2},
    "feed_forward": {"width": 16, "activation": "gelu"},
    "output_bias": True,
    "tied": False,
    "outputs": 3,
}


def directory(path: Path, kind: str = "decoder") -> Path:
    """A whole directory of a small Llama, or of a BERT that tags."""
    tokenizer = train_tokenizer("characters", [TEXT])
    if kind == "decoder":
        config = preset("transformer", tokenizer.vocabulary, 32, width=16, layers=2, **LLAMA)
        export_huggingface(path, build(config, 0), tokenizer, "language_modelling")
    else:
        config = ModelConfig(vocabulary=tokenizer.vocabulary, **TAGGER)
        export_huggingface(path, build(config, 0), tokenizer, "tagging", TAGS)
    return path


def changed(path: Path, **values: object) -> None:
    file = path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as error:
        open_huggingface(path, torch.device("cpu"))
    return str(error.value)


def rewritten(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = path / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


def test_whole_directories_open(tmp_path: Path) -> None:
    decoder, tagger = directory(tmp_path / "a"), directory(tmp_path / "b", "encoder")
    assert open_huggingface(decoder, torch.device("cpu")).task == "language_modelling"
    assert open_huggingface(tagger, torch.device("cpu")).labels == TAGS


def test_what_is_one_of_theirs(tmp_path: Path) -> None:
    assert is_huggingface(directory(tmp_path / "there"))
    assert not is_huggingface(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 1, "model_type": "gpt2"}')
    assert not is_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        is_huggingface(tmp_path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "t5"}, "'t5', which phalanx does not know. Expected one of bert"),
        ({"model_type": "roberta"}, "positions from 2"),
        ({"model_type": None}, "model_type is 'None'"),
        ({"model_type": ["llama"]}, "does not know"),
        ({"auto_map": {"AutoModel": "code.Model"}}, "never runs"),
        ({"quantization_config": {"bits": 4}}, "quantized"),
        ({"architectures": None}, "LlamaForCausalLM"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "LlamaForCausalLM"),
        ({"hidden_act": "gelu"}, 'hidden_act is "gelu". Expected "silu"'),
        ({"hidden_size": "16"}, 'hidden_size is "16". Expected a whole number'),
        ({"hidden_size": -16}, "Expected a whole number from 1"),
        ({"hidden_size": True}, "Expected a whole number"),
        ({"hidden_size": 10**30}, "Expected a whole number"),
        ({"hidden_size": 17}, "embed_tokens.weight is F32 of shape [11, 16]"),
        ({"hidden_size": 17, "head_dim": None}, "multiple of heads"),
        ({"num_hidden_layers": 9999}, "9999 layers, and the weights"),
        ({"num_hidden_layers": 3}, "they lack layers.2"),
        ({"num_hidden_layers": 1}, "they have layers.1"),
        ({"vocab_size": 4}, "the tokenizer has 11 tokens and the model 4"),
        ({"rms_norm_eps": 0}, "rms_norm_eps is 0. Expected a number above 0"),
        ({"tie_word_embeddings": "no"}, "true or false"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "one of default, linear, llama3"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor is missing"),
        ({"rope_scaling": 3}, "an object"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        ({"layer_types": ["sliding_attention"] * 2}, "full_attention in every layer"),
        ({"eos_token_id": "</s>"}, "a token's id"),
    ],
    ids=str,
)
def test_configurations_of_other_models(
    values: dict[str, object], words: str, tmp_path: Path
) -> None:
    path = directory(tmp_path / "there")
    (path / "generation_config.json").unlink()
    changed(path, **values)
    said = refused(path)
    assert words in said
    assert str(path) in said


def test_a_configuration_that_is_cut_short_or_too_large(tmp_path: Path) -> None:
    path = directory(tmp_path / "there")
    file = path / "config.json"
    whole = file.read_text()
    file.write_text(whole[:50])
    assert "not JSON" in refused(path)
    file.write_text("[" * 100_000)
    assert "not JSON" in refused(path)
    file.write_text("[]")
    assert "an object" in refused(path)
    file.write_text(whole + " " * 2**20)
    assert "more than 1 MiB" in refused(path)
    file.write_bytes(b"\xff\xfe")
    assert "not JSON" in refused(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"id2label": {"0": "O", "2": "B-place", "1": "O"}}, "all different"),
        ({"id2label": {"0": "O", "7": "B-place"}}, "the numbers from 0"),
        ({"id2label": {"0": "only"}}, "two or more"),
        ({"id2label": ["O", "B-place", "I-place"]}, "an object"),
        ({"id2label": {"0": "O", "1": "B-place"}}, "classifier.bias is F32 of shape [3]"),
        ({"id2label": None, "num_labels": 10**9}, "from 1 to 100,000"),
        ({"problem_type": "multi_label_classification"}, "one label for each input"),
        ({"position_embedding_type": "relative_key"}, 'Expected "absolute"'),
        ({"is_decoder": True}, "Expected false"),
        ({"hidden_act": "tanh"}, "hidden_act"),
        ({"architectures": ["BertForQuestionAnswering"]}, "BertForTokenClassification"),
    ],
    ids=str,
)
def test_labels_and_heads(values: dict[str, object], words: str, tmp_path: Path) -> None:
    path = directory(tmp_path / "there", "encoder")
    changed(path, **values)
    assert words in refused(path)


def test_outputs_without_names(tmp_path: Path) -> None:
    path = directory(tmp_path / "there", "encoder")
    changed(path, id2label=None, num_labels=3)
    opened = open_huggingface(path, torch.device("cpu"))
    assert opened.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert opened.scheme == "none"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("model.norm.weight"), "they lack norm.weight"),
        (lambda w: w.update(extra=torch.zeros(1)), "they have extra besides"),
        (
            lambda w: w.update({"model.norm.weight": torch.ones(15)}),
            "model.norm.weight is F32 of shape [15]. Expected F32, F16, BF16 of shape [16]",
        ),
        (
            lambda w: w.update({"model.norm.weight": torch.ones(16, dtype=torch.int64)}),
            "model.norm.weight is I64",
        ),
        (lambda w: w.update({"norm.weight": torch.ones(16)}), "once more"),
    ],
    ids=["missing", "extra", "shape", "dtype", "twice"],
)
def test_weights_of_another_model(
    change: Callable[[dict[str, torch.Tensor]], object], words: str, tmp_path: Path
) -> None:
    path = directory(tmp_path / "there")
    rewritten(path, change)
    assert words in refused(path)


def test_weights_that_are_said_to_be_one_and_differ(tmp_path: Path) -> None:
    path = directory(tmp_path / "there")
    changed(path, tie_word_embeddings=True)
    assert "lm_head.weight differs from embed_tokens.weight" in refused(path)
    rewritten(path, lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"].clone()}))
    assert open_huggingface(path, torch.device("cpu")).model.config.tied


def test_files_that_are_damaged(tmp_path: Path) -> None:
    path = directory(tmp_path / "there")
    file = path / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    assert "not a whole safetensors file" in refused(path)
    file.write_bytes(whole[:5])
    assert "not a whole safetensors file" in refused(path)
    file.write_bytes(struct.pack("<Q", 2**60) + whole[8:])
    assert "not a whole safetensors file" in refused(path)
    file.unlink()
    assert "no model.safetensors" in refused(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "pytorch_model-00001.bin"])
def test_a_pickle_is_refused_with_a_way_to_convert_it(name: str, tmp_path: Path) -> None:
    path = directory(tmp_path / "there")
    (path / "model.safetensors").rename(path / name)
    said = refused(path)
    assert f"a pickle, {name}" in said
    assert "LlamaForCausalLM as M" in said
    assert "save_pretrained" in said


def sharded(path: Path) -> dict[str, str]:
    """The weights in two files with an index; returns which tensor is where."""
    weights = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    places = {name: f"model-0000{1 + n % 2}-of-00002.safetensors" for n, name in enumerate(weights)}
    for file in sorted(set(places.values())):
        save_file({n: t for n, t in weights.items() if places[n] == file}, path / file)
    indexed(path, places)
    return places


def indexed(path: Path, weight_map: object) -> None:
    file = path / "model.safetensors.index.json"
    file.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_an_index(tmp_path: Path) -> None:
    path = directory(tmp_path / "there")
    places = sharded(path)
    open_huggingface(path, torch.device("cpu"))
    first = next(iter(places))
    elsewhere = ("../" + places[first], "/etc/passwd", "..", "sub\\x.safetensors", "model.bin")
    for given in elsewhere:
        indexed(path, {**places, first: given})
        assert "is no file of this directory" in refused(path)
    indexed(path, {**places, first: "model-00003-of-00003.safetensors"})
    assert "cannot read" in refused(path) or "lists other tensors" in refused(path)
    indexed(path, {name: place for name, place in places.items() if name != first})
    assert "lists other tensors" in refused(path)
    for wrong in ([], 3, {}, None):
        indexed(path, wrong)
        assert "model.safetensors.index.json" in refused(path)


def test_a_vocabulary_that_is_padded(tmp_path: Path) -> None:
    """Models have more tokens than their tokenizers: a row of 64 fits the hardware better."""
    path = directory(tmp_path / "there")
    tokenizer = train_tokenizer("characters", [TEXT[:5]])
    tokenizer.save(path)
    opened = open_huggingface(path, torch.device("cpu"))
    assert opened.tokenizer.vocabulary < opened.model.config.vocabulary
    assert any("stand for no text" in note for note in opened.notes)


def test_tokens_that_no_text_reaches_may_lie_beyond_the_model(tmp_path: Path) -> None:
    """A token for padding is often added to a tokenizer alone."""
    path = directory(tmp_path / "there")
    file = path / "tokenizer.json"
    spec = json.loads(file.read_text())
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    spec["added_tokens"].append({"id": 11, "content": "<pad>", **plain, "special": True})
    file.write_text(json.dumps(spec))
    opened = open_huggingface(path, torch.device("cpu"))
    assert opened.tokenizer.vocabulary == opened.model.config.vocabulary + 1


def test_no_tokenizer(tmp_path: Path) -> None:
    path = directory(tmp_path / "there")
    (path / "tokenizer.json").unlink()
    assert "No tokenizer" in refused(path)


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        ("O B-a I-a B-b I-b", "bio"),
        ("O B-a B-b", "bio"),
        ("O I-a I-b", "iob1"),
        ("O B-a I-a E-a S-a", "iobes"),
        ("O B-a M-a E-a S-a", "bmes"),
        ("B M E S", "bmes"),
        ("O B-a I-a L-a U-a", "bilou"),
        ("NOUN VERB ADJ", "none"),
        ("LABEL_0 LABEL_1", "none"),
        ("O X-a", "none"),
    ],
)
def test_the_scheme_of_labels(labels: str, scheme: str) -> None:
    assert scheme_of(tuple(labels.split())) == scheme
