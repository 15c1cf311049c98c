"""Pairs of sentences: tables, two files, IN/OUT lines, and every fault with its place."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phalanx.config import DataConfig
from phalanx.data.labelled import load_pairs, read_pairs
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


def read(*paths: Path, labelled: bool = True, **options: Any) -> list[tuple[str, str]]:
    found = read_pairs(paths, DataConfig(**options), labelled=labelled)
    return [(pair.source, pair.target) for pair in found]


TWO = [("a b", "x"), ("c", "y z")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "a b\tx\nc\ty z\n"),
        ("a.tsv.gz", "\ufeffa b\tx\r\nc\ty z\r\n"),
        ("b.tsv", "source\ttarget\na b\tx\nc\ty z\n"),
        ("c.tsv", "id\ten\tzh\n1\ta b\tx\n2\tc\ty z\n"),
        ("a.csv", 'tgt,src\nx,a b\n"y z",c\n'),
        ("a.jsonl", '{"src": "a b", "tgt": "x"}\n{"src": "c", "tgt": "y z"}'),
        ("b.jsonl", '{"translation": {"en": "a b", "de": "x"}}\n'
         '{"translation": {"en": "c", "de": "y z"}}'),
        ("a.txt", "IN: a b OUT: x\nIN: c OUT: y z\n"),
    ],
)  # fmt: skip
def test_formats(write: Write, name: str, content: str) -> None:
    assert read(write(name, content)) == TWO


def test_a_table_without_header_says_so(write: Write) -> None:
    rows = "".join(f"source {n}\ttarget {n}\n" for n in range(50))
    path = write("a.tsv", rows)
    found = load_pairs(DataConfig(paths=(str(path),)))
    assert len(found.train) + len(found.validation) == 50
    assert found.notes[0].startswith(f"{path}: no known name of a column in its first line")


def test_columns_by_name_and_by_number(write: Write) -> None:
    path = write("a.tsv", "1\tx\ta b\n2\ty z\tc\n")
    assert read(path, source_column="3", target_column="2") == TWO
    named = write("b.csv", "one,two\nx,a b\ny z,c\n")
    assert read(named, source_column="two", target_column="one") == TWO
    both = write("a.jsonl", '{"translation": {"zh": "x", "en": "a b", "de": "q"}}')
    assert read(both, source_column="en", target_column="zh") == TWO[:1]
    two = write("c.tsv", "x\ta b\ny z\tc\n")
    assert read(two, source_column="2") == TWO, "the only other column is the target"


def test_two_files(write: Write) -> None:
    left, right = write("a.en", "a b\nc\n"), write("a.de.gz", "x\r\ny z")
    assert read(left, right) == TWO
    assert read_pairs((left, right), DataConfig())[1].place == f"{left}:2"
    rows = [f"line {n}\n" for n in range(40)]
    more = (write("t.en", "".join(rows)), write("t.de", "".join(rows)))
    other = (write("v.en", "p\n\nq\n"), write("v.de", "P\nR\nQ\n"))
    found = load_pairs(
        DataConfig(paths=tuple(map(str, more)), validation_paths=tuple(map(str, other)))
    )
    assert (len(found.train), len(found.validation), found.files) == (40, 2, 4)
    assert found.notes == (f"{other[0]}: 1 rows without text passed over",)


def test_two_tables_are_two_files_of_pairs(write: Write) -> None:
    assert read(write("a.tsv", "a b\tx\n"), write("b.tsv", "c\ty z\n")) == TWO
    assert read(write("a.txt", "IN: a b OUT: x\n"), write("b.txt", "IN: c OUT: y z\n")) == TWO


FAULTS = [
    ("a.tsv", "", r"a\.tsv is empty\. Expected pairs of sentences"),
    ("a.tsv", "source\ttarget\n", r"a\.tsv holds no pairs of sentences: nothing below"),
    ("a.tsv", "a\tx\nb\n", r"a\.tsv:2 has 1 field, and the first line 2"),
    ("a.tsv", "a\tx\nb\ty\tz\n", r"a\.tsv:2 has 3 fields"),
    ("a.tsv", "a\tx\t1\nb\ty\t2\n", r"Expected one of source, .*--source-column NAME"),
    ("a.csv", "source,targt\na,b\n", r"Did you mean 'targt'\? .*--target-column NAME"),
    ("a.tsv", b"a\tx\nb\t\xe9\n", r"a\.tsv:2 has the byte 0xe9"),
    ("a.tsv", "a\tx\n".encode("utf-16"), "UTF-16 byte order mark"),
    ("a.tsv", "a\t\n \tx\n", "holds no pairs of sentences: 2 without text"),
    ("a.txt", "plain lines\n", r"a\.txt holds no pairs\. .*or two files of as many lines"),
    ("a.txt", "IN: a OUT: x\nIN: b\n", r"a\.txt:2 is not of the form `IN: \.\.\. OUT: \.\.\.`"),
    ("a.jsonl", '{"src": "a", "tgt": 3}', r"a\.jsonl:1, 'tgt', holds a number where the target"),
    ("a.jsonl", '{"translation": "a"}', r"a\.jsonl:1, 'translation', holds no object"),
    ("a.jsonl", '{"translation": {"en": "a", "de": "b", "fr": "c"}}', "languages 'en', 'de', 'fr'"),
]


@pytest.mark.parametrize(("name", "content", "said"), FAULTS)
def test_faults_name_their_place(write: Write, name: str, content: str | bytes, said: str) -> None:
    path = write(name, content)
    for refuse in (
        lambda: read_pairs(path, DataConfig()),
        lambda: load_pairs(DataConfig(paths=(str(path),))),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            refuse()
        assert path.name in str(caught.value)


def test_unequal_files(write: Write) -> None:
    left, right = write("a.en", "a\nb\nc\n"), write("a.de", "x\ny\n")
    said = r"a\.en has 3 lines and \S*a\.de 2\. .*a\.de ends before line 3 of \S*a\.en"
    for paths in ((left, right), (str(left), str(right))):
        with pytest.raises(UsageError, match=said):
            read_pairs(paths, DataConfig())
    with pytest.raises(UsageError, match=r"a\.de ends before line 3 of \S*a\.en"):
        load_pairs(DataConfig(paths=(str(right), str(left))))


def test_pairs_with_an_empty_side_are_counted(write: Write) -> None:
    rows = "".join(f"a{n}\tx\n" for n in range(40))
    path = write("a.tsv", f"{rows}b\t\n\ty\n \t \n")
    found = load_pairs(DataConfig(paths=(str(path),)))
    assert len(found.train) + len(found.validation) == 40
    assert found.notes[-1] == f"{path}: 3 rows without text passed over"


def test_without_targets(write: Write) -> None:
    assert read(write("a.csv", "src\na b\nc\n"), labelled=False) == [("a b", ""), ("c", "")]
    lines = write("a.txt", "a b\n\nc\n")
    assert read(lines, labelled=False) == [("a b", ""), ("", ""), ("c", "")]
    assert read(lines, lines, labelled=False) == read(lines, labelled=False), "no pair of files"
    assert read(write("b.txt", "IN: a b OUT: x\n"), labelled=False) == TWO[:1]
