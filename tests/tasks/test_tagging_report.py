"""What a tagger is told about itself: strict figures, baselines, mistakes, batches."""

import random
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from seqeval import scheme as seqeval
from seqeval.metrics import classification_report

from phalanx.data.batches import IGNORED
from phalanx.data.samples import Sentence
from phalanx.data.tokenizers import train_tokenizer
from phalanx.errors import UsageError
from phalanx.inference.tagging import encode
from phalanx.models import build, preset
from phalanx.tasks import tagging
from phalanx.tasks.tagging import Figures, Side, by_type, entities, in_scheme, micro
from phalanx.tasks.tagging_baselines import MAJORITY, PER_WORD, Baselines
from phalanx.tasks.tagging_report import evaluate, strict_figures

LETTERS = {"bio": "BI", "iob1": "BI", "iobes": "BIES", "bmes": "BMES", "bilou": "BILU"}
THEIRS = {"bio": seqeval.IOB2, "iob1": seqeval.IOB1, "iobes": seqeval.IOBES}
TRAIN = [
    Sentence(("in", "London", "and", "Paris"), ("O", "B-place", "O", "B-place"), "f:1"),
    Sentence(("London", "Bridge", "in", "May"), ("B-place", "I-place", "O", "O"), "f:6"),
    Sentence(("May", "sings"), ("B-person", "O"), "f:11"),
    Sentence(("May", "rain"), ("O", "O"), "f:14"),
]
LABELS = ("B-person", "B-place", "I-place", "O")


def drawn(scheme: str, seed: int) -> list[list[str]]:
    draw = random.Random(seed)
    tags = ["O", *(f"{letter}-{kind}" for letter in LETTERS[scheme] for kind in ("X", "Y"))]
    return [draw.choices(tags, k=1 + n % 9) for n in range(200)]


@pytest.mark.parametrize("scheme", LETTERS)
def test_our_figures_are_those_of_seqeval(scheme: str) -> None:
    right, given = drawn(scheme, 0), drawn(scheme, 1)
    ours = by_type(entities(right, scheme), entities(given, scheme))
    assert ours == strict_figures(right, given, scheme)
    assert sum(each.right for each in ours.values()) > 0
    if scheme not in THEIRS:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = classification_report(
            right, given, mode="strict", scheme=THEIRS[scheme], output_dict=True, zero_division=0
        )
    for kind, figures in {**ours, "micro avg": micro(ours)}.items():
        for name, value in (("precision", figures.precision), ("recall", figures.recall),
                            ("f1-score", figures.f1), ("support", figures.support)):  # fmt: skip
            assert theirs[kind][name] == pytest.approx(value), (kind, name)


def test_figures_of_nothing_are_zero() -> None:
    assert strict_figures([["O"]], [["O"]], "bio") == {}
    nothing = micro({})
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)
    assert Figures(2, 4, 8).f1 == pytest.approx(2 * 0.5 * 0.25 / 0.75)


def test_baselines_are_counts_and_come_back_from_their_file() -> None:
    baselines = Baselines.fit(TRAIN)
    assert baselines.majority == "O"
    assert baselines.tags == {"Bridge": "I-place", "London": "B-place", "Paris": "B-place"}
    unknown = Sentence(("Paris", "Bridge", "Rome", "May"), ("O",) * 4, "g:1")
    assert baselines.give([unknown]) == {
        MAJORITY: [["O"] * 4],
        PER_WORD: [["B-place", "I-place", "O", "O"]],
    }
    assert Baselines.from_json(baselines.to_json(), "b.json") == baselines
    for wrong in (b"", b"[]", b'{"majority": 1, "tags": {}}', b'{"majority": "O", "tags": []}'):
        with pytest.raises(UsageError, match=r"b\.json holds no baselines"):
            Baselines.from_json(wrong, "b.json")


def side(length: int = 100) -> Side:
    tokenizer = train_tokenizer("characters", [" ".join(one.words) for one in TRAIN])
    return Side.of(encode(tokenizer, [one.words for one in TRAIN], length), TRAIN, LABELS)


def test_each_word_has_its_answer_once_whatever_the_pieces() -> None:
    for length in (100, 8):
        found = side(length)
        wanted = np.concatenate(found.targets)
        tags = [LABELS[label] for label in wanted[wanted != IGNORED]]
        assert tags == [tag for sentence in TRAIN for tag in sentence.tags]
        batch = found.batch(np.arange(len(found.targets)))
        assert batch.answers == 12
        assert batch.tokens == sum(len(ids) for ids in found.inputs.ids)


def test_a_tag_outside_the_labels_has_no_answer() -> None:
    strange = [replace(TRAIN[2], tags=("B-band", "O"))]
    tokenizer = train_tokenizer("characters", ["May sings"])
    found = Side.of(encode(tokenizer, [strange[0].words], 100), strange, LABELS)
    assert found.batch(np.arange(1)).answers == 1


def test_whole_words_are_hidden_by_seed_epoch_and_sample_alone() -> None:
    found = side()
    rows = np.arange(4)
    hidden_BT = found.hidden(rows, 0.5, seed=1, epoch=0)
    assert 0 < hidden_BT.sum() < hidden_BT.size
    for row, words in enumerate(found.inputs.words):
        for word in range(words.max() + 1):
            assert len(set(hidden_BT[row, : len(words)][words == word].tolist())) == 1
    alone = found.hidden(rows[2:3], 0.5, seed=1, epoch=0)[0]
    assert (alone == hidden_BT[2, : len(alone)]).all()
    assert (found.hidden(rows, 0.5, seed=1, epoch=1) != hidden_BT).any()
    assert not found.hidden(rows, 0.0, seed=1, epoch=0).any()


def test_weights_of_one_change_nothing_and_others_count() -> None:
    found = side()
    model = build(
        preset("transformer", 40, 100, kind="encoder", width=16, layers=1, outputs=4, tied=False),
        seed=0,
    )
    torch.nn.init.normal_(model.output.weight)  # type: ignore[union-attr]
    batch = found.batch(np.arange(4))
    model.requires_grad_(False)
    plain = tagging.total(model, batch, 0.1)
    same = tagging.total(model, batch, 0.1, (1.0,) * 4)
    assert float(plain.nats) == pytest.approx(float(same.nats), rel=1e-5)
    assert int(plain.answers) == int(same.answers) == 12
    alone = [tuple(float(one == label) for one in range(4)) for label in range(4)]
    only = [tagging.total(model, batch, 0.1, weights).nats for weights in alone]
    assert float(sum(only)) == pytest.approx(float(plain.nats), rel=1e-5)


def test_tags_of_a_file_come_into_the_scheme_of_the_model() -> None:
    file = [Sentence(("a", "b", "c"), ("B-X", "E-X", "S-Y"), "f:1")]
    assert in_scheme(file, "bio")[0].tags == ("B-X", "I-X", "B-Y")
    assert in_scheme(file, "iobes") == file
    assert in_scheme(file, "none") == file
    nothing = [Sentence(("a",), ("O",), "f:1")]
    assert in_scheme(nothing, "iobes") == nothing
    with pytest.raises(UsageError, match="f:1: the tag 'NN' marks no entity"):
        in_scheme([Sentence(("a",), ("NN",), "f:1")], "bio")


@pytest.mark.parametrize("scheme", ["bio", "none"])
def test_a_report_adds_up(scheme: str) -> None:
    tokenizer = train_tokenizer("characters", [" ".join(one.words) for one in TRAIN])
    config = preset(
        "lstm", tokenizer.vocabulary, 9, kind="encoder", width=16, mixers=("lstm+lstm",), outputs=4
    )
    judged = [*TRAIN, Sentence(("Qu\u00e9en", "sings"), ("B-band", "O"), "f:20")]
    model = build(config, seed=0)
    report = evaluate(model, tokenizer, LABELS, scheme, judged, Baselines.fit(TRAIN))
    assert (report.sentences, report.words) == (5, 14)
    assert report.unseen == {"B-band": 1}
    assert report.divided > 0
    assert report.unknown == 1
    assert report.loss == pytest.approx(np.log(4), rel=0.3)
    assert sum(report.confusion.values()) == 14
    right = sum(count for (one, two), count in report.confusion.items() if one == two)
    assert report.model.accuracy == pytest.approx(right / 14)
    assert report.baselines[MAJORITY].accuracy == pytest.approx(8 / 14)
    counts = [mistake.wrong for mistake in report.mistakes]
    assert counts == sorted(counts, reverse=True)
    values = report.as_dict(1)
    assert len(values["mistakes"]) == 1
    if scheme == "bio":
        assert report.model.entities.support == 5
        assert report.baselines[PER_WORD].entities.right == 3
        assert values["f1"] == report.model.entities.f1
    else:
        assert "f1" not in values


def test_no_sentences_are_refused() -> None:
    with pytest.raises(UsageError, match="no sentences"):
        evaluate(None, train_tokenizer("bytes", []), LABELS, "bio", [])
