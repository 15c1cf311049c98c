"""Labels for texts: alone or in a batch, empty, huge, in pairs."""

from typing import Any

import numpy as np
import pytest
import torch

from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import UsageError
from phalanx.inference import classifying
from phalanx.inference.classifying import Text, classify, encode
from phalanx.models import build, preset

LABELS = ("b", "c", "a")
TEXTS: list[Text] = ["aab", "", "bca" * 3, "c", "abcd" * 50, "b a", "?", "ab\n", "a" * 23, "a" * 24]
PAIRS: list[Text] = [("aab", "b"), ("", ""), ("a" * 40, "bc"), ("c", "ba" * 30), ("ab", "ab")]


def characters(mask: bool = True) -> Tokenizer:
    return train_tokenizer("characters", ["abcd \n"], mask=mask)


def wordpiece() -> Tokenizer:
    return train_tokenizer("wordpiece", ["aab ab ba bca c a b"] * 3, 40)


def classifier(tokenizer: Tokenizer, name: str = "transformer", **changes: Any) -> Any:
    given = {"width": 16, "layers": 2, "pooling": "mean", "tied": False, **changes}
    model = build(preset(name, tokenizer.vocabulary, 24, kind="encoder", outputs=3, **given))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4, generator=generator)
    return model.double().eval()


MODELS = {
    "transformer": ("transformer", {}),
    "max": ("transformer", {"pooling": "max"}),
    "post": ("transformer-2017", {"pooling": "first"}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {"pooling": "max"}),
    "hybrid": ("transformer", {"mixers": ("lstm+lstm", "attention")}),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_an_answer_does_not_depend_on_what_is_asked_beside_it(
    kind: str, texts: list[Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifying, "PASS_POSITIONS", 60)  # several passes, all of them padded
    tokenizer = characters()
    name, changes = MODELS[kind]
    model = classifier(tokenizer, name, token_types=2 if texts is PAIRS else 0, **changes)
    together = classify(model, tokenizer, LABELS, texts)
    assert len(together) == len(texts)
    for found, text in zip(together, texts, strict=True):
        [alone] = classify(model, tokenizer, LABELS, [text])
        np.testing.assert_allclose(found.probabilities_C, alone.probabilities_C, rtol=1e-5)
        assert found.label == alone.label
    assert len({found.probability for found in together}) > 2


def test_probabilities_are_the_softmax_in_the_order_of_the_labels() -> None:
    tokenizer = characters()
    model = classifier(tokenizer)
    [found] = classify(model, tokenizer, LABELS, ["abc"])
    with torch.no_grad():
        expected_C = model(torch.tensor([tokenizer.encode("abc")]))[0].softmax(-1)
    assert [found.probabilities[label] for label in LABELS] == pytest.approx(expected_C.tolist())
    assert found.label == LABELS[int(expected_C.argmax())]
    shares = list(found.probabilities.values())
    assert shares == sorted(shares, reverse=True)
    assert found.top(2) == list(found.probabilities.items())[:2]
    assert found.probability == shares[0]


def test_a_text_without_tokens_is_read_as_the_end_alone() -> None:
    tokenizer = characters()
    inputs = encode(tokenizer, ["", "a"], 9)
    assert [ids.tolist() for ids in inputs.ids] == [[tokenizer.end_id], tokenizer.encode("a")]
    assert inputs.types is None
    pieces = wordpiece()
    begin, end = pieces.special_ids["cls"], pieces.end_id
    assert encode(pieces, ["", " \n"], 9).ids[1].tolist() == [begin, end]


def test_a_long_text_loses_its_end_and_of_a_pair_the_longer_one_does() -> None:
    tokenizer = characters()
    code = tokenizer.encode
    end = tokenizer.end_id
    inputs = encode(tokenizer, ["abc", "abcd", "abcda"], 4)
    assert [ids.tolist() for ids in inputs.ids] == [code("abc"), code("abcd"), code("abcd")]
    assert inputs.cut == 1
    pairs = encode(tokenizer, [("ab", "c"), ("abcdabcd", "ba"), ("c", "abcdabcd"), "d"], 6)
    assert pairs.cut == 2
    assert [ids.tolist() for ids in pairs.ids] == [
        [*code("ab"), end, *code("c")],
        [*code("abc"), end, *code("ba")],
        [*code("c"), end, *code("abcd")],
        code("d"),
    ]
    assert pairs.types is not None
    assert [types.tolist() for types in pairs.types] == [
        [0, 0, 0, 1],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [0],
    ]


def test_types_tell_the_texts_of_a_pair_apart_where_the_model_has_a_table_of_them() -> None:
    tokenizer = characters()
    texts: list[Text] = [("ab", "ab"), ("abab", "c")]
    plain = classifier(tokenizer)
    typed = classifier(tokenizer, token_types=2)
    typed.load_state_dict(plain.state_dict(), strict=False)
    found = classify(typed, tokenizer, LABELS, texts)
    others = classify(plain, tokenizer, LABELS, texts)
    assert not np.allclose(found[0].probabilities_C, others[0].probabilities_C)
    with torch.no_grad():
        for parameter in typed.types.parameters():
            parameter.zero_()
    same = classify(typed, tokenizer, LABELS, texts)
    np.testing.assert_allclose(same[0].probabilities_C, others[0].probabilities_C)


def test_a_huge_text_is_cut_and_the_mode_of_the_model_is_left() -> None:
    tokenizer = characters()
    model = classifier(tokenizer, dropout=0.5).train()
    huge, cut = classify(model, tokenizer, LABELS, ["abcd" * 250_000, "abcd" * 6])
    assert huge.probability == pytest.approx(cut.probability)
    assert model.training


def test_nothing_asked_is_nothing_answered_and_half_a_character_is_refused() -> None:
    tokenizer = characters()
    assert classify(classifier(tokenizer), tokenizer, LABELS, []) == []
    with pytest.raises(UsageError, match="surrogate"):
        classify(classifier(tokenizer), tokenizer, LABELS, ["a\ud800"])
