"""Generating with others' language models: what stands before a text, and what ends it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from phalanx.data.tokenizers import load_tokenizer, train_tokenizer
from phalanx.inference import Writer
from phalanx.interop.huggingface import Opened, export_huggingface, open_huggingface
from phalanx.models import Decoder

transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)

BEGIN, TURN = "<|begin_of_text|>", "<|eot_id|>"
PROMPTS = ("To be", "or not", "")
PADDING = 30  # ids of the model that its tokenizer does not have


def saved(path: Path) -> Any:
    """A random Llama with a tokenizer such as Llama 3's, which puts a token before every text."""
    tokenizer = train_tokenizer("bpe", ["to be or not to be, that is the question"] * 3, 270)
    spec = json.loads(tokenizer.library.to_str())
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    begin = tokenizer.vocabulary
    for place, name in enumerate((BEGIN, TURN)):
        spec["added_tokens"].append(
            {"id": begin + place, "content": name, **plain, "special": True}
        )
    text = {"Sequence": {"id": "A", "type_id": 0}}
    spec["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, text],
        "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {BEGIN: {"id": BEGIN, "ids": [begin], "tokens": [BEGIN]}},
    }
    path.mkdir()
    (path / "tokenizer.json").write_text(json.dumps(spec))
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"})
    )
    config = transformers.LlamaConfig(
        vocab_size=begin + 2 + PADDING,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        bos_token_id=begin,
        eos_token_id=[tokenizer.end_id, begin + 1],
    )
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(path)
    return model


def opened(path: Path) -> tuple[Opened, Decoder]:
    found = open_huggingface(path, torch.device("cpu"))
    assert isinstance(found.model, Decoder)
    return found, found.model


def test_texts_are_those_of_transformers(tmp_path: Path) -> None:
    theirs = saved(tmp_path / "there")
    ours, model = opened(tmp_path / "there")
    end, begin = ours.tokenizer.end_id, ours.tokenizer.special_ids["begin"]
    assert (ours.begin_ids, ours.end_ids) == ((begin,), (end, begin + 1))
    reader = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    writer = Writer(
        model, ours.tokenizer, max_new_tokens=12, begin_ids=ours.begin_ids, end_ids=ours.end_ids
    )
    known = torch.arange(theirs.config.vocab_size) < ours.tokenizer.vocabulary
    for prompt, written in zip(PROMPTS, writer.write(PROMPTS), strict=True):
        read = reader(prompt, return_tensors="pt")
        assert read["input_ids"][0].tolist() == writer.ids(prompt)
        wanted = theirs.generate(
            read["input_ids"],
            attention_mask=read["attention_mask"],
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=end,
            suppress_tokens=(~known).nonzero()[:, 0].tolist(),
        )[0, read["input_ids"].shape[1] :]
        assert list(written.tokens) == wanted.tolist()


def test_a_text_ends_with_any_token_that_ends_it(tmp_path: Path) -> None:
    saved(tmp_path / "there")
    ours, model = opened(tmp_path / "there")
    begin = ours.begin_ids[0]

    def written(*ends: int) -> Any:
        writer = Writer(model, ours.tokenizer, max_new_tokens=9, begin_ids=(begin,), end_ids=ends)
        return next(iter(writer.write(["To be"])))

    whole = written()
    assert whole.ended == "length"
    third = whole.tokens[2]
    short = written(third)
    assert short.ended == "end"
    assert short.tokens == whole.tokens[: whole.tokens.index(third) + 1]


def test_ids_that_are_no_text_are_never_written(tmp_path: Path) -> None:
    saved(tmp_path / "there")
    ours, model = opened(tmp_path / "there")
    with torch.no_grad():
        assert model.output is not None
        model.output.weight[-PADDING:] *= 100.0
    best = int(model(torch.tensor([[5]]))[0, -1].argmax())
    other = int(model(torch.tensor([[7]]))[0, -1].argmax())
    assert max(best, other) >= ours.tokenizer.vocabulary  # the model would
    writer = Writer(model, ours.tokenizer, max_new_tokens=9)
    assert all(token < ours.tokenizer.vocabulary for token in next(writer.write(["a"])).tokens)


def test_what_stands_before_a_text_is_written_too(tmp_path: Path) -> None:
    """Opened and exported again: the tokenizer of transformers still begins with the token."""
    theirs = saved(tmp_path / "there")
    ours, model = opened(tmp_path / "there")
    for name, begins in (("kept", ours.begin_ids), ("none", ())):
        path = tmp_path / name
        export_huggingface(path, model, ours.tokenizer, ours.task, begin_ids=begins)
        reader = transformers.AutoTokenizer.from_pretrained(path)
        assert reader("To be")["input_ids"] == [*begins, *ours.tokenizer.encode("To be")]
        assert reader.eos_token == "<|end|>"
        assert reader.bos_token == BEGIN
        again = load_tokenizer(path)
        assert again.encode("To be") == ours.tokenizer.encode("To be")
    assert theirs.config.vocab_size == model.config.vocabulary
