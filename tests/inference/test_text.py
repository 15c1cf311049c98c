"""Text in, text out, as it comes and in whole characters."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import UsageError
from phalanx.inference import Sampler, generate_text
from phalanx.inference.text import DEFAULT_NEW_TOKENS, prompt_ids, room
from phalanx.models import Decoder, build, preset


@dataclass(frozen=True)
class Dictated:
    """Chooses given tokens, whatever the model says; ``start`` is the first one's position."""

    tokens: tuple[int, ...]
    start: int

    def choose(self, logits_BV: Tensor, keys_B: Tensor, positions_B: Tensor) -> Tensor:
        return torch.tensor(self.tokens)[positions_B - self.start]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer("bytes", [])


def model_of(name: str, tokenizer: Tokenizer, context: int = 64) -> Decoder:
    model = build(preset(name, tokenizer.vocabulary, context, width=32), seed=1)
    assert isinstance(model, Decoder)
    return model


def test_a_stream_never_splits_a_character(tokenizer: Tokenizer) -> None:
    text = "aé漢🙂z"
    ids = tuple(tokenizer.encode(text))
    pieces: list[str] = []
    new = generate_text(
        model_of("rnn", tokenizer),
        tokenizer,
        ["."],
        max_new_tokens=len(ids),
        sampler=Dictated(ids, 1),
        on_text=lambda row, piece: pieces.append(piece),
    )
    assert pieces == list(text)
    assert new == [text]


def test_a_character_cut_short_is_marked(tokenizer: Tokenizer) -> None:
    ids = tuple(tokenizer.encode("a漢")[:-1])
    new = generate_text(
        model_of("rnn", tokenizer),
        tokenizer,
        ["."],
        max_new_tokens=len(ids),
        sampler=Dictated(ids, 1),
    )
    assert new == ["a�"]


def test_text_ends_with_the_document(tokenizer: Tokenizer) -> None:
    ids = (*tokenizer.encode("ab"), tokenizer.end_id, *tokenizer.encode("cd"))
    new = generate_text(
        model_of("gru", tokenizer),
        tokenizer,
        ["."],
        max_new_tokens=5,
        sampler=Dictated(ids, 1),
    )
    assert new == ["ab"]


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_texts_of_a_batch_are_those_of_each_alone(name: str, tokenizer: Tokenizer) -> None:
    model, prompts = model_of(name, tokenizer), ["", "Hello", "漢字 and more"]
    together: list[list[str]] = [[], [], []]
    texts = generate_text(
        model,
        tokenizer,
        prompts,
        max_new_tokens=30,
        sampler=Sampler(),
        seed=3,
        on_text=lambda row, piece: together[row].append(piece),
    )
    assert ["".join(pieces) for pieces in together] == texts
    for prompt, text in zip(prompts, texts, strict=True):
        alone = generate_text(
            model, tokenizer, [prompt], max_new_tokens=30, sampler=Sampler(), seed=3
        )
        assert alone == [text]


def test_an_empty_prompt_begins_a_document(tokenizer: Tokenizer) -> None:
    assert prompt_ids(tokenizer, "") == [tokenizer.end_id]
    assert prompt_ids(tokenizer, "<|end|>") == list(b"<|end|>")


def test_without_a_number_the_text_fills_the_context(tokenizer: Tokenizer) -> None:
    limited, endless = model_of("transformer", tokenizer, 12), model_of("rnn", tokenizer, 12)
    prompt = prompt_ids(tokenizer, "12345")
    assert room(limited, prompt) == 8
    assert room(endless, prompt) == DEFAULT_NEW_TOKENS
    scripted = Dictated(tuple(tokenizer.encode("x" * 300)), 5)
    assert generate_text(limited, tokenizer, ["12345"], sampler=scripted) == ["x" * 8]
    assert generate_text(endless, tokenizer, ["12345"], sampler=scripted) == ["x" * 256]


def test_a_prompt_longer_than_the_context_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="Shorten the prompt"):
        generate_text(model_of("transformer", tokenizer, 12), tokenizer, ["x" * 13])


def test_the_unknown_character_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = train_tokenizer("characters", ["abc"])
    assert tokenizer.unknown_id is not None
    scores = torch.zeros(1, tokenizer.vocabulary)
    scores[0, tokenizer.unknown_id] = 9.0
    scores[0, tokenizer.encode("b")] = 1.0
    model = model_of("rnn", tokenizer)
    monkeypatch.setattr(model, "head", lambda y: scores)
    assert generate_text(model, tokenizer, ["a"], max_new_tokens=3) == ["bbb"]
    [drawn] = generate_text(model, tokenizer, ["a"], max_new_tokens=50, sampler=Sampler())
    assert "\ufffd" not in drawn
