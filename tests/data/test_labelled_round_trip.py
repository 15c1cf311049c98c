"""What Python's csv and json write comes back as it was; and nothing but a UsageError comes out."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.config import DataConfig
from phalanx.data.check_labelled import check_labelled
from phalanx.data.examples import MISSING
from phalanx.data.labelled import (
    load_examples,
    load_pairs,
    load_sentences,
    read_examples,
    read_pairs,
    read_sentences,
)
from phalanx.errors import UsageError

# A lone \r is a line end to csv, and \r\n is read as \n; surrogates cannot be written.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")).filter(str.strip)
LABEL = TEXT.map(str.strip).filter(lambda label: label not in MISSING)
WORD = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="#"), min_size=1
).filter(lambda word: bool(word.strip()) and not word.startswith("-DOCSTART-"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round")


@given(st.lists(st.tuples(TEXT, LABEL), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_csv(folder: Path, rows: list[tuple[str, str]], end: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end)
    writer.writerows([("text", "label"), *rows])
    (folder / "a.csv").write_bytes(file.getvalue().encode())
    found = read_examples(folder / "a.csv", DataConfig())
    assert [(e.text, e.label) for e in found] == rows


@given(st.lists(st.tuples(TEXT, LABEL), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_json(folder: Path, rows: list[tuple[str, str]], escaped: bool, one_a_line: bool) -> None:
    entries = [{"label": label, "text": text} for text, label in rows]
    if one_a_line:
        lines = [json.dumps(entry, ensure_ascii=escaped) for entry in entries]
        path, content = folder / "a.jsonl", "\n".join(lines)
    else:
        path, content = folder / "a.json", json.dumps(entries, ensure_ascii=escaped, indent=1)
    path.write_bytes(content.encode())
    assert [(e.text, e.label) for e in read_examples(path, DataConfig())] == rows


@given(
    st.lists(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from(["\t", " "]),
    st.sampled_from(["\n", "\n\n", " \n", "\t\n"]),
)
def test_conll(
    folder: Path, sentences: list[list[tuple[str, str]]], mark: str, between: str
) -> None:
    content = between.join("".join(f"{w}{mark}{t}\n" for w, t in words) for words in sentences)
    (folder / "a.conll").write_bytes(content.encode())
    found = read_sentences(folder / "a.conll", DataConfig(text_column="1", tag_column="2"))
    assert [list(zip(s.words, s.tags, strict=True)) for s in found] == sentences


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_pairs(folder: Path, rows: list[tuple[str, str]]) -> None:
    entries = [json.dumps({"translation": {"en": left, "zh": right}}) for left, right in rows]
    (folder / "b.jsonl").write_text("\n".join(entries))
    found = read_pairs(folder / "b.jsonl", DataConfig())
    assert [(p.source, p.target) for p in found] == rows


@settings(max_examples=150)
@given(
    st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".conll", ".txt", ".parquet", ".csv.gz"]),
    st.sampled_from(["text,label\n", "a\tO\n", '{"text": "a", "label": ', "IN: a OUT: b\n", ""]),
    st.text('text,label\t\n"{}[]:#-BIO 12é\0\r', max_size=50).map(str.encode)
    | st.binary(max_size=60),
    st.sampled_from(["strict", "replace"]),
    st.sampled_from([None, "1", "2", "text"]),
)
def test_whatever_the_bytes_nothing_but_a_usage_error_comes_out(
    folder: Path, ending: str, head: str, data: bytes, errors: str, column: str | None
) -> None:
    path = folder / f"fuzz{ending}"
    path.write_bytes(head.encode() + data)
    config = DataConfig.model_validate(
        {"paths": [str(path)], "encoding_errors": errors, "text_column": column}
    )
    for task, load in (
        ("classification", load_examples),
        ("tagging", load_sentences),
        ("translation", load_pairs),
    ):
        refused = False
        try:
            found = load(config)
            assert found.train
            assert found.validation
        except UsageError:
            refused = True
        report = check_labelled(task, config)  # type: ignore[arg-type]
        assert report.accepted == (not refused)
        json.dumps(report.as_dict())
