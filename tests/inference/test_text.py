"""Text in, text out, as it comes and in whole characters."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import UsageError
from phalanx.inference import Sampler, Writer, Written, generate_text
from phalanx.inference.generate import DEFAULT_NEW_TOKENS
from phalanx.inference.text import prompt_ids
from phalanx.models import Decoder, build, preset


@dataclass(frozen=True)
class Dictated:
    """Chooses given tokens, whatever the model says; ``start`` is the first one's position."""

    tokens: tuple[int, ...]
    start: int
    wants_seen: bool = False

    def choose(
        self, logits_BV: Tensor, keys_B: Tensor, positions_B: Tensor, seen_BV: Tensor | None
    ) -> Tensor:
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
    writer = Writer(model_of("rnn", tokenizer), tokenizer, Dictated(ids, 1), 0, len(ids))
    [new] = writer.write(["."], on_text=lambda prompt, sample, piece: pieces.append(piece))
    assert pieces == list(text)
    assert new.text == text
    assert new.tokens == ids


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
    pieces: list[list[str]] = [[], [], []]
    writer = Writer(model, tokenizer, Sampler(), 3, 30)
    together = [
        written.text
        for written in writer.write(
            prompts, on_text=lambda prompt, sample, piece: pieces[prompt].append(piece)
        )
    ]
    assert ["".join(parts) for parts in pieces] == together
    for prompt, text in zip(prompts, together, strict=True):
        alone = generate_text(
            model, tokenizer, [prompt], max_new_tokens=30, sampler=Sampler(), seed=3
        )
        assert alone == [text]


def test_an_empty_prompt_begins_a_document(tokenizer: Tokenizer) -> None:
    assert prompt_ids(tokenizer, "") == [tokenizer.end_id]
    assert prompt_ids(tokenizer, "<|end|>") == list(b"<|end|>")


def test_without_a_number_each_text_fills_the_context(tokenizer: Tokenizer) -> None:
    limited, endless = model_of("transformer", tokenizer, 12), model_of("rnn", tokenizer, 12)
    scripted = Dictated(tuple(b"x" * 300), 0)
    # What a prompt leaves does not depend on the other prompts.
    new = generate_text(limited, tokenizer, ["12345", "123456789"], sampler=scripted)
    assert new == ["x" * 8, "x" * 4]
    assert generate_text(endless, tokenizer, ["12345"], sampler=scripted) == [
        "x" * DEFAULT_NEW_TOKENS
    ]


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


def dictated(tokenizer: Tokenizer, content: bytes, *stop: str) -> tuple[Written, str]:
    """What a writer makes of given bytes, one a token, and what it lets through meanwhile."""
    pieces: list[str] = []
    chooser = Dictated((*content, *b"......"), 1)
    writer = Writer(model_of("rnn", tokenizer), tokenizer, chooser, 0, len(content), stop)
    [written] = writer.write(["."], on_text=lambda prompt, sample, piece: pieces.append(piece))
    return written, "".join(pieces)


@pytest.mark.parametrize(
    ("content", "stop", "text", "used", "ended"),
    [
        ("one\n\ntwo", ["\n\n"], "one", 5, "stop"),
        ("one\ntwo", ["\n\n"], "one\ntwo", 7, "length"),
        ("ends with a beginn", ["beginning"], "ends with a beginn", 18, "length"),
        ("é漢字é", ["漢字"], "é", 8, "stop"),
        ("é漢é", ["漢字", "é!"], "é漢é", 7, "length"),
        ("STOP", ["STOP"], "", 4, "stop"),
    ],
)
def test_a_text_ends_before_a_stop_string(
    tokenizer: Tokenizer, content: str, stop: list[str], text: str, used: int, ended: str
) -> None:
    written, shown = dictated(tokenizer, content.encode(), *stop)
    assert shown == written.text == text
    assert (len(written.tokens), written.ended) == (used, ended)


def test_the_end_of_a_document_lets_out_what_was_held_back(tokenizer: Tokenizer) -> None:
    ids = (*tokenizer.encode("ab"), tokenizer.end_id, 1)
    writer = Writer(model_of("gru", tokenizer), tokenizer, Dictated(ids, 1), 0, 4, ("abc",))
    [written] = writer.write(["."])
    assert (written.text, written.tokens, written.ended) == ("ab", ids[:3], "end")


def test_stop_strings_in_the_prompt_do_not_count(tokenizer: Tokenizer) -> None:
    model = model_of("rnn", tokenizer)
    writer = Writer(model, tokenizer, Dictated(tuple(b"..axx"), 0), 0, 3, ("xa", "x"))
    [written] = writer.write(["xx"])
    assert (written.text, written.ended) == ("a", "stop")


def test_a_row_that_stops_leaves_the_others_alone(tokenizer: Tokenizer) -> None:
    model, prompts = model_of("transformer", tokenizer).double(), ["", "Hello", "漢字"]
    free = list(Writer(model, tokenizer, Sampler(), 3, 30).write(prompts, 2))
    stop = free[0].text[4:6]
    stopped = Writer(model, tokenizer, Sampler(), 3, 30, (stop,)).write(prompts, 2)
    for cut, whole in zip(stopped, free, strict=True):
        assert cut.text == whole.text.partition(stop)[0]
        assert cut.tokens == whole.tokens[: len(cut.tokens)]
        assert (cut.prompt, cut.sample) == (whole.prompt, whole.sample)


def test_an_interrupted_writer_begins_nothing_more(tokenizer: Tokenizer) -> None:
    writer = Writer(model_of("rnn", tokenizer), tokenizer, Sampler(), 0, 9)
    asked: list[bool] = []

    def interrupted() -> bool:
        asked.append(True)
        return len(asked) > 4

    written = list(writer.write(["", "a", "b"], 2, batch_size=2, interrupted=interrupted))
    assert [one.ended for one in written] == ["interrupted"] * 2
    assert [len(one.tokens) for one in written] == [4, 4]
    assert list(writer.write(["a"], interrupted=lambda: True)) == []


def test_a_stop_string_is_looked_at_before_anything_is_written(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="stop string is empty"):
        Writer(model_of("rnn", tokenizer), tokenizer, stop=("a", ""))
