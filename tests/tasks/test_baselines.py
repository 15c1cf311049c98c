"""Naive Bayes and the commonest label: against scikit-learn, bounded, through JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from phalanx.data.samples import Example
from phalanx.errors import UsageError
from phalanx.tasks import baselines
from phalanx.tasks.baselines import Baselines, words


def rows(count: int, seed: int = 0) -> list[Example]:
    """Rows whose words hint at their labels, with words that occur for the first time later on."""
    draws = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = int(draws.choice(4, p=[0.5, 0.2, 0.2, 0.1]))
        ids = draws.geometric(0.15, size=draws.integers(0, 12)) * (1 + label % 2)
        pair = "word2 Tail" if number % 3 == 0 else None
        found.append(Example(" ".join(f"Word{i}" for i in ids), f"l{label}", pair, f"x:{number}"))
    return found


@pytest.mark.parametrize("most", [50_000, 7])
def test_naive_bayes_is_scikit_learns(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bayes = pytest.importorskip("sklearn.naive_bayes")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    monkeypatch.setattr(baselines, "MOST_WORDS", most)
    train, other = rows(80), rows(60, seed=1)
    found = Baselines.fit(train)
    joined = [f"{row.text} {row.pair or ''}" for row in train]
    kept = sorted(found.counts)
    assert len(kept) == min(most, len(set(" ".join(joined).lower().split())))
    counter = text.CountVectorizer(tokenizer=words, token_pattern=None, vocabulary=kept)
    theirs = bayes.MultinomialNB(alpha=1.0).fit(
        counter.transform(joined), [row.label for row in train]
    )
    counts = counter.transform([f"{row.text} {row.pair or ''}" for row in other])
    joint = theirs._joint_log_likelihood(counts)
    mine = np.stack([found.log_likelihoods(row) for row in other])
    np.testing.assert_allclose(mine, joint, rtol=1e-12)
    assert [found.naive_bayes(row) for row in other] == theirs.predict(counts).tolist()


def test_the_most_frequent_words_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    train = [Example("a a a b b c d", "x", None, ""), Example("b b b c e", "y", None, "")]
    monkeypatch.setattr(baselines, "MOST_COUNTS", 5)  # b in two labels, a in one, c in two
    assert list(Baselines.fit(train).counts) == ["b", "a", "c"]
    assert Baselines.fit(reversed(train)).to_json() == Baselines.fit(train).to_json()


def test_the_majority_is_the_commonest_label_and_the_first_of_equals() -> None:
    assert Baselines({"z": 3, "b": 5, "a": 5}, {}).majority == "a"
    given = Baselines({"z": 3, "b": 5, "a": 1}, {}).give(rows(3), ("z", "b", "a"))
    assert given["majority"].tolist() == [1, 1, 1]
    assert given["naive_bayes"].tolist() == [1, 1, 1]  # no word was counted: the priors decide


def test_words_are_runs_of_letters_and_single_han_characters() -> None:
    assert words("Don't STOP: 3.5 été") == ["don", "t", "stop", "3", "5", "été"]
    assert words("我爱iPhone手机") == ["我", "爱", "iphone", "手", "机"]


def test_json_brings_the_same_baselines_back() -> None:
    train, labels = rows(40), ("l0", "l1", "l2", "l3")
    found = Baselines.fit(train)
    again = Baselines.from_json(found.to_json(), labels, "here")
    assert again.to_json() == found.to_json()
    for name, given in found.give(train, labels).items():
        assert again.give(train, labels)[name].tolist() == given.tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 2, "rows": {"a": 1}, "words": {}}',
        b'{"format": 1, "rows": {}, "words": {}}',
        b'{"format": 1, "rows": {"z": 1}, "words": {}}',
        b'{"format": 1, "rows": {"a": -1}, "words": {}}',
        b'{"format": 1, "rows": {"a": true}, "words": {}}',
        b'{"format": 1, "rows": {"a": 1}, "words": {"w": {"b": 1}}}',
        b'{"format": 1, "rows": {"a": 1}, "words": {"w": {"a": 1e400}}}',
        b'{"format": 1, "rows": {"a": 1}, "words": {"w": [1]}}',
        b'{"format": 1, "rows": {"a": 1}, "words": [["a"]]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_malformed_file_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match=r"here: it is no file of baselines"):
        Baselines.from_json(content, ("a", "b"), "here")


def test_the_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Baselines.fit(rows(80))
    monkeypatch.setattr(baselines, "MOST_WORDS", 3)
    with pytest.raises(UsageError):
        Baselines.from_json(found.to_json(), ("l0", "l1", "l2", "l3"), "here")


def test_real_text_reaches_what_scikit_learn_reaches() -> None:
    bayes = pytest.importorskip("sklearn.naive_bayes")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    folder = Path(__file__).parents[3] / "shared/data/sentence_polarity"
    if not folder.is_dir():
        pytest.skip("needs the folder of real data")
    sides = []
    for name in ("train.tsv", "dev.tsv"):
        lines = (folder / name).read_text().splitlines()
        pairs = [line.split("\t", 1) for line in lines[:2000]]
        sides.append([Example(pair[1], pair[0], None, "") for pair in pairs])
    train, other = sides
    found = Baselines.fit(train)
    counter = text.CountVectorizer(tokenizer=words, token_pattern=None)
    counts = counter.fit_transform([row.text for row in train])
    theirs = bayes.MultinomialNB().fit(counts, [row.label for row in train])
    expected = theirs.predict(counter.transform([row.text for row in other])).tolist()
    assert [found.naive_bayes(row) for row in other] == expected
    assert json.loads(found.to_json())["format"] == 1
