"""Rows as documents: what each format accepts, and that every fault names its place and remedy."""

import builtins
import bz2
import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phalanx.data import rows
from phalanx.data.check import check_data
from phalanx.data.sources import load_corpus, read_documents
from phalanx.errors import UsageError

ENDINGS = [".txt", ".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt.gz", ".jsonl.gz", ".csv.gz"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


Write = Callable[[str, str | bytes], Path]


def texts(path: Path, **options: Any) -> list[str]:
    return [document.text for document in read_documents(path, **options)]


def parquet(path: Path, columns: dict[str, list[Any]], **types: Any) -> Path:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as library

    arrays = {name: arrow.array(values, types.get(name)) for name, values in columns.items()}
    library.write_table(arrow.table(arrays), path, row_group_size=2)
    return path


@pytest.mark.parametrize("gz", ["", ".gz"])
def test_json_lines(write: Write, gz: str) -> None:
    content = '{"id": 1, "text": "one\\nline"}\n\n"a string \\u0041"\r\n{"text": " x\u2028y "}'
    assert texts(write("x.jsonl" + gz, content)) == ["one\nline", "a string A", " x\u2028y "]
    assert texts(write("x.ndjson" + gz, '{"body": "b", "text": "t"}')) == ["t"]
    assert texts(write("y.jsonl" + gz, '{"body": "b", "Content": "t"}')) == ["t"]
    assert texts(write("z.jsonl", '{"body": "b", "text": "t"}'), text_column="body") == ["b"]


def test_a_json_list_has_rows_and_another_json_is_text(write: Write) -> None:
    assert texts(write("x.json", ' [{"text": "one"}, "two", {"text": null}]')) == ["one", "two"]
    assert texts(write("y.json", '{"text": "one"}')) == ['{"text": "one"}']


@pytest.mark.parametrize("gz", ["", ".gz"])
def test_csv(write: Write, gz: str) -> None:
    content = '\ufefflabel,text\r\n1,"one, ""1""\r\nand more"\r\n\r\n2,two\r\n3,\r\n'
    assert texts(write("x.csv" + gz, content)) == ['one, "1"\nand more', "two"]
    assert texts(write("y.csv", content), text_column="label") == ["1", "2", "3"]
    assert texts(write("z.csv", f"text\n{'x' * 200_000}\n\0\n")) == ["x" * 200_000, "\0"]


def test_tsv_knows_no_quotes(write: Write) -> None:
    content = 'label\ttext\npos\t"Look," he said.\nneg\t"both"\n'
    assert texts(write("x.tsv", content)) == ['"Look," he said.', '"both"']


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    columns: dict[str, list[Any]] = {
        "id": [1, 2, 3, 4, 5],
        "text": ["one\r\n", None, "  ", "zwölf", "five"],
    }
    path = parquet(tmp_path / "x.parquet", columns)
    assert texts(path) == ["one\n", "zwölf", "five"]
    words = arrow.dictionary(arrow.int32(), arrow.large_string())
    assert texts(parquet(tmp_path / "y.parquet", columns, text=words)) == texts(path)


def test_rows_are_named_by_number_and_split_by_row(write: Write) -> None:
    path = write(
        "x.jsonl", "".join(json.dumps({"text": f"row {n:03d}"}) + "\n" for n in range(400))
    )
    assert [document.name for document in read_documents(path)][:2] == ["x.jsonl:1", "x.jsonl:2"]
    corpus = load_corpus(path)
    assert (corpus.split, corpus.files, corpus.documents) == ("by row", 1, 400)
    train, validation = corpus.train.texts(), corpus.validation.texts()
    assert sorted(train + validation) == [f"row {n:03d}" for n in range(400)]
    assert 20 < len(validation) == corpus.validation.documents < 60
    both = load_corpus([path, write("y.txt", "text " * 30)])
    assert both.split == "by document"


def test_rows_without_text_are_counted(write: Write) -> None:
    lines = ['{"text": null}', '{"text": " \\n"}', *['{"text": "some text to split"}'] * 9]
    corpus = load_corpus(write("x.jsonl", "\n".join(lines)), 0.3)
    assert corpus.documents == 9
    assert corpus.notes[0].endswith("x.jsonl: 2 rows without text passed over")


FAULTS = {
    "x.jsonl": [
        ('{"text": "a"}\n{"text": "b"\n', r"x\.jsonl:2 is not JSON: Expecting ',' delimiter"),
        ('{"text": "a"}\nplain\n', r"x\.jsonl:2 is not JSON: Expecting value at character 1"),
        ('{"text": "a"}\n[1]\n', r"x\.jsonl:2 is a list\. Expected an object"),
        ('{"text": "a"}\n{"txt": "b"}\n', r"x\.jsonl:2 has no 'text'"),
        ('{"text": 3}\n', r"x\.jsonl:1, 'text', holds a number where the text"),
        ('{"text": true}\n', r"x\.jsonl:1, 'text', holds a truth value"),
        ('{"text": {"en": "a"}}\n', r"x\.jsonl:1, 'text', holds an object"),
        ('{"id": 1, "label": "a"}\n', r"has the columns 'id', 'label'\. Expected one of text, c"),
        ('"ok"\n"\\ud800!"\n', r"x\.jsonl:2 has the lone surrogate '\\ud800'"),
        (b'"ok"\n"\xff"\n', r"x\.jsonl:2 has the byte 0xff at offset 6"),
        ("[" * 100_000, r"x\.jsonl:1 is not JSON: nested too deeply"),
        (f'{{"text": "a", "n": {"9" * 5000}}}', r"x\.jsonl:1 is not JSON: .*digits"),
    ],
    "x.json": [
        ('[{"text": "a"},\n{"text": "b"\n', r"x\.json:3 is not JSON"),
        ('["a", 1]', r"x\.json, entry 2 is a number"),
    ],
    "x.csv": [
        ("text,label\na,1\nb\n", r"x\.csv:3 has 1 field, and the header 2"),
        ('text,label\n"a\nb",1\nb,1,2\n', r"x\.csv:4 has 3 fields, and the header 2"),
        ("text,text\na,b\n", r"x\.csv:1 names the column 'text' twice"),
        ('text\na\n"b', r"x\.csv:3 is not CSV: a field in quotes is still open"),
        ('text\na\n"b"c\n', r"x\.csv:3 is not CSV: a quote closes a field that goes on"),
        ("text\na\nb\rc\n", r"x\.csv:3 is not CSV: it has a lone carriage return"),
        ("Hi there,1\na,b\n", r"'Hi there', '1'\. Expected one of .*c1,c2\\n"),
        (b"text\nb\xe9\n", r"x\.csv:2 has the byte 0xe9"),
    ],
    "x.tsv": [
        ("text\tlabel\na\t1\n\tb\tc\n", r"x\.tsv:3 has 3 fields, and the header 2"),
        ("a\tb\n1\t2\n", r"\(printf 'c1\\tc2\\n'; cat .*x\.tsv\) > with_header\.tsv"),
    ],
    "x.tsv.gz": [
        ("a\tb\n1\t2\n", r"\(printf 'c1\\tc2\\n'; zcat .*x\.tsv\.gz\) > with_header\.tsv")
    ],
    "x.parquet": [
        (b"PAR1", r"x\.parquet cannot be read as Parquet"),
        (b"", r"x\.parquet cannot be read as Parquet"),
    ],
    "x.parquet.gz": [(b"PAR1", r"Parquet inside gzip.* gunzip -k")],
    "x.txt": [
        (b"PK\x03\x04rest", r"x\.txt holds no text but a ZIP archive"),
        (gzip.compress(b"text"), r"holds no text but gzip data; let its name end in \.gz"),
        (bz2.compress(b"text"), r"holds no text but bzip2 data"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"\x05" + b"\0\0\0\1" * 400, r"binary data, or UTF-16: 1,200 of its first 1,601 bytes"),
        ("long enough".encode("utf-16-le") * 9, "binary data, or UTF-16"),
    ],
    "x.tar.gz": [(b"", r"x\.tar\.gz is an archive .*tar -xzf .*x\.tar\.gz")],
    "x.zip": [(b"", r"is an archive .*unzip")],
    "x.jsonl.zst": [(b"", r"is an archive .*unzstd")],
    "nothing.jsonl": [("\n\n", "No text in .*nothing.jsonl: 1 file read")],
    "header.csv": [("text,label\n", "No text in")],
}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [(name, content, said) for name, cases in FAULTS.items() for content, said in cases],
)
def test_faults_name_file_and_line(
    write: Write, name: str, content: str | bytes, said: str
) -> None:
    path = write(name, content)
    for refuse in (read_documents, load_corpus):
        with pytest.raises(UsageError, match=said) as caught:
            refuse(path)
        assert str(path.name) in str(caught.value)
    report = check_data(path)
    assert not report.accepted
    assert report.faults or report.files[0].faults


def test_a_column_that_is_not_there_is_named_with_its_nearest(write: Write, tmp_path: Path) -> None:
    paths = [
        write("x.csv", "sentence,label\na,b\n"),
        write("x.jsonl", '{"sentence": "a", "label": "b"}'),
        parquet(tmp_path / "x.parquet", {"sentence": ["a"], "label": ["b"]}),
    ]
    for path in paths:
        with pytest.raises(UsageError, match=r"columns 'sentence', 'label'\. .*mean 'sentence'\?"):
            read_documents(path, text_column="sentense")


def test_a_parquet_column_has_to_hold_text_and_occur_once(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as library

    for values, kind in (([1, 2], "int64"), ([["a"], []], "list<"), ([b"a", b"b"], "binary")):
        path = parquet(tmp_path / "x.parquet", {"text": values})
        with pytest.raises(UsageError, match=f"the column 'text' holds {kind}"):
            read_documents(path)
    column = arrow.array(["a"])
    library.write_table(arrow.Table.from_arrays([column] * 2, ["text"] * 2), tmp_path / "y.parquet")
    with pytest.raises(UsageError, match="has the column 'text' twice"):
        read_documents(tmp_path / "y.parquet")


def test_invalid_bytes_in_parquet_are_refused_or_replaced(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as library

    broken = arrow.array([b"one", b"tw\xff"]).view(arrow.string())
    library.write_table(arrow.table({"text": broken}), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match=r"x\.parquet, row 2, 'text', has the byte 0xff"):
        read_documents(tmp_path / "x.parquet")
    assert texts(tmp_path / "x.parquet", encoding_errors="replace") == ["one", "tw\ufffd"]


def test_damaged_parquet_is_refused_by_name(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", {"text": [f"some text {n}" for n in range(9)]})
    whole, draw = path.read_bytes(), random.Random(0)
    refused: list[str] = []
    for cut in range(120):
        data = bytearray(whole[: draw.randrange(len(whole))] if cut % 3 == 0 else whole)
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        try:
            read_documents(path)
        except UsageError as error:
            refused.append(str(error))
    assert len(refused) > 40
    assert all("x.parquet" in words for words in refused)


def test_without_pyarrow_the_error_says_what_to_install(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return found(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'phalanx\[parquet\]'"):
        read_documents(write("x.parquet", b""))


def test_replacing_goes_on_and_counts(write: Write) -> None:
    path = write("x.txt", b"one \xff two\nthree \xe9 four five\n")
    corpus = load_corpus(path, encoding_errors="replace")
    assert corpus.train.texts()[0].startswith("one \ufffd two\nthree \ufffd")
    assert "2 invalid places read as U+FFFD, the first: " in corpus.notes[0]
    assert "x.txt:1 has the byte 0xff at offset 4" in corpus.notes[0]
    lone = write("x.jsonl", '"\\ud800 and \\udc00\\ud83c\\udf0a"')
    assert texts(lone, encoding_errors="replace") == ["\ufffd and \ufffd🌊"]


def test_damaged_gzip_names_the_file(write: Write, tmp_path: Path) -> None:
    whole = write("x.txt.gz", "some text " * 1000).read_bytes()
    for data in (whole[:-3], whole[:40], b"plain text", whole[:30] + b"\xff\xff" + whole[32:]):
        path = tmp_path / "y.txt.gz"
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"y\.txt\.gz is not whole gzip data"):
            load_corpus(path)
    two = tmp_path / "two.txt.gz"
    two.write_bytes(whole + whole)
    assert texts(two) == ["some text " * 2000], "members one after the other are one file"


def test_a_tar_under_another_name_is_seen(tmp_path: Path) -> None:
    inner = io.BytesIO(b"text " * 100)
    with tarfile.open(tmp_path / "x.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("text.txt")
        entry.size = len(inner.getvalue())
        archive.addfile(entry, inner)
    with pytest.raises(UsageError, match="a tar archive"):
        read_documents(tmp_path / "x.gz")


def test_a_row_is_bounded(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RECORD", 100)
    for name, content, place in (
        ("x.jsonl", '"ok"\n"' + "x" * 200 + '"', ":2"),
        ("x.csv", "text\nok\n" + "x" * 200, ":3"),
        ("y.csv", 'text\nok\n"' + "\n" * 200, ":3"),
        ("x.tsv", "text\nok\n" + "x" * 200, ":3"),
    ):
        with pytest.raises(UsageError, match=f"{name}{place} has a row of more than 100 char"):
            read_documents(write(name, content))
    with pytest.raises(UsageError, match=r"x\.json is a JSON list of more.* jq -c"):
        read_documents(write("x.json", '["' + "x" * 200 + '"]'))


def test_a_directory_gives_rows_and_gzip_too(write: Write, tmp_path: Path) -> None:
    write("a.csv", "text\none\n")
    write("b.jsonl.gz", '{"text": "two"}')
    write("c.gz", "three")
    write("d.bin", "four")
    write("e.tar.gz", b"")
    assert texts(tmp_path) == ["one", "two", "three"]
    write("z.csv", "name,age\nAda,36\n")
    with pytest.raises(UsageError, match=r"z\.csv has the columns 'name', 'age'"):
        read_documents(tmp_path)


@settings(max_examples=150)
@given(
    st.sampled_from(ENDINGS),
    st.sampled_from(
        [b"", b"text,b\n", b'{"text":', b'[{"text": "', b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    ),
    st.binary(max_size=200)
    | st.text('text":{}[],\t\n\r\\ud8 é\0', max_size=60).map(str.encode)
    | st.binary(max_size=60).map(gzip.compress),
    st.sampled_from(["strict", "replace"]),
)
@example(".csv", b"", b'text\n"\r"\n', "strict")
@example(".json", b"", b"[NaN, 1e999, -1]", "strict")
@example(".json", b"", b"[]", "strict")
def test_whatever_the_bytes_nothing_but_a_usage_error_comes_out(
    tmp_path_factory: pytest.TempPathFactory, ending: str, head: bytes, data: bytes, errors: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz{ending}"
    path.write_bytes(head + data)
    refused = ""
    try:
        corpus = load_corpus(path, encoding_errors=errors)
        joined = "".join(corpus.train.texts() + corpus.validation.texts())
        assert len(joined.encode()) == corpus.bytes
    except UsageError as error:
        refused = str(error)
        assert path.name in refused
    report = check_data(path, encoding_errors=errors)
    assert report.accepted == (not refused)
    json.dumps(report.as_dict())


def test_the_real_tables(request: pytest.FixtureRequest) -> None:
    data = Path(request.config.rootpath).parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the shared data is not beside the repository")
    corpus = load_corpus(data / "banking77" / "train.csv")
    assert (corpus.documents, corpus.split) == (10003, "by row")
    for name in ("zh_poetry/dev/valid.tsv", "sentence_polarity/dev.tsv", "tatoeba_en_zh/dev.tsv"):
        with pytest.raises(UsageError, match="If the first line is no header"):
            load_corpus(data / name)
    shakespeare = load_corpus(data / "tinyshakespeare" / "input.txt")
    sides = (shakespeare.train, shakespeare.validation)
    assert [side.characters for side in sides] == [1_003_854, 111_540]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_a_device_is_refused_before_it_is_copied() -> None:
    with pytest.raises(UsageError, match="/dev/zero is a device"):
        load_corpus("/dev/zero")
