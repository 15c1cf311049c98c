"""Words to tokens and back to tags: alignment, the search for the best tags, batches."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as seqeval

from phalanx.data.tag_schemes import allowed, problems
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.errors import PhalanxError, UsageError
from phalanx.inference.tagging import Scores, best_path, encode, log_probabilities, tag
from phalanx.models import Encoder, build, preset

TEXT = "the Empire State Building in London is tall . 我 们 在 北 京 " * 20
LABELS = ("B-X", "B-Y", "I-X", "I-Y", "O")
SENTENCES = [
    ("Empire", "State", "Building"),
    ("in", "London"),
    (),
    ("我", "们", "在", "北", "京"),
    ("the", "\u2603", "is", "Zürich", "."),
    ("tall",) * 30,
]


def tokenizer_of(kind: str) -> Tokenizer:
    return train_tokenizer(kind, [TEXT], 300 if kind == "bpe" else None)


def model_of(vocabulary: int, mixers: str = "attention", context: int = 24) -> Encoder:
    model = build(
        preset(
            "transformer",
            vocabulary,
            context,
            kind="encoder",
            width=32,
            layers=2,
            mixers=(mixers,),
            outputs=len(LABELS),
            tied=False,
            init="glorot",
        ),
        seed=3,
    )
    assert isinstance(model, Encoder)
    torch.nn.init.normal_(model.output.weight, std=1.0)  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize("kind", ["bpe", "characters", "bytes", "words", "wordpiece"])
def test_each_word_has_the_tokens_that_it_has_alone(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    inputs = encode(tokenizer, SENTENCES, 10_000)
    assert inputs.sentences_N.tolist() == [0, 1, 3, 4, 5]  # none of the sentence without words
    whole = [sentence for sentence in SENTENCES if sentence]
    for ids, firsts, words, sentence in zip(
        inputs.ids, inputs.firsts, inputs.words, whole, strict=True
    ):
        assert len(firsts) == len(sentence)
        assert words[firsts].tolist() == list(range(len(sentence)))
        for number, word in enumerate(sentence):
            alone = encode(tokenizer, [[word]], 10_000)
            assert ids[words == number].tolist() == alone.ids[0][alone.words[0] == 0].tolist()
            assert len(ids[words == number]) >= 1


def test_a_tag_is_read_at_the_letter_behind_the_space() -> None:
    tokenizer = tokenizer_of("characters")
    inputs = encode(tokenizer, [("in", "London", "北", "京")], 100)
    assert tokenizer.decode(inputs.ids[0]) == " in London北京"
    assert inputs.firsts[0].tolist() == [1, 4, 10, 11]


def test_a_bert_tokenizer_has_its_tokens_around_each_piece() -> None:
    tokenizer = tokenizer_of("wordpiece")
    inputs = encode(tokenizer, [("London", "\u2603", "is")], 100)
    cls = tokenizer.special_ids.get("cls")
    assert cls is None or inputs.ids[0][0] == cls
    assert inputs.ids[0][inputs.firsts[0]].tolist()[1] == tokenizer.unknown_id
    assert inputs.unknown == 1


def test_what_gives_no_token_is_a_word_still() -> None:
    for kind in ("bpe", "words", "wordpiece"):
        tokenizer = tokenizer_of(kind)
        inputs = encode(tokenizer, [("in", "\u200b", "", "London")], 100)
        assert len(inputs.firsts[0]) == 4
        assert inputs.lengths_N[0] >= 4


def test_sentences_are_divided_between_words_and_long_words_cut() -> None:
    tokenizer = tokenizer_of("bytes")
    inputs = encode(tokenizer, [("ab", "cd", "ef"), ("x" * 50, "y")], 8)
    pieces = [tokenizer.decode(ids) for ids in inputs.ids]
    assert pieces == [" ab cd", " ef", " xxxxxxx", " y"]
    assert inputs.sentences_N.tolist() == [0, 0, 1, 1]
    assert (inputs.divided, inputs.cut) == (2, 1)


def test_a_model_that_reads_too_little_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Set train\.sequence_length to at least"):
        encode(tokenizer_of("bytes"), [("a",)], 0)


def brute(scores_WL: Scores, scheme: str) -> tuple[float, list[int]]:
    paths = itertools.product(range(len(LABELS)), repeat=len(scores_WL))
    sound = [path for path in paths if not problems([LABELS[at] for at in path], scheme)]
    value = {path: sum(scores_WL[at, to] for at, to in enumerate(path)) for path in sound}
    best = max(value, key=value.__getitem__)
    return value[best], list(best)


@pytest.mark.parametrize("scheme", ["bio", "iob1"])
def test_the_best_path_is_the_best_of_all_that_are_well_formed(scheme: str) -> None:
    draw = np.random.default_rng(0)
    for length in (1, 2, 3, 4, 4, 4):
        scores_WL = np.log(draw.dirichlet([0.3] * len(LABELS), length))
        value, path = brute(scores_WL, scheme)
        found = best_path(scores_WL, allowed(LABELS, scheme))
        assert found == path
        assert sum(scores_WL[range(length), found]) == pytest.approx(value)


@given(st.integers(0, 10**6), st.integers(1, 40))
def test_no_entity_that_seqeval_would_not_read_whole_comes_out(seed: int, length: int) -> None:
    labels = ["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in "XY")]
    scores_WL = np.log(np.random.default_rng(seed).dirichlet([0.2] * len(labels), length))
    tags = [labels[at] for at in best_path(scores_WL, allowed(labels, "iobes"))]
    inside = [
        n for e in seqeval.Tokens(tags, seqeval.IOBES).entities for n in range(e.start, e.end)
    ]
    assert inside == [at for at, tag in enumerate(tags) if tag != "O"]


def test_where_no_path_keeps_to_the_rules_the_fewest_breaches_win() -> None:
    scores_WL = np.log(np.array([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]]))
    # Words of two characters and no other: three characters cannot be divided so.
    tags = [("B", "E")[at] for at in best_path(scores_WL, allowed(("B", "E"), "bmes"))]
    assert len(problems(tags, "bmes")) == 1


@pytest.mark.parametrize("mixers", ["attention", "lstm+lstm"])
def test_a_sentence_alone_and_among_others_gets_the_same_tags(mixers: str) -> None:
    tokenizer = tokenizer_of("bpe")
    model = model_of(tokenizer.vocabulary, mixers)
    together = tag(model, tokenizer, LABELS, "bio", SENTENCES)
    assert any(one.entities for one in together)
    for one, sentence in zip(together, SENTENCES, strict=True):
        [alone] = tag(model, tokenizer, LABELS, "bio", [sentence])
        assert alone.tags == one.tags
        places = [[(e.type, e.start, e.end) for e in each.entities] for each in (alone, one)]
        assert places[0] == places[1]
        np.testing.assert_allclose(alone.probabilities_W, one.probabilities_W, rtol=1e-4)
        assert len(one.tags) == len(sentence)


def test_the_score_at_a_word_is_the_models_at_its_first_token() -> None:
    tokenizer = tokenizer_of("bpe")
    model = model_of(tokenizer.vocabulary).eval()
    inputs = encode(tokenizer, SENTENCES[:2], 24)
    found = log_probabilities(model, inputs)
    with torch.no_grad():
        scores_TL = model(torch.from_numpy(inputs.ids[0].astype(np.int64))[None])[0]
    expected = scores_TL.log_softmax(-1)[inputs.firsts[0]].numpy()
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


def test_a_model_that_has_diverged_is_named() -> None:
    tokenizer = tokenizer_of("bpe")
    model = model_of(tokenizer.vocabulary)
    torch.nn.init.constant_(model.output.weight, float("nan"))  # type: ignore[union-attr]
    with pytest.raises(PhalanxError, match="not numbers"):
        tag(model, tokenizer, LABELS, "bio", SENTENCES)
