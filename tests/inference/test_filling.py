"""Guesses for hidden words: the model's own scores, alone as in a batch."""

import pytest
import torch

from phalanx.data.masking import is_text, mask_id
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.data.wrapping import wrapped
from phalanx.errors import PhalanxError, UsageError
from phalanx.inference.filling import fill
from phalanx.models import Encoder, build, preset

TEXT = "the river ran past the mill and the miller sold the bread"
TEXTS = ["the [MASK] ran", "the miller <|mask|> the <mask> and the bread", "[MASK]"]
TEXTS += [f"the [MASK] ran{' past the mill' * 3}", f"the [MASK] ran past{' past the mill' * 3}"]


def made(kind: str, size: int | None = None) -> tuple[Encoder, Tokenizer]:
    tokenizer = train_tokenizer(kind, [TEXT], size, mask=True)
    config = preset(
        "transformer", tokenizer.vocabulary, 24, kind="encoder", width=16, layers=1, init="glorot"
    )
    model = build(config, seed=1).eval()
    assert isinstance(model, Encoder)
    return model, tokenizer


@pytest.mark.parametrize(
    ("kind", "size"), [("words", None), ("wordpiece", 60), ("bpe", 300), ("characters", None)]
)
def test_guesses_are_the_models_likeliest_tokens(kind: str, size: int | None) -> None:
    model, tokenizer = made(kind, size)
    [found] = fill(model, tokenizer, ["the [MASK] ran"], top=3)
    before = "the " if kind == "characters" else "the"
    parts = [*tokenizer.encode(before), mask_id(tokenizer), *tokenizer.encode(" ran")]
    ids, _ = wrapped(tokenizer, parts)
    with torch.no_grad():
        scores_V = model(torch.tensor([ids]))[0, ids.index(mask_id(tokenizer))]
    scores_V[~torch.from_numpy(is_text(tokenizer))] = -torch.inf
    best = scores_V.softmax(-1).topk(3)
    [guesses] = found.masks
    assert [g.probability for g in guesses] == pytest.approx(best.values.tolist(), rel=1e-4)
    words = [tokenizer.bytes_of(int(i)).decode(errors="replace") for i in best.indices]
    assert [g.text for g in guesses] == [
        word if kind == "characters" or word == " " else word.removeprefix(" ") for word in words
    ]
    assert found.best == f"the {guesses[0].text} ran"


def test_a_text_is_filled_alone_as_in_a_batch() -> None:
    model, tokenizer = made("words")
    together = fill(model, tokenizer, TEXTS)
    assert [one.text for one in together] == TEXTS
    assert [len(one.masks) for one in together] == [1, 2, 1, 1, 1]
    for text, one in zip(TEXTS, together, strict=True):
        [alone] = fill(model, tokenizer, [text])
        for guesses, others in zip(one.masks, alone.masks, strict=True):
            assert [g.text for g in guesses] == [g.text for g in others]
            expected = [g.probability for g in others]
            assert [g.probability for g in guesses] == pytest.approx(expected, rel=1e-4)


def test_shares_add_up_over_all_tokens_of_text() -> None:
    model, tokenizer = made("words")
    [found] = fill(model, tokenizer, ["the [MASK]"], top=1000)
    assert len(found.masks[0]) == int(is_text(tokenizer).sum())
    assert sum(g.probability for g in found.masks[0]) == pytest.approx(1, abs=1e-5)
    assert fill(model, tokenizer, []) == []


def test_what_cannot_be_filled_is_refused() -> None:
    model, tokenizer = made("words")
    with pytest.raises(UsageError, match="hides nothing"):
        fill(model, tokenizer, ["the river"])
    with pytest.raises(UsageError, match="has 31 tokens, and the model reads 24"):
        fill(model, tokenizer, ["[MASK] " + "the " * 30])
    with pytest.raises(UsageError, match="no token for a hidden word"):
        fill(model, train_tokenizer("words", [TEXT]), ["the [MASK]"])
    with torch.no_grad():
        model.embedding.weight.fill_(torch.nan)
    with pytest.raises(PhalanxError, match="not numbers"):
        fill(model, tokenizer, ["the [MASK]"])
