"""Files, directories, globs and the embedded corpus; every wrong input says what to do."""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from phalanx.data import documents, formats
from phalanx.data.documents import Document
from phalanx.data.opening import Source
from phalanx.data.reading import Findings, Reading
from phalanx.data.sources import load_corpus, read_documents
from phalanx.data.splits import by_characters, by_row, split_by_file
from phalanx.data.stdlib import SKIPPED_DIRECTORIES, stdlib_documents
from phalanx.data.survey import survey
from phalanx.errors import PhalanxError, UsageError

TEXT = "Hello, wörld 🌊\nsecond line\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name, text in {
        "b.txt": "second",
        "a.md": "first",
        "sub/c.py": "third",
        "sub/empty.txt": "",
        "image.bin": "not text",
        ".hidden/d.txt": "hidden",
        "sub/.e.txt": "hidden too",
    }.items():
        path = tmp_path / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "library"


def named(documents: list[Document]) -> list[tuple[str, str]]:
    return [(document.name, document.text) for document in documents]


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "my.text"
    path.write_text(TEXT, encoding="utf-8")
    assert named(read_documents(path)) == [("my.text", TEXT)]
    assert named(read_documents([str(path), path])) == [("my.text", TEXT)], "read once"
    assert read_documents(path)[0].bytes == len(TEXT.encode())


def test_a_directory_gives_its_text_files_in_order(library: Path) -> None:
    expected = [("a.md", "first"), ("b.txt", "second"), ("sub/c.py", "third")]
    assert named(read_documents(library)) == expected
    assert named(read_documents([library / "b.txt", library])) == [
        expected[1],
        expected[0],
        expected[2],
    ]


def test_a_glob_takes_files_of_any_name(library: Path) -> None:
    assert named(read_documents(f"{library}/*.bin")) == [("image.bin", "not text")]
    found = read_documents(f"{library}/**/*.*")
    assert [document.name for document in found] == ["a.md", "b.txt", "image.bin", "sub/c.py"]
    found = read_documents(f"{library}/**/**/*.py")
    assert [document.name for document in found] == ["sub/c.py"], "matched twice, read once"


def test_a_name_with_wildcards_that_exists_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("brackets")
    (tmp_path / "a1.txt").write_text("no brackets")
    assert named(read_documents(tmp_path / "a[1].txt")) == [("a[1].txt", "brackets")]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no /dev/fd on this system")
def test_a_pipe_is_kept_for_as_long_as_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def pipe() -> str:
        reading, writing = os.pipe()
        os.write(writing, TEXT.encode())
        os.close(writing)
        return f"/dev/fd/{reading}"

    assert read_documents(pipe())[0].text == TEXT
    corpus = load_corpus(pipe())
    assert corpus.train.texts() == corpus.train.texts() == [TEXT[:24]], "read as often as wanted"
    assert len(list(tmp_path.iterdir())) == 1
    del corpus
    assert list(tmp_path.iterdir()) == [], "and then removed"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"one\ntwo\nth\xffree", r"f\.txt:3 has the byte 0xff"),
        (b"\xef\xbb\xbfone\ntwo \xe9t\xe9", r"f\.txt:2 has the byte 0xe9"),
        ("one".encode("utf-16"), "UTF-16"),
        (b"cut short \xf0\x9f\x8c", r"f\.txt:1 has the byte 0xf0"),
    ],
)
def test_invalid_utf8_names_file_and_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=said) as caught:
        read_documents(path)
    assert "iconv" in str(caught.value), "says what to do"


def test_wrong_paths_are_explained(library: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_bytes(b"\xef\xbb\xbf\r\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").write_bytes(b"\xff")
    for given, said in {
        "absent.txt": "No such file: .*absent.txt",
        "empty.txt": "No text in .*empty.txt: 1 file read",
        "*.nothing": "glob .* matches no file",
        "pictures": "holds no text file",
        "libra*": "glob .* matches no file",  # a directory alone
    }.items():
        with pytest.raises(UsageError, match=said) as caught:
            read_documents([library, tmp_path / given])
        assert "Expected" in str(caught.value)
    with pytest.raises(UsageError, match="No text was given"):
        read_documents([])
    with pytest.raises(UsageError, match="Cannot read"):
        read_documents(library / "a.md" / "below")
    with pytest.raises(UsageError, match="No such file"):
        read_documents("a\0b")
    with pytest.raises(UsageError, match="Cannot read"):
        read_documents("x" * 5000)


def test_one_file_is_split_by_characters(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("0123456789" * 10 + "wörld", encoding="utf-8")
    corpus = load_corpus(path)
    assert corpus.split == "by characters"
    [train], [validation] = corpus.train.texts(), corpus.validation.texts()
    assert (len(train), len(validation)) == (94, 11)
    assert train + validation == path.read_text(encoding="utf-8")
    assert (corpus.train.characters, corpus.validation.characters) == (94, 11)
    assert (corpus.bytes, corpus.files, corpus.documents) == (106, 1, 1)
    assert corpus.name == str(path)


@pytest.mark.parametrize(("length", "fraction", "cut"), [(1115394, 0.1, 1003854), (10, 0.3, 7)])
def test_the_cut_by_characters_is_rounded_down(length: int, fraction: float, cut: int) -> None:
    assert by_characters(np.array([length]), fraction).tolist() == [cut]


def test_sides_are_streamed_in_pieces_and_cut_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "pieces", partial(documents.pieces, size=16))
    text = "".join(f"word{number} " for number in range(200))
    (tmp_path / "x.txt").write_text(text)
    for fraction in (0.1, 0.35, 0.5):
        corpus = load_corpus(tmp_path / "x.txt", fraction)
        found = [list(side) for side in (corpus.train, corpus.validation)]
        for side in found:
            assert len(side) > 5
            assert [piece.begins for piece in side] == [True] + [False] * (len(side) - 1)
        cut = int(len(text) * (1 - fraction) + 1e-9)
        train, validation = ("".join(piece.text for piece in side) for side in found)
        assert (train, validation) == (text[:cut], text[cut:])


def test_a_documents_side_depends_on_its_name_alone() -> None:
    documents = [Document(f"part/{number}.txt", "text") for number in range(400)]
    train, validation = split_by_file(documents, 0.1)
    assert 20 <= len(validation) <= 60
    assert sorted((*train, *validation), key=documents.index) == documents
    for document in documents[::7]:
        alone = split_by_file([Document(document.name, "other text")], 0.1)
        assert bool(alone[0]) == (document in train)
    wider = split_by_file(documents, 0.3)[1]
    assert set(validation) < set(wider), "a larger share keeps what it had"


def test_a_rows_side_stays_when_rows_are_appended() -> None:
    def validates(count: int, fraction: float = 0.1, name: str = "x.csv") -> set[int]:
        cuts = by_row(name, np.full(count, 9, dtype=np.int64), fraction)
        assert set(cuts.tolist()) <= {0, 9}, "a row is not divided"
        return set(np.flatnonzero(cuts == 0).tolist())

    assert 350 < len(validates(4000)) < 450
    assert {row for row in validates(4000) if row < 1000} == validates(1000)
    assert validates(1000) < validates(1000, 0.3)
    assert validates(1000) != validates(1000, name="y.csv")


def test_several_files_are_split_by_file_if_that_is_fair(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text(f"text {number:02d} " * 20)
    corpus = load_corpus(tmp_path, validation_fraction=0.2)
    assert corpus.split == "by file"
    train, validation = set(corpus.train.texts()), set(corpus.validation.texts())
    assert len(train) + len(validation) == corpus.documents == 60
    assert train.isdisjoint(validation)
    expected = split_by_file(read_documents(tmp_path), 0.2)[1]
    assert validation == {document.text for document in expected}
    two = load_corpus([tmp_path / "1.txt", tmp_path / "2.txt"])
    assert two.split == "by characters"
    assert [len(text) for text in two.validation.texts()] == [16, 16]


def test_validation_files_may_be_given(library: Path) -> None:
    corpus = load_corpus(
        [library / "a.md", library / "sub"], validation_paths=[str(library / "b.txt")]
    )
    assert corpus.split == "by given files"
    assert (corpus.train.texts(), corpus.validation.texts()) == (["first", "third"], ["second"])
    assert (corpus.files, corpus.bytes) == (3, 16)
    with pytest.raises(UsageError, match=r"b\.txt is given for training and for validation"):
        load_corpus(library, validation_paths=[str(library / "sub" / ".." / "b.txt")])


def test_both_sides_need_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="too little"):
        load_corpus(tmp_path / "x.txt")
    for fraction in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            load_corpus("stdlib", fraction)


def test_a_file_that_changes_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"

    def write(text: str, time: int) -> None:
        path.write_text(text)
        os.utime(path, ns=(time, time))  # whatever the clock's steps are

    write("one two three " * 9, time=1)
    said = r"x\.txt changed while it was in use"
    corpus = load_corpus(path)
    write("one two seven " * 9, time=2)
    with pytest.raises(PhalanxError, match=said):
        next(iter(corpus.train))
    pieces = iter(load_corpus(path).train)
    next(pieces)
    write("one two eight " * 9, time=3)
    with pytest.raises(PhalanxError, match=said):
        list(pieces)
    source, findings = Source("x.txt", path, str(path)), Findings("x.txt")
    with pytest.raises(PhalanxError, match=said):
        survey(source, Reading(), findings, lambda piece: write("another", time=4))
    path.unlink()
    with pytest.raises(UsageError, match=r"No such file: .*x\.txt"):
        list(corpus.validation)


def test_the_digest_follows_the_text_and_not_the_place(tmp_path: Path) -> None:
    def digest(name: str, *texts: str, fraction: float = 0.1) -> str:
        for number, text in enumerate(texts):
            path = tmp_path / name / f"{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return load_corpus(tmp_path / name, fraction).digest

    same = digest("a", "same " * 9)
    assert digest("b", "same " * 9) == same
    assert digest("c", "sane " * 9) != same
    assert digest("d", "same " * 9, fraction=0.2) != same, "the split is part of it"
    assert digest("e", "same " * 4, "same " * 5) != digest("f", "same " * 5, "same " * 4)


def test_the_embedded_corpus() -> None:
    corpus = load_corpus("stdlib")
    assert load_corpus(["stdlib"]).digest == corpus.digest
    assert 3e6 < corpus.bytes < 9e6
    sides = (corpus.train, corpus.validation)
    characters = [side.characters for side in sides]
    assert 0.05 < characters[1] / sum(characters) < 0.2
    assert corpus.split == "by file"
    assert corpus.files == corpus.documents == sum(side.documents for side in sides) > 200
    expected = split_by_file(stdlib_documents(), 0.1)
    assert [side.texts() for side in sides] == [[d.text for d in side] for side in expected]
    names = [document.name for document in stdlib_documents()]
    assert len(set(names)) == len(names)
    assert {"json/decoder.py", "argparse.py", "asyncio/base_events.py"} <= set(names)
    for name in names:
        assert not SKIPPED_DIRECTORIES & set(name.split("/"))


def test_a_python_without_source_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No source text of Python's standard library"):
        stdlib_documents(tmp_path)


def test_reading_and_tokenizing_do_not_wait_for_torch() -> None:
    program = (
        "import sys; import phalanx.data.sources, phalanx.data.tokenizers, phalanx.data.stream;"
        "import phalanx.data.order; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
