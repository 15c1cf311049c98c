"""Labelled texts: which columns are read, what a label may be, and every fault with its place."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phalanx.config import DataConfig
from phalanx.data.labelled import Example, load_examples, read_examples
from phalanx.errors import UsageError

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def read(path: Path, **options: Any) -> list[tuple[str, str]]:
    return [(e.text, e.label) for e in read_examples(path, DataConfig(**options))]


def parquet(path: Path, columns: dict[str, list[Any]], metadata: Any = None) -> Path:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as library

    library.write_table(arrow.table(columns).replace_schema_metadata(metadata), path)
    return path


TWO = [("a b", "x"), ("c", "y")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\na b,x\nc,y\n"),
        ("a.csv", "\ufefftext,label\r\na b,x\r\n\r\nc,y"),
        ("a.csv.gz", "Category,id,Utterance\nx,1,a b\ny,2,c\n"),
        ("a.tsv", "intent\tsentence\nx\ta b\ny\tc\n"),
        ("a.jsonl", '{"text": "a b", "label": "x"}\n{"label": " y ", "text": "c"}\n'),
        ("a.json", '[{"review": "a b", "sentiment": "x"}, {"review": "c", "sentiment": "y"}]'),
    ],
)
def test_formats_and_known_names(write: Write, name: str, content: str) -> None:
    assert read(write(name, content)) == TWO


def test_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"n": [1.5, 2.0], "text": ["a b", "c"], "label": [7, 8]})
    assert read(path) == [("a b", "7"), ("c", "8")]
    named = {"info": {"features": {"label": {"names": ["x", "y"], "_type": "ClassLabel"}}}}
    path = parquet(
        tmp_path / "b.parquet",
        {"text": ["a b", "c"], "label": [0, 1]},
        {"huggingface": json.dumps(named)},
    )
    assert read(path) == TWO


def test_columns_by_name_and_by_number(write: Write) -> None:
    path = write("a.csv", "text,label,other,kind\na b,1,x,p\nc,2,y,q\n")
    assert read(path, label_column="other") == TWO
    assert read(path, text_column="other", label_column="kind") == [("x", "p"), ("y", "q")]
    bare = write("b.tsv", "x\ta b\ny\tc\n")
    assert read(bare, label_column="1", text_column="2") == TWO
    assert read(bare, label_column="1") == TWO, "the only other column is the text"
    assert read(bare, text_column="2") == TWO
    assert read(bare, **{"label_column": 1, "text_column": 2}) == TWO, "as YAML reads numbers"
    named = write("c.csv", "1,2\nx,a b\ny,c\n")
    assert read(named, label_column="1", text_column="2") == TWO, "names that are numbers"


def test_pairs_of_texts(write: Write) -> None:
    for names in ("premise,hypothesis", "sentence1,sentence2", "question,answer"):
        [one] = read_examples(write("a.csv", f"label,{names}\nx,a,b\n"), DataConfig())
        assert (one.text, one.pair, one.label) == ("a", "b", "x")
    path = write("b.csv", "text,more,label\na,b,x\n")
    assert read_examples(path, DataConfig(pair_column="more"))[0].pair == "b"
    assert read_examples(path, DataConfig())[0].pair is None


def test_quotes_and_long_fields(write: Write) -> None:
    long = "x" * 1_000_000
    content = f'text,label\n"a\n""b"", c",x\n{long},y\n\0,z\n'
    assert read(write("a.csv", content)) == [('a\n"b", c', "x"), (long, "y"), ("\0", "z")]
    places = [e.place for e in read_examples(write("b.csv", content), DataConfig())]
    assert [place.rsplit(":")[-1] for place in places] == ["2", "4", "5"]


def test_what_a_label_may_be(write: Write) -> None:
    rows = [3, True, "3", " a b ", "none", "0"]
    lines = "".join(json.dumps({"text": "t", "label": label}) + "\n" for label in rows)
    assert [label for _, label in read(write("a.jsonl", lines))] == [
        *("3", "true", "3", "a b", "none", "0")
    ]


FAULTS = [
    ("a.csv", "", r"a\.csv is empty\. Expected labelled texts"),
    ("a.csv", "\n\n", r"a\.csv holds no labelled texts"),
    ("a.csv", "text,label\n", r"a\.csv holds no labelled texts: nothing below a header"),
    ("a.csv", "text,label\n,x\n ,y\n", r"holds no labelled texts: 2 without text"),
    ("a.csv", "text,labl\na,x\n", r"columns 'text', 'labl'\..* Did you mean 'labl'\?.*--label-c"),
    ("a.csv", "txet,label\na,x\n", r"Did you mean 'txet'\? .*--text-column"),
    (
        "a.csv",
        "pos,good film\nneg,bad\n",
        r"NUMBER where no header is\. If the first line is no header",
    ),
    ("a.csv", "text;label\na;x\n", r"If ';' divides its fields, put ',' in its stead"),
    ("a.csv", "text,label\na,x\nb,\n", r"a\.csv:3, 'label', holds no label"),
    ("a.csv", "text,label\na,x\nb,NaN\n", r"a\.csv:3, 'label', holds 'NaN', as programs write"),
    ("a.csv", "text,label\na,x\nb,None\n", r"a\.csv:3, 'label', holds 'None'.*another name"),
    ("a.csv", 'text,label\n"a\nb",x\nc,x,\n', r"a\.csv:4 has 3 fields, and the header 2"),
    ("a.csv", "text,label\na\n", r"a\.csv:2 has 1 field, and the header 2"),
    ("a.csv", 'text,label\na,x\n"b,x\n', r"a\.csv:3 is not CSV: a field in quotes is still open"),
    ("a.csv", b"text,label\na,x\ncaf\xe9,y\n", r"a\.csv:3 has the byte 0xe9.*--encoding-errors"),
    ("a.csv", "text,label\na,x\n".encode("utf-16"), r"UTF-16 byte order mark"),
    ("a.csv", "text,label\na,x\n".encode("utf-16-le") * 9, r"binary data, or UTF-16"),
    ("a.txt", "some text\n", r"a\.txt is no table\. Expected texts and labels in columns"),
    ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b"}\n', r"a\.jsonl:2, 'label', holds no l"),
    ("a.jsonl", '{"text": "a", "label": null}\n', r"a\.jsonl:1, 'label', holds no label"),
    ("a.jsonl", '{"text": "a", "label": NaN}\n', r"a\.jsonl:1, 'label', holds no label"),
    ("a.jsonl", '{"text": "a", "label": 0.5}\n', r"'label', holds a number that is not whole"),
    ("a.jsonl", '{"text": "a", "label": ["x"]}\n', r"'label', holds a list\. Expected a label"),
    ("a.jsonl", '{"text": 3, "label": "x"}\n', r"a\.jsonl:1, 'text', holds a number where the"),
    ("a.jsonl", '{"text": "a", "label": "x"}\n{"label": "x"}', r"a\.jsonl:2 has no 'text'"),
    ("a.jsonl", '"a"\n', r"a\.jsonl:1 holds no label"),
    ("a.jsonl", '{"text": "a", "label": "\\ud800"}', r"'label', has the lone surrogate"),
    ("a.jsonl", '{"text": "a", "label": "x"}\n{"text"', r"a\.jsonl:2 is not JSON"),
]


@pytest.mark.parametrize(("name", "content", "said"), FAULTS)
def test_faults_name_their_place(write: Write, name: str, content: str | bytes, said: str) -> None:
    path = write(name, content)
    for refuse in (
        lambda: read_examples(path, DataConfig()),
        lambda: load_examples(DataConfig(paths=(str(path),))),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            refuse()
        assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text_column": "text", "label_column": "text"}, "'text' is to be both text and label"),
        ({"label_column": "txt"}, r"Expected the column 'txt'\. Did you mean 'text'\?"),
        ({"label_column": "3", "text_column": "1"}, r"has 2 columns in its first line.*column 3"),
        ({"label_column": "0", "text_column": "1"}, r"Expected column 0 there, counted from 1"),
        ({"label_column": "2", "text_column": "2"}, "'2' is to be both text and label"),
        ({"label_column": "2", "text_column": "text"}, "by its number.*'text' by its name"),
        ({"pair_column": "second"}, "Expected the column 'second'"),
    ],
)
def test_columns_that_cannot_be(write: Write, options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(write("a.csv", "text,label\na,x\n"), **options)


def test_more_columns_than_two_need_two_numbers(write: Write) -> None:
    with pytest.raises(UsageError, match=r"has 3 columns.*Expected the number of the text too"):
        read(write("a.csv", "a,x,1\nb,y,2\n"), label_column="2")


def test_replacing_what_is_not_utf8(write: Write) -> None:
    path = write("a.csv", b"text,label\ncaf\xe9,x\nb,y\nc,x\nd,y\n")
    found = load_examples(DataConfig(paths=(str(path),), encoding_errors="replace"))
    assert "caf\ufffd" in {e.text for e in (*found.train, *found.validation)}
    assert "a.csv:2 has the byte 0xe9" in found.notes[0]


def test_rows_without_text_are_counted_in_training_and_refused_for_answers(write: Write) -> None:
    path = write("a.csv", "text,label\n,x\na,x\nb,y\n \t,y\n")
    data = DataConfig(paths=(str(path),), validation_fraction=0.5)
    rows = "\n".join(f"text {n},{'xy'[n % 2]}" for n in range(30))
    more = write("b.csv", f"text,label\n,x\n{rows}\n")
    assert load_examples(DataConfig(paths=(str(more),))).notes == (
        f"{more}: 1 rows without text passed over",
    )
    assert len(read_examples(path, data)) == 2
    with pytest.raises(UsageError, match=r"a\.csv:2, 'text', holds no text"):
        read_examples(path, data, labelled=False)


def test_without_labels(write: Write) -> None:
    path = write("a.csv", "text,label\na,x\nb,\nc,NaN\n")
    found = read_examples(path, DataConfig(), labelled=False)
    assert [(e.text, e.label) for e in found] == [("a", "x"), ("b", ""), ("c", "")]
    lines = write("b.txt", "one text\n\nanother\r\n")
    found = read_examples(lines, DataConfig(), labelled=False)
    assert [(e.text, e.place.rsplit(":")[-1]) for e in found] == [
        ("one text", "1"),
        ("another", "3"),
    ]
    bare = write("c.csv", "text\nonly text\n")
    assert read_examples(bare, DataConfig(), labelled=False)[0].label == ""
    one = write("d.tsv", "only text\n")
    found = read_examples(one, DataConfig(text_column="1", label_column="2"), labelled=False)
    assert found == [Example("only text", "", None, f"{one}:1")]


def test_directories_and_globs(write: Write, tmp_path: Path) -> None:
    write("1.csv", "text,label\na b,x\n")
    write("2.jsonl", '{"text": "c", "label": "y"}')
    write("notes.txt", "not read")
    assert read(tmp_path) == TWO
    assert read(tmp_path / "*.csv") == TWO[:1]


def test_stdlib_has_no_labels() -> None:
    with pytest.raises(UsageError, match="'stdlib' is text alone"):
        load_examples(DataConfig())
