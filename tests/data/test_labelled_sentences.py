"""Tagged sentences: every shape of CoNLL and of tables, and every fault with its place."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phalanx.config import DataConfig
from phalanx.data.labelled import Sentence, load_sentences, read_sentences
from phalanx.errors import UsageError

Write = Callable[[str, str | bytes], Path]
Plain = list[tuple[tuple[str, ...], tuple[str, ...]]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def read(path: Path, *, labelled: bool = True, **options: Any) -> Plain:
    found = read_sentences(path, DataConfig(**options), labelled=labelled)
    return [(sentence.words, sentence.tags) for sentence in found]


TWO: Plain = [(("In", "New", "York"), ("O", "B-loc", "I-loc")), (("Hi",), ("O",))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.conll", "In\tO\nNew\tB-loc\nYork\tI-loc\n\nHi\tO\n"),
        ("a.txt", "In O\nNew B-loc\nYork I-loc\n\n\n\nHi O"),
        ("a.bio", "In  \t O\nNew B-loc \n York\tI-loc\n \t \nHi O\n"),
        ("a.iob", "\ufeffIn\tO\r\nNew\tB-loc\r\nYork\tI-loc\r\n\t\r\nHi\tO\r\n"),
        ("a.tsv", "In\tO\nNew\tB-loc\nYork\tI-loc\n\t\nHi\tO\n"),
        ("b.tsv", "token\ttag\nIn\tO\nNew\tB-loc\nYork\tI-loc\n\nHi\tO\n"),
        ("a.conll.gz", "-DOCSTART- -X- O\n\nIn IN O\nNew NNP B-loc\nYork NNP I-loc\n\nHi UH O\n"),
        ("c.conll", "# id 7\tdomain=en\nIn O\nNew B-loc\nYork I-loc\n\n# id 8\tdomain=en\nHi O\n"),
        ("d.conll", "# one\nIn\tO\nNew\tB-loc\nYork\tI-loc\n\n#\nHi\tO\n"),
        ("a.jsonl", '{"tokens": ["In", "New", "York"], "ner_tags": ["O", "B-loc", "I-loc"]}\n'
         '{"tokens": ["Hi"], "ner_tags": ["O"]}'),
        ("a.json", '[{"words": "In New York", "tags": "O B-loc I-loc"},'
         '{"words": "Hi", "tags": "O"}]'),
        ("a.csv", "words,labels\nIn New York,O B-loc I-loc\nHi,O\n"),
    ],
)  # fmt: skip
def test_formats(write: Write, name: str, content: str) -> None:
    assert read(write(name, content)) == TWO


def test_the_word_hash_is_no_comment(write: Write) -> None:
    both = [(("#", "x"), ("O", "B-a")), (("y", "#"), ("O", "O"))]
    assert read(write("a.conll", "# O\nx B-a\n\ny O\n# O\n")) == both
    assert read(write("b.conll", "#\tO\nx\tB-a\n\ny\tO\n#\tO\n")) == both
    assert read(write("c.conll", "x\tO\n#\tB-new\n")) == [(("x", "#"), ("O", "B-new"))]


def test_tabs_and_spaces_mixed_are_read_where_nothing_is_in_doubt(write: Write) -> None:
    path = write("a.conll", "a\tO\nb B-x\n\n" + "c\tO\nd\tB-x\n\n" * 30 + "e\tO\n")
    assert read(path)[0] == (("a", "b"), ("O", "B-x"))
    found = load_sentences(DataConfig(paths=(str(path),)))
    assert "tabs divide some lines and spaces others" in found.notes[0]


def test_words_may_hold_spaces_where_tabs_divide(write: Write) -> None:
    assert read(write("a.conll", "New York\tB-loc\n1 000\tO\n")) == [
        (("New York", "1 000"), ("B-loc", "O"))
    ]


UNIVERSAL = (
    "# text = du Mali\n"
    "1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tde\tde\tADP\tP\t_\t0\troot\t_\t_\n"
    "2\tle\tle\tDET\tD\t_\t1\tdet\t_\tSpaceAfter=No\n"
    "2.1\tx\tx\tX\tX\t_\t_\t_\t_\t_\n"
    "3\tMali\tMali\tPROPN\tN\t_\t1\tx\t_\t_\n\n"
    "# text = 3\n1\t3\t3\tNUM\tM\t_\t0\troot\t_\t_\n"
)


def test_universal_dependencies(write: Write) -> None:
    for name in ("a.conllu", "a.conll"):
        path = write(name, UNIVERSAL)
        expected = [(("de", "le", "Mali"), ("ADP", "DET", "PROPN")), (("3",), ("NUM",))]
        assert read(path) == expected
        assert read(path, tag_column="4") == expected
        assert read(path, tag_column=5)[0][1] == ("P", "D", "N"), "as YAML reads numbers"
        assert read_sentences(path, DataConfig())[0].place == f"{path}:3"


def test_columns_by_number_and_by_name(write: Write) -> None:
    path = write("a.conll", "1 In IN O\n2 Rome NNP B-loc\n")
    assert read(path, text_column="2") == [(("In", "Rome"), ("O", "B-loc"))]
    assert read(path, text_column="2", tag_column="3") == [(("In", "Rome"), ("IN", "NNP"))]
    named = write("b.tsv", "form\tpos\tner\nIn\tIN\tO\nRome\tNNP\tB-loc\n")
    assert read(named, text_column="form", tag_column="ner") == [(("In", "Rome"), ("O", "B-loc"))]
    rows = write("a.jsonl", '{"w": ["In"], "t": ["O"], "tags": ["X"]}')
    assert read(rows, text_column="w", tag_column="t") == [(("In",), ("O",))]


def test_places_are_lines_of_first_words(write: Write) -> None:
    path = write("a.conll", "\n# one\na\tO\nb\tO\n\nc\tO\n")
    found = read_sentences(path, DataConfig())
    assert [sentence.place for sentence in found] == [f"{path}:3", f"{path}:6"]


FAULTS = [
    ("a.conll", "", r"a\.conll is empty\. Expected tagged sentences"),
    ("a.conll", "\n \n\t\n", r"a\.conll holds no tagged sentences"),
    ("a.conll", "a\tO\nb\n", r"a\.conll:2 has 1 column, and the first line of words 2\."),
    ("a.conll", "a\tO\nb O\nc d\tO\n", r"a\.conll:2 has 1 column.* spaces where that one has tabs"),
    ("a.conll", "a O\nb N O\n", r"a\.conll:2 has 3 columns.* divided by spaces"),
    ("a.conll", "a\tO\n\nb\tX\tO\n", r"a\.conll:3 has 3 columns"),
    ("a.conll", "a\tO\n\n#tag\n", r"a\.conll:3 has 1 column"),
    ("a.conll", "a\tO\n# x\nb\tO\n", r"a\.conll:2 has 1 column"),
    ("a.conll", "a\tO\nb\t\n", r"a\.conll:2 has an empty tag"),
    ("a.conll", "a\tO\n\tO\n", r"a\.conll:2 has an empty word"),
    ("a.conll", "a\tO\n\u3000\tO\n", r"a\.conll:2 has an empty word"),
    ("a.conll", "a\nb\n", r"column 1 would be both the word and its tag, for there is no other"),
    ("a.conll", b"a\tO\nb\xe9\tO\n", r"a\.conll:2 has the byte 0xe9"),
    ("a.conll", "a\tO\n".encode("utf-16"), "UTF-16 byte order mark"),
    ("a.jsonl", '{"tokens": ["a"], "tags": ["O", "O"]}', r"a\.jsonl:1 has 1 words and 2 tags"),
    ("a.jsonl", '{"tokens": ["a"], "ner_tags": [3]}', r"a number among its tags.*names, such as B"),
    ("a.jsonl", '{"tokens": ["a", ""], "tags": ["O", "O"]}', "an empty text among its words"),
    ("a.jsonl", '{"tokens": ["a", null], "tags": ["O", "O"]}', "null among its words"),
    ("a.jsonl", '{"tokens": ["a", " "], "tags": ["O", "O"]}', "white space among its words"),
    ("a.jsonl", '{"tokens": {}, "tags": ["O"]}', r"'tokens', holds an object\. Expected a list"),
    ("a.jsonl", '{"tokens": ["a"]}', r"a\.jsonl:1 has no column of tags\. Expected one of tags"),
    ("a.jsonl", '{"tags": ["a"]}', r"Expected one of tokens, .*--text-column"),
    ("a.jsonl", '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"]}', r":2 has no column of tags"),
    ("a.jsonl", '{"tokens": [], "tags": []}', "holds no tagged sentences: 1 without text"),
]


@pytest.mark.parametrize(("name", "content", "said"), FAULTS)
def test_faults_name_their_place(write: Write, name: str, content: str | bytes, said: str) -> None:
    path = write(name, content)
    for refuse in (
        lambda: read_sentences(path, DataConfig()),
        lambda: load_sentences(DataConfig(paths=(str(path),))),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            refuse()
        assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tag_column": "4"}, r"has 3 columns without names\. Expected column '4' there"),
        ({"tag_column": "ner"}, r"Expected column 'ner' there\. Give its number, from 1 to 3"),
        ({"tag_column": "1"}, "column 1 would be both the word and its tag"),
        ({"text_column": "0"}, r"Expected column '0' there.*--text-column NUMBER"),
    ],
)
def test_columns_that_cannot_be(write: Write, options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(write("a.conll", "a X O\nb Y B-x\n"), **options)


def test_without_tags(write: Write) -> None:
    assert read(write("a.conll", "a\nb\n\nc\n"), labelled=False) == [(("a", "b"), ()), (("c",), ())]
    assert read(write("b.conll", "a\tO\n"), labelled=False) == [(("a",), ("O",))]
    path = write("a.jsonl", '{"text": "a b"}\n{"text": "c"}')
    assert read(path, labelled=False) == [(("a", "b"), ()), (("c",), ())]


TAGS = {
    "mixed letters": ("a\tB-x\nb\tI-x\n\nc\tB-x\nd\tE-x\n\ne\tM-x\n", "letters of several schemes"),
    "BIO and IOB1": ("a\tB-x\n\nb\tI-x\n\nc\tB-y\n\nd\tI-y\n", "BIO and IOB1 are mixed"),
    "a tag without letter": ("a\tB-x\nb\tI-x\n\nc\tx\n", "some tags mark entities"),
    "one tag": ("a\tO\n\nb\tO\n\nc\tO\n", "All words to learn from have the tag 'O'"),
}


@pytest.mark.parametrize("case", TAGS)
def test_what_training_refuses(write: Write, case: str) -> None:
    content, said = TAGS[case]
    path = write("a.conll", content * 20)
    with pytest.raises(UsageError, match=said):
        load_sentences(DataConfig(paths=(str(path),), validation_fraction=0.2))


def test_a_type_that_validation_alone_has_is_refused_and_a_letter_is_not(write: Write) -> None:
    train = write("t.conll", "a\tB-x\nb\tO\n\nc\tO\n")
    other = write("v.conll", "a\tB-x\nb\tI-x\n\nc\tB-y\n")
    with pytest.raises(UsageError, match=r"v\.conll:4 has the type of tag 'y', which nothing to l"):
        load_sentences(DataConfig(paths=(str(train),), validation_paths=(str(other),)))
    fine = write("w.conll", "a\tB-x\nb\tI-x\n")
    found = load_sentences(DataConfig(paths=(str(train),), validation_paths=(str(fine),)))
    assert found.validation == (Sentence(("a", "b"), ("B-x", "I-x"), f"{fine}:1"),)
