"""How labelled data is divided, and what training on the sides refuses or says."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.config import DataConfig
from phalanx.data.label_splits import divide
from phalanx.data.labelled import load_examples, load_pairs, load_sentences
from phalanx.errors import UsageError

Rows = list[tuple[str, str]]


def csv(path: Path, rows: Iterable[tuple[str, str]]) -> str:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return str(path)


def sides(rows: Rows, fraction: float = 0.2) -> tuple[Rows, Rows]:
    return divide(rows, lambda row: row[0], lambda row: [row[1]], fraction)


MANY = [(f"text {n}", f"label {n % 7}") for n in range(2000)]


def test_the_share_and_the_order() -> None:
    train, validation = sides(MANY)
    assert 340 < len(validation) < 460  # 400 expected, 18 the standard deviation
    assert sorted([*train, *validation]) == sorted(MANY)
    assert train == [row for row in MANY if row in set(train)]


def test_a_row_stays_when_others_are_appended_or_shuffled() -> None:
    _, before = sides(MANY[:1000])
    _, after = sides(MANY)
    assert [row for row in after if row in MANY[:1000]] == before
    shuffled = MANY.copy()
    random.Random(0).shuffle(shuffled)
    _, other = sides(shuffled)
    first = {label: text for text, label in reversed(shuffled)}
    assert set(before) - set(other) <= {(text, label) for label, text in first.items()}


def test_a_larger_share_keeps_what_it_had() -> None:
    assert set(sides(MANY, 0.1)[1]) <= set(sides(MANY, 0.3)[1])


@given(
    st.lists(st.tuples(st.text("ab", max_size=3), st.sampled_from("xyz")), min_size=1),
    st.floats(0.01, 0.99),
)
def test_equal_texts_fall_on_one_side_and_every_label_trains(rows: Rows, fraction: float) -> None:
    train, validation = sides(rows, fraction)
    assert len(train) + len(validation) == len(rows)
    assert not {text for text, _ in train} & {text for text, _ in validation}
    assert {label for _, label in train} == {label for _, label in rows}
    free = {text for text, _ in rows} - {text for text, _ in train}
    assert bool(validation) == bool(free)


def test_few_rows_give_one_to_validate_on() -> None:
    train, validation = sides([("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")], 0.01)
    assert len(train) == 3
    assert len(validation) == 1


def test_the_split_is_told_and_has_a_digest(tmp_path: Path) -> None:
    one = load_examples(DataConfig(paths=(csv(tmp_path / "a.csv", MANY),)))
    assert one.split == "by a hash of each text"
    assert one.files == 1
    assert one.bytes == sum(len(text) + len(label) for text, label in MANY)
    same = load_examples(DataConfig(paths=(csv(tmp_path / "b.csv", MANY),)))
    assert same.digest == one.digest, "names of files are not in it"
    other = load_examples(DataConfig(paths=(csv(tmp_path / "c.csv", MANY[:-1]),)))
    assert other.digest != one.digest
    given = load_examples(
        DataConfig(
            paths=(csv(tmp_path / "d.csv", MANY[:1000]),),
            validation_paths=(csv(tmp_path / "e.csv", MANY[900:]),),
        )
    )
    assert given.split == "by given files"
    assert (len(given.train), len(given.validation), given.files) == (1000, 1100, 2)
    assert given.notes == (
        "100 of 1,100 labelled texts to validate on are also learnt from: figures flatter there",
    )


@pytest.mark.parametrize(
    ("train", "validation", "said"),
    [
        ([("a", "x"), ("b", "x")], None, "All 1 texts to learn from have the label 'x'"),
        ([("a", "x")], None, "1 labelled texts are too few to be divided"),
        ([("a", "x"), ("b", "y")], None, "2 labelled texts are too few to be divided"),
        (
            [("a", "x"), ("b", "y")],
            [("c", "y"), ("d", "z")],
            r"v\.csv:3 has the label 'z', which nothing to learn from has",
        ),
    ],
)
def test_what_training_refuses(
    tmp_path: Path, train: Rows, validation: Rows | None, said: str
) -> None:
    other = () if validation is None else (csv(tmp_path / "v.csv", validation),)
    with pytest.raises(UsageError, match=said):
        load_examples(DataConfig(paths=(csv(tmp_path / "t.csv", train),), validation_paths=other))


def test_one_file_for_both_sides_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", MANY)
    (tmp_path / "link.csv").symlink_to(path)
    for other in (path, str(tmp_path / "link.csv")):
        with pytest.raises(UsageError, match="is given for training and for validation"):
            load_examples(DataConfig(paths=(path,), validation_paths=(other,)))


def test_sentences_and_pairs_are_divided_by_what_is_read(tmp_path: Path) -> None:
    words = "".join(f"w{n % 150}\tO\nx\tB-y\n\n" for n in range(300))
    (tmp_path / "a.conll").write_text(words)
    found = load_sentences(DataConfig(paths=(str(tmp_path / "a.conll"),)))
    assert found.split == "by a hash of each sentence"
    assert not {s.words for s in found.train} & {s.words for s in found.validation}
    (tmp_path / "a.tsv").write_text("".join(f"s{n % 150}\tt{n}\n" for n in range(300)))
    both = load_pairs(DataConfig(paths=(str(tmp_path / "a.tsv"),)))
    assert both.split == "by a hash of each source"
    assert not {p.source for p in both.train} & {p.source for p in both.validation}
    assert len(both.train) + len(both.validation) == 300
