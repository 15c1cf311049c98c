"""Our Encoder with the weights of Hugging Face's BERT and its heads: the same answers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_models import (
    assert_equal_logits,
    assert_weights_return,
    opened,
    perturbed,
    saved,
)
from safetensors.torch import load_file, save_file

from phalanx.interop.huggingface import initial_weights
from phalanx.models import Classifier

transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)

HEADS = {
    "BertModel": "embedding",
    "BertForMaskedLM": "masked_lm",
    "BertForSequenceClassification": "classification",
    "BertForTokenClassification": "tagging",
}
SHAPES: dict[str, dict[str, object]] = {
    "usual": {},
    "one head, one layer": {
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "hidden_size": 7,
        "type_vocab_size": 1,
    },
    "odd sizes": {"num_attention_heads": 3, "hidden_size": 33, "intermediate_size": 41},
    "epsilon": {"layer_norm_eps": 1e-3, "type_vocab_size": 3},
}
LABELS = {"id2label": {0: "O", 1: "B-place", 2: "I-place"}}


def theirs(head: str = "BertModel", **changes: object) -> Any:
    sizes = {
        "vocab_size": 101,
        "max_position_embeddings": 32,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        **(LABELS if HEADS[head] in ("classification", "tagging") else {}),
    }
    return perturbed(getattr(transformers, head)(transformers.BertConfig(**(sizes | changes))))


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("head", HEADS)
def test_answers_and_weights_both_ways(
    head: str, changes: dict[str, object], tmp_path: Path
) -> None:
    model = theirs(head, **changes)
    ours = opened(saved(model, tmp_path / "theirs"))
    assert ours.task == HEADS[head]
    assert_equal_logits(model, ours, torch.float64, exact=1e-12)
    assert_equal_logits(model, ours, torch.float32)
    assert_weights_return(model, ours, tmp_path / "back")


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_activations(activation: str, tmp_path: Path) -> None:
    model = theirs("BertForTokenClassification", hidden_act=activation)
    ours = opened(saved(model, tmp_path / "theirs"))
    assert_equal_logits(model, ours, torch.float64, exact=1e-12)
    assert_weights_return(model, ours, tmp_path / "back")


def test_labels_and_scheme(tmp_path: Path) -> None:
    tagger = opened(saved(theirs("BertForTokenClassification"), tmp_path / "tagger"))
    assert tagger.labels == ("O", "B-place", "I-place")
    assert tagger.scheme == "bio"
    classifier = opened(saved(theirs("BertForSequenceClassification"), tmp_path / "classifier"))
    assert classifier.labels == tagger.labels
    assert isinstance(classifier.model, Classifier)
    assert classifier.scheme is None


def test_a_head_for_masked_tokens_of_its_own_weights(tmp_path: Path) -> None:
    model = theirs("BertForMaskedLM", tie_word_embeddings=False)
    ours = opened(saved(model, tmp_path / "theirs"))
    assert ours.model.output is not None
    assert_equal_logits(model, ours, torch.float64, exact=1e-12)


def test_both_heads_of_pre_training(tmp_path: Path) -> None:
    """As Google's files have them; the head for next sentences is not used."""
    config = theirs().config
    model = perturbed(transformers.BertForPreTraining(config))
    ours = opened(saved(model, tmp_path / "theirs"))
    assert any("next sentences" in note for note in ours.notes)
    ids_BT = torch.randint(101, (2, 9))
    with torch.no_grad():
        wanted = model.double()(ids_BT).prediction_logits
        found = ours.model.double()(ids_BT)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_old_names_of_norms(tmp_path: Path) -> None:
    model = theirs()
    path = saved(model, tmp_path / "theirs")
    weights = load_file(path / "model.safetensors")
    old = {
        f"bert.{name}".replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): t
        for name, t in weights.items()
    }
    assert old.keys() != weights.keys()
    save_file(old, path / "model.safetensors")
    assert_equal_logits(model, opened(path), torch.float64, exact=1e-12)


def test_weights_for_another_head(tmp_path: Path) -> None:
    """What fine-tuning starts from: the encoder, and the pooler where there is one."""
    model = theirs()
    found = initial_weights(saved(model, tmp_path / "theirs"))
    assert torch.equal(found["transform.dense.weight"], model.pooler.dense.weight)
    assert torch.equal(found["transform.dense.bias"], model.pooler.dense.bias)
    assert torch.equal(found["embedding.weight"], model.embeddings.word_embeddings.weight)
    ours = opened(tmp_path / "theirs")
    assert found.keys() - ours.model.state_dict() == {
        "transform.dense.weight",
        "transform.dense.bias",
    }
