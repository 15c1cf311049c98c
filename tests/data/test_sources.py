"""Files, directories, globs and the embedded corpus; every wrong input says what to do."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phalanx.data.documents import Document, decode_text
from phalanx.data.sources import load_corpus, read_documents, split_by_characters, split_by_file
from phalanx.data.stdlib import SKIPPED_DIRECTORIES, stdlib_documents
from phalanx.errors import UsageError

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
def test_a_pipe_can_be_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, TEXT.encode())
    os.close(writing)
    try:
        assert read_documents(f"/dev/fd/{reading}")[0].text == TEXT
    finally:
        os.close(reading)


def test_byte_order_mark_and_line_ends() -> None:
    assert decode_text(b"\xef\xbb\xbfone\r\ntwo\rthree\n", "f") == "one\ntwo\rthree\n"


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


def test_one_file_is_split_by_characters(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("0123456789" * 10 + "wörld", encoding="utf-8")
    corpus = load_corpus(path)
    assert corpus.split == "by characters"
    assert len(corpus.train[0].text) == 94
    assert len(corpus.validation[0].text) == 11
    assert corpus.train[0].text + corpus.validation[0].text == path.read_text(encoding="utf-8")
    assert (corpus.bytes, corpus.files, corpus.name) == (106, 1, str(path))


@pytest.mark.parametrize(("length", "fraction", "cut"), [(1115394, 0.1, 1003854), (10, 0.3, 7)])
def test_the_cut_by_characters_is_rounded_down(length: int, fraction: float, cut: int) -> None:
    train, validation = split_by_characters([Document("x", "a" * length)], fraction)
    assert (len(train[0].text), len(validation[0].text)) == (cut, length - cut)


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


def test_several_files_are_split_by_file_if_that_is_fair(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text(f"text {number:02d} " * 20)
    corpus = load_corpus(tmp_path, validation_fraction=0.2)
    assert corpus.split == "by file"
    names = {document.name for document in corpus.train}
    assert names.isdisjoint(document.name for document in corpus.validation)
    two = load_corpus([tmp_path / "1.txt", tmp_path / "2.txt"])
    assert two.split == "by characters"
    assert [len(document.text) for document in two.validation] == [16, 16]


def test_both_sides_need_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="too little"):
        load_corpus(tmp_path / "x.txt")
    for fraction in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            load_corpus("stdlib", fraction)


def test_the_digest_follows_the_text_and_not_the_place(tmp_path: Path) -> None:
    digests = []
    for directory, text in (("a", "same " * 9), ("b", "same " * 9), ("c", "sane " * 9)):
        path = tmp_path / directory / "x.txt"
        path.parent.mkdir()
        path.write_text(text)
        digests.append(load_corpus(path).digest)
    assert digests[0] == digests[1] != digests[2]
    path = tmp_path / "a" / "x.txt"
    assert load_corpus(path, 0.2).digest != digests[0], "the split is part of it"
    train, validation = b"same " * 8, b"same "
    framed = b"train 40\n" + train + b"validation 5\n" + validation
    assert digests[0] == hashlib.sha256(framed).hexdigest()


def test_the_embedded_corpus() -> None:
    start = time.perf_counter()
    corpus = load_corpus("stdlib")
    seconds = time.perf_counter() - start
    again = load_corpus(["stdlib"])
    assert again == corpus, "same text, order, split and digest each time"
    documents = corpus.train + corpus.validation
    assert 3e6 < corpus.bytes < 9e6
    assert 0.05 < sum(document.bytes for document in corpus.validation) / corpus.bytes < 0.2
    assert corpus.split == "by file"
    assert corpus.files == len(documents) > 200
    names = [document.name for document in stdlib_documents()]
    assert sorted(names) == sorted(document.name for document in documents)
    assert len(set(names)) == len(names)
    assert {"json/decoder.py", "argparse.py", "asyncio/base_events.py"} <= set(names)
    for name in names:
        assert not SKIPPED_DIRECTORIES & set(name.split("/"))
    assert seconds < 1.0


def test_a_python_without_source_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No source text of Python's standard library"):
        stdlib_documents(tmp_path)


def test_reading_and_tokenizing_do_not_wait_for_torch() -> None:
    program = (
        "import sys; import phalanx.data.sources, phalanx.data.tokenizers, phalanx.data.stream;"
        "import phalanx.data.order; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
